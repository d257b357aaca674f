"""A full disk or quota: noticed, told, and room kept for the end record."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a full disk, a full quota and a file-size limit."""
ROOM = 64 * 1024
"""Bytes kept for the end record."""


def is_full_error(error: BaseException) -> bool:
    """Whether an error says that nothing more can be written."""
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def room(folder: Path) -> Iterator[None]:
    """Hold room on the disk that is free again when the block ends, so that an end can be recorded on a full one.

    Raises
    ------
    OSError
        Where there is not even that much.
    """
    held = _fill(folder)
    try:
        yield
    finally:
        held.unlink(missing_ok=True)


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written there: by trying."""
    try:
        _fill(folder).unlink()
    except OSError as error:
        return is_full_error(error)
    return False


def _fill(folder: Path) -> Path:
    """Not by zeros, which some file systems store as nothing."""
    path = folder / f".room.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            content = secrets.token_bytes(ROOM)
            while content:
                content = content[os.write(handle, content) :]
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return path
