"""Read many folders, in this process or in several; one that cannot be read is a row with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from kalloy.errors import KalloyError
from kalloy.parsers.result import read_result, unreadable

_WORTH_A_POOL = 16
"""Folders below which starting processes costs more than it saves."""
_CHUNK = 4


def read_row(folder: str) -> dict[str, Any]:
    """The JSON row of one folder, whatever is in it."""
    try:
        return read_result(folder).to_json()
    except KalloyError as error:
        return unreadable(folder, error.what + (f"; {error.mend}" if error.mend else ""))
    except (OSError, MemoryError) as error:
        return unreadable(folder, f"cannot be read ({error or type(error).__name__})")
    except Exception as error:
        # One file that a reader fails on must not cost the answer for a thousand others; the row says whose fault
        # it is.
        return unreadable(
            folder, f"kalloy's reader failed, which is a defect of kalloy: {type(error).__name__}: {error}"
        )


def read_rows(folders: Sequence[str], processes: int | None = None) -> Iterator[dict[str, Any]]:
    """The JSON rows of many folders, in their order, each as soon as it is there.

    Parameters
    ----------
    processes : how many to use; None for one a processor where there are many folders, else none but this one.
    """
    if processes is None:
        processes = available_processors() if len(folders) >= _WORTH_A_POOL else 1
    if processes <= 1:
        yield from map(read_row, folders)
        return
    done = 0
    try:
        with ProcessPoolExecutor(processes) as pool:
            for row in pool.map(read_row, folders, chunksize=_CHUNK):
                yield row
                done += 1
    except BrokenProcessPool:
        # A process was killed from outside, as when memory runs out: go on alone, one after the other.
        yield from map(read_row, folders[done:])


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
