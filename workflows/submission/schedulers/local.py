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


Job = tuple[str, int]
"""A job's name here: its batch's tag and its index."""


@dataclass
class LocalScheduler:
    """Starts jobs and knows which of its own still run. A job outlives a driver that is killed."""

    _started: dict[Job, subprocess.Popen[bytes]] = field(default_factory=dict)

    def submit(self, batch: Batch, index: int) -> Job:
        """Start one job of a batch."""
        with batch.log(index).open("ab") as log:
            process = subprocess.Popen(
                ["bash", str(batch.script), str(index)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started[batch.tag, index] = process
        return batch.tag, index

    def running(self) -> set[Job]:
        """The jobs of this driver that still run."""
        return {job for job, process in self._started.items() if process.poll() is None}

    def was_killed(self, job: Job) -> bool:
        """Whether a job that has ended was ended by a signal."""
        code = self._started[job].poll()
        return code is not None and (code < 0 or code > 128)

    def stop(self) -> None:
        """End every job of this driver, gently first."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for job in self.running():
                end_group(self._started[job].pid, sign)
            deadline = time.monotonic() + PATIENCE
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.1)


def end_group(group: int, sign: signal.Signals = signal.SIGTERM) -> None:
    """Signal every process of a job."""
    with suppress(ProcessLookupError):  # it may have ended between the look and the signal
        os.killpg(group, sign)
