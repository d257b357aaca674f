"""What the system refuses, in words with their mend: a full disk, a folder that may not be written, a broken disk."""

from __future__ import annotations

import errno
import sqlite3

from kalloy.errors import InputError, KalloyError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
BROKEN = (errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.ETIMEDOUT)


def trouble(error: BaseException) -> KalloyError | None:
    """The error as one of ours; None where it is no trouble of the system's but a mistake of ours."""
    if isinstance(error, sqlite3.OperationalError):  # of ase.db, which writes by SQLite too
        number = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS}.get(
            error.sqlite_errorcode & 0xFF
        )
        return trouble(OSError(number, str(error))) if number else None
    if not isinstance(error, OSError):
        return None
    where = str(error.filename2 or error.filename) if error.filename else None
    if error.errno in FULL:
        mend = "free space or ask for a larger quota, then type the same command again: what is done is kept"
        return KalloyError(f"the disk or the quota is full ({error.strerror})", where=where, mend=mend)
    if error.errno in FORBIDDEN:
        mend = "give yourself the right to write there, or work on a copy"
        return InputError(f"may not be read or written ({error.strerror})", where=where, mend=mend)
    if error.errno in BROKEN:
        mend = "look at the file system, then type the same command again: what is done is kept"
        return KalloyError(f"the file system failed ({error.strerror})", where=where, mend=mend)
    return None
