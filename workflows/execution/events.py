"""What a job tells its batch: one line an event, appended to a file of its own that no other job writes."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kalloy.workflows.attempt import Attempt, Outcome, now

Event = Literal["started", "claimed", "skipped", "ended", "late", "full", "left"]
"""``late`` and ``full``: not begun, for the job had no time left, or the disk no room for as much as an end record."""


@dataclass(frozen=True)
class Events:
    """The event file of one index of a batch: ``batches/TAG/events/INDEX.jsonl``; none where one runs by hand."""

    file: Path | None = None
    root: Path | None = None
    """The campaign's folder: attempts are named relative to it, as in the manifest."""
    job: str | None = None
    """The job's name at the scheduler."""

    @classmethod
    def of_batch(cls, manifest: Path, index: int, job: str | None) -> Events:
        """For the job that runs an index of a manifest."""
        folder = manifest.absolute().parent
        return cls(folder / "events" / f"{index}.jsonl", folder.parent.parent, job)

    def tell(self, event: Event, attempt: Attempt | None = None, outcome: Outcome | str | None = None) -> None:
        """Append one line by one write, so that lines of two processes never mix.

        An event that cannot be written is told on stderr and is no reason to stop: the files of the attempt decide.
        """
        if self.file is None:
            return
        name = os.path.relpath(attempt.folder, self.root) if attempt and self.root else None
        record = {"at": now(), "event": event, "attempt": name, "job": self.job, "outcome": outcome}
        line = (json.dumps(record, ensure_ascii=False) + "\n").encode()
        try:
            self.file.parent.mkdir(exist_ok=True)
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, line)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            print(f"kalloy: cannot tell the batch '{event}': {error}", file=sys.stderr)


def read_events(file: Path) -> list[dict[str, Any]]:
    """The lines of an event file, oldest first; one that a dying job left incomplete is passed over."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(json.JSONDecodeError, RecursionError):
            found.append(json.loads(line))
    return found


def job_name() -> str | None:
    """The running job's name at its scheduler, as that tells it to the job; None outside any job.

    ``KALLOY_JOB`` wins; else the variables of SLURM, PBS, LSF and Grid Engine, an array's element with its index.
    """
    env = os.environ
    if name := env.get("KALLOY_JOB"):
        return name
    if job := env.get("SLURM_ARRAY_JOB_ID"):
        return f"{job}_{env.get('SLURM_ARRAY_TASK_ID', '')}"
    if job := env.get("SLURM_JOB_ID") or env.get("PBS_JOBID"):
        return job
    if job := env.get("LSB_JOBID"):
        return f"{job}[{index}]" if (index := env.get("LSB_JOBINDEX", "0")) != "0" else job
    if (job := env.get("JOB_ID")) and "SGE_TASK_ID" in env:
        return f"{job}.{task}" if (task := env.get("SGE_TASK_ID", "undefined")) != "undefined" else job
    return None
