"""Whether a folder's file system keeps locks: one driver at a time, and an index that SQLite can trust."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from kalloy.workflows.doctor.finding import Finding, failure, ok, warning

ELSEWHERE = "put the campaign on a file system with locks"


def locks(folder: Path) -> Iterator[Finding]:
    """Both kinds, tried in a folder of their own that is removed again."""
    try:
        with TemporaryDirectory(dir=folder, prefix=".kalloy-doctor-") as trial:
            yield file_locks(Path(trial))
            yield sqlite_locks(Path(trial))
    except OSError as error:
        yield warning("locks", f"cannot be tried in {folder}: {error.strerror}", "make the folder writable first")


def file_locks(folder: Path) -> Finding:
    """flock: a second holder must be refused."""
    path = folder / "lock"
    with path.open("w") as first, path.open("w") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return failure("file locks", f"flock does not work here: {error.strerror}", ELSEWHERE)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ok("file locks", "keep a second driver out")
        return failure("file locks", "flock lets two drivers in at a time", ELSEWHERE)


def sqlite_locks(folder: Path) -> Finding:
    """A rollback journal, and a second writer that must wait."""
    subject = "SQLite locks"
    try:
        with closing(_connected(folder)) as first, closing(_connected(folder)) as second:
            first.execute("CREATE TABLE trial (x)")
            first.execute("BEGIN IMMEDIATE")
            try:
                second.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            else:
                return failure(subject, "two writers at a time are let in", ELSEWHERE)
            first.execute("INSERT INTO trial VALUES (1)")
            first.execute("COMMIT")
            if second.execute("SELECT count(*) FROM trial").fetchone() != (1,):
                return failure(subject, "what one connection wrote another does not see", ELSEWHERE)
    except sqlite3.Error as error:
        return failure(subject, f"the index cannot be kept here: {error}", ELSEWHERE)
    return ok(subject, f"keep a second writer waiting (SQLite {sqlite3.sqlite_version})")


def _connected(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "trial.db", timeout=0, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    return connection
