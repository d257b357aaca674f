"""Writes configurations to a folder as they come; the folder appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from kalloy.errors import InputError
from kalloy.structures.formats import StructureFormat
from kalloy.structures.picks import Pick

Put = Callable[[str, bytes], None]


class Layout(StrEnum):
    """How structures are spread over files."""

    EACH = "each"
    """One file a configuration: ``K03/c12.vasp``."""
    TOGETHER = "together"
    """One file a content, for formats that hold many structures: ``K03.extxyz``."""
    ARCHIVE = "archive"
    """One tar file a content, holding ``K03/c12.vasp``: as fast as one file, as plain as many."""


def write_configurations(
    picks: Iterable[Pick],
    folder: Path,
    style: StructureFormat,
    asked: Mapping[str, Any],
    layout: Layout = Layout.EACH,
) -> int:
    """Write structures, ``configurations.jsonl`` and ``enumeration.json``; return how many configurations there were.

    Parameters
    ----------
    picks : consumed one at a time; those of one content come together.
    folder : new or empty.
    asked : what was asked, for ``enumeration.json``.

    Raises
    ------
    InputError : the folder holds something, or cannot be made.
    """
    refuse_occupied(folder)
    with appearing_whole(folder) as partial:
        number = 0
        with (partial / "configurations.jsonl").open("w", encoding="utf-8") as index, _sink(partial, layout) as put:
            for pick in picks:
                put(f"{pick.configuration.label}{style.suffix}", style.text(pick.configuration).encode())
                index.write(json.dumps(pick.record()) + "\n")
                number += 1
        document = {"schema": 1, **asked, "configurations": number}
        (partial / "enumeration.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return number


def refuse_occupied(folder: Path) -> None:
    """Raise InputError unless the folder is new or empty: nothing is ever overwritten."""
    if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        what = "is not empty" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder} {what}", mend="name a new folder; nothing is overwritten")


@contextmanager
def _sink(folder: Path, layout: Layout) -> Iterator[Put]:
    """Takes ``K03/c12.vasp`` and its content, and keeps it as the layout says."""
    writers: dict[Layout, Callable[[Path, ExitStack], Put]] = {
        Layout.EACH: _Each,
        Layout.TOGETHER: _Together,
        Layout.ARCHIVE: _Archive,
    }
    with ExitStack() as open_files:
        yield writers[layout](folder, open_files)


class _Each:
    def __init__(self, folder: Path, open_files: ExitStack) -> None:
        self.folder = folder
        self.made: set[str] = set()

    def __call__(self, name: str, content: bytes) -> None:
        parent = name.partition("/")[0]
        if parent not in self.made:
            (self.folder / parent).mkdir()
            self.made.add(parent)
        # The bare calls: for hundreds of thousands of small files, file objects cost more than the files.
        descriptor = os.open(f"{self.folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            while content:  # a disk that is nearly full takes a part, and refuses the next
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)


class _Together:
    """One file a content, the one of the content before closed."""

    def __init__(self, folder: Path, open_files: ExitStack) -> None:
        self.folder, self.open_files = folder, open_files
        self.current = ""
        self.file: BinaryIO

    def __call__(self, name: str, content: bytes) -> None:
        parent, _, rest = name.partition("/")
        if parent != self.current:
            self.open_files.close()
            self.open(self.folder / f"{parent}{Path(rest).suffix}")
            self.current = parent
        self.add(name, content)

    def open(self, path: Path) -> None:
        self.file = self.open_files.enter_context(path.open("xb"))

    def add(self, name: str, content: bytes) -> None:
        self.file.write(content)


class _Archive(_Together):
    """The same as a tar file: written by hand, for ``tarfile`` remembers every entry and a stream must not."""

    def open(self, path: Path) -> None:
        super().open(path.with_suffix(".tar"))
        self.open_files.callback(self.file.write, bytes(2 * tarfile.BLOCKSIZE))

    def add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        padding = bytes(-len(content) % tarfile.BLOCKSIZE)
        self.file.write(entry.tobuf(tarfile.USTAR_FORMAT) + content + padding)


@contextmanager
def appearing_whole(folder: Path) -> Iterator[Path]:
    """A working folder beside the wanted one that takes its place when all is well and vanishes when not.

    A folder that is there and cannot be replaced, being the one that we are in or a disk's own, gets what is in it.
    """
    stays = folder.is_dir() and (folder.samefile(Path.cwd()) or folder.is_mount())
    partial = (folder if stays else folder.parent) / f".{folder.name}.{os.getpid()}.partial"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror})") from error
    try:
        yield partial
        if stays:
            for entry in list(partial.iterdir()):
                entry.rename(folder / entry.name)
            partial.rmdir()
        else:
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial)
        raise
