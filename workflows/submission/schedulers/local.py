"""The local scheduler: so many jobs side by side on this machine, each in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

from kalloy.workflows.submission.batch import Batch

PATIENCE = 10.0
"""Seconds between asking a job to end and ending it."""


@dataclass
class LocalScheduler:
    """Starts jobs and knows which of its own still run. A job outlives a driver that is killed."""

    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def submit(self, batch: Batch, index: int) -> None:
        """Start one job of a batch."""
        with batch.log(index).open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    ["bash", str(batch.script), str(index)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def reap(self) -> int:
        """How many jobs of this driver still run."""
        self._running = [job for job in self._running if job.poll() is None]
        return len(self._running)

    def stop(self) -> None:
        """End every job of this driver, gently first."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for job in self._running:
                _signal_group(job.pid, sign)
            deadline = time.monotonic() + PATIENCE
            while self.reap() and time.monotonic() < deadline:
                time.sleep(0.1)
            if not self._running:
                return


def _signal_group(group: int, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may have ended between the look and the signal
        os.killpg(group, sign)
