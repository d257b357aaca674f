"""Files that are written whole or not at all."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError, why_unreadable

STOPS = (Exception, KeyboardInterrupt, SystemExit)
"""What ends a piece of work that can still tidy up after itself: a full disk, Ctrl-C, a kill that may be heard."""


def write_text(path: Path, text: str) -> None:
    """Write, sync, and rename into place: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A path in it may hold bytes that are no UTF-8.
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync([path.parent])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden file beside a path: it takes that place when the block ends, and vanishes where the block does not."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except STOPS:
        part.unlink(missing_ok=True)
        raise


def write_unsynced(path: Path, text: str) -> None:
    """Write into a folder, or under a name, that nobody looks at yet; `sync` it before a rename shows it."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)


FEW = 64
"""So many files are synced one by one: the whole file system may have much else to write."""


def sync(paths: Sequence[Path]) -> None:
    """Bring files or folders to the disk: each, or where they are many, all of their file systems at once.

    One ``syncfs`` takes about as long as a few dozen calls of ``fsync``, each of which waits for the disk.
    """
    if len(paths) > FEW and all(_sync_file_system(path) for path in {p.stat().st_dev: p for p in paths}.values()):
        return
    for path in dict.fromkeys(paths):
        with _opened(path) as descriptor:
            os.fsync(descriptor)


def _sync_file_system(path: Path) -> bool:
    """syncfs(2), which Python does not have; False where the system has none, or cannot."""
    try:
        call = ctypes.CDLL(None).syncfs
    except AttributeError:
        return False
    with _opened(path) as descriptor:
        return bool(call(descriptor) == 0)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def json_text(value: Any) -> str:
    """JSON as it is written everywhere."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """`write_text` of a value as JSON."""
    write_text(path, json_text(value))


def read_json(path: Path) -> Any:
    """The value in a JSON file of ours.

    Raises
    ------
    CampaignError
        Where the file is not JSON: ours are written whole, so somebody else changed it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CampaignError(
            f"not JSON: {why_unreadable(error)}", where=str(path), mend="restore the file or move it away"
        ) from None


def read_record(path: Path, *keys: str) -> dict[str, Any]:
    """The object in a JSON file of ours, which has these keys.

    Raises
    ------
    CampaignError
        Where it is not JSON, no object, or lacks a key.
    """
    record = read_json(path)
    if not isinstance(record, dict) or set(keys) - set(record):
        lacks = ", ".join(repr(k) for k in keys if not isinstance(record, dict) or k not in record)
        words = f"is not what was written there: it lacks {lacks}" if lacks else "is no record"
        raise CampaignError(words, where=str(path), mend="restore the file or move it away")
    return record


def read_if_there(path: Path, *keys: str) -> dict[str, Any] | None:
    """`read_record`; None where there is no such file."""
    try:
        return read_record(path, *keys)
    except (FileNotFoundError, NotADirectoryError):
        return None


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
