"""The engine's run under custodian: every start is recorded, every correction classed."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custodian.custodian import Custodian, CustodianError, Job

from kalloy.workflows.attempt import Attempt
from kalloy.workflows.execution.corrections import Guard, guarded_handlers
from kalloy.workflows.execution.deadline import Warden, end
from kalloy.workflows.execution.policy import parse_policy
from kalloy.workflows.execution.reading import read
from kalloy.workflows.inputs.stage import Stage

POLL = 0.5
"""Seconds between two looks whether the engine has ended, where handlers watch it."""
WATCH = 60.0
"""Seconds between two looks of the handlers that watch it."""
INPUTS = ("INCAR", "KPOINTS", "POSCAR", "POTCAR")


@dataclass
class Supervised:
    """What became of an engine under custodian."""

    runs: list[dict[str, Any]] = field(default_factory=list)
    """Every start of the engine: seconds and exit code (negative: the signal that killed it)."""
    corrections: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Changes of physics that custodian wanted and did not get."""
    failure: str | None = None
    """custodian's last word, where it is not content."""
    unsettled: str | None = None
    """Why a relaxation that was begun anew is not at its end, though its last run converged."""

    def add(self, later: Supervised) -> None:
        """Take up another start of the engine in the same attempt, whose word is now the last."""
        self.runs += later.runs
        self.corrections += later.corrections
        self.refused += later.refused
        self.failure = later.failure

    @property
    def exit(self) -> int | None:
        """The last run's exit code."""
        return self.runs[-1]["exit"] if self.runs else None


def supervise(attempt: Attempt, command: list[str], warden: Warden) -> Supervised:
    """Run the engine in an attempt's folder until it has ended, corrected by custodian where that is allowed.

    Raises
    ------
    OSError
        Where the disk is full, or the engine cannot be started.
    """
    written = attempt.written
    policy = parse_policy(written.get("corrections"), where=str(attempt.folder))
    job = Engine(command, warden, relaxation=Stage(written["stage"]).is_relaxation)
    guard = Guard(
        policy.numerical_path,
        is_running=job.is_running,
        is_over=lambda: warden.why is not None,
        is_sound=lambda: read(attempt.folder).is_sound,
        lacks_electrons=lambda: read(attempt.folder).lacks_electrons,
    )
    job.guard = guard
    custodian = Custodian(
        guarded_handlers(policy, written["engine"], guard),
        [job],
        max_errors=policy.most + 1,
        polling_time_step=POLL,
        monitor_freq=round(WATCH / POLL),
        directory=str(attempt.folder),
        terminate_on_nonzero_returncode=True,
    )
    failure = None
    try:
        custodian.run()
    except CustodianError as error:
        failure = str(error)
    job.close()
    return Supervised(job.runs, guard.corrections, guard.refused, failure)


class Engine(Job):
    """custodian's job: the engine, kept in our process group so that whoever kills us ends it too."""

    def __init__(self, command: list[str], warden: Warden, relaxation: bool) -> None:
        self.command, self.warden, self.relaxation = command, warden, relaxation
        self.guard: Guard | None = None
        self.runs: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log."""
        return {"command": self.command}

    @property
    def name(self) -> str:
        """For custodian's log."""
        return Path(self.command[0]).name

    def is_running(self) -> bool:
        """Whether the engine runs."""
        return self._process is not None and self._process.poll() is None

    def setup(self, directory: str = "./") -> None:
        """Keep the inputs as they were."""
        for name in INPUTS:
            source = Path(directory) / name
            if source.is_file() and not (kept := source.with_name(f"{name}.orig")).exists():
                shutil.copyfile(source, kept)

    def run(self, directory: str = "./") -> subprocess.Popen[bytes]:
        """Start the engine."""
        folder = Path(directory)
        if self.guard:
            self.guard.is_cured = False
        self.close()
        with (folder / "vasp.out").open("w") as out, (folder / "std_err.txt").open("w") as err:
            self._process = subprocess.Popen(self.command, cwd=folder, stdout=out, stderr=err)
        self._since = time.monotonic()
        self.runs.append({"exit": None, "wall_seconds": None})
        self.warden.watch(self._process, folder, self.relaxation)
        return self._process

    def terminate(self, directory: str = "./") -> None:
        """End it: custodian would end the engine's process group, which here is the runner's own."""
        if self._process is not None:
            end(self._process)

    def postprocess(self, directory: str = "./") -> None:
        """Nothing: the files stay as the engine left them."""

    def close(self) -> None:
        """Record how the last run ended."""
        if self._process is not None and self.runs and self.runs[-1]["exit"] is None:
            self.runs[-1] = {"exit": self._process.wait(), "wall_seconds": round(time.monotonic() - self._since, 1)}
