"""Locks that work, and file systems on which they do not."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from kalloy.workflows.doctor import locks
from kalloy.workflows.doctor.finding import Mark


def test_this_folder_keeps_locks_and_is_left_as_it_was(tmp_path: Path) -> None:
    assert [f.mark for f in locks.locks(tmp_path)] == [Mark.OK, Mark.OK]
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lustre mounted without flock says it."""

    def refuse(file: Any, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = locks.file_locks(tmp_path)
    assert (found.mark, found.words) == (Mark.FAILURE, "flock does not work here: Function not implemented")


def test_a_file_system_whose_locks_let_everybody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)
    found = locks.file_locks(tmp_path)
    assert (found.mark, found.words) == (Mark.FAILURE, "flock lets two drivers in at a time")


def test_sqlite_where_nothing_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own switch for file systems without locks."""

    def unlocked(folder: Path) -> sqlite3.Connection:
        uri = f"file:{folder}/trial.db?nolock=1"
        return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)

    monkeypatch.setattr(locks, "_connected", unlocked)
    found = locks.sqlite_locks(tmp_path)
    assert (found.mark, found.words) == (Mark.FAILURE, "two writers at a time are let in")


def test_sqlite_that_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_connected", lambda folder: sqlite3.connect(folder / "no" / "trial.db"))
    found = locks.sqlite_locks(tmp_path)
    assert found.mark is Mark.FAILURE
    assert "the index cannot be kept here" in found.words
