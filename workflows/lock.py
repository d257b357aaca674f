"""One driver at a time: the second one is told whose the campaign is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kalloy.errors import LockedError
from kalloy.workflows.attempt import now

LOCK_FILE = "driver.lock"


@contextmanager
def driver_lock(root: Path) -> Iterator[None]:
    """Hold the campaign's lock.

    The operating system releases it with the process, however that ends, so that no lock is ever left behind.

    Raises
    ------
    LockedError
        Where another driver holds it (named: host, pid, since when), or the file system cannot lock.
    """
    with (root / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another driver works on '{root}': {_holder(root)}", mend="wait for it, or end it"
            ) from None
        except OSError as error:
            mend = "put the campaign on a file system with locks"
            raise LockedError(f"cannot lock: {error.strerror}", where=str(root / LOCK_FILE), mend=mend) from None
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now()}) + "\n")
        file.flush()
        yield


def _holder(root: Path) -> str:
    text = (root / LOCK_FILE).read_text(encoding="utf-8")
    try:
        who = json.loads(text)
    except json.JSONDecodeError:
        return "it has not said its name yet"
    return f"pid {who['pid']} on {who['host']} since {who['since']}"
