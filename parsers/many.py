"""Read many folders, in this process or in several; one that cannot be read is a row with its reason."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from kalloy.errors import KalloyError
from kalloy.parsers.result import read_result, unreadable

_WORTH_A_POOL = 16
"""Folders below which starting processes costs more than it saves."""
_CHUNK = 4
Item = TypeVar("Item")
Found = TypeVar("Found")


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
    return by_processes(read_row, folders, processes)


def by_processes(function: Callable[[Item], Found], items: Sequence[Item], processes: int) -> Iterator[Found]:
    """What a function finds of each item, in their order, each as soon as it is there."""
    done = 0
    if processes > 1:
        try:
            with pool_of(processes) as pool:
                for found in pool.map(function, items, chunksize=_CHUNK):
                    yield found
                    done += 1
        except BrokenProcessPool:
            pass  # one was killed from outside, as when memory runs out: go on alone, one after the other
    yield from map(function, items[done:])


@contextmanager
def pool_of(processes: int) -> Iterator[ProcessPoolExecutor]:
    """So many processes for the block; whoever leaves it early does not wait for what was not begun."""
    pool = ProcessPoolExecutor(processes, initializer=begin_worker, initargs=(os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def begin_worker(parent: int) -> None:
    """First thing in a process of a pool: leave Ctrl-C to the parent, and die with it, however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
