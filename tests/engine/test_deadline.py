"""The free engine under the runner when its job's time is over: it obeys STOPCAR, and the next attempt can go on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.execution.deadline import Deadline, Warden
from kalloy.workflows.execution.runner import execute

pytestmark = pytest.mark.engine
Job = Callable[..., Path]
ENDLESS = {"IBRION": "2", "ISIF": "3", "NSW": "50", "EDIFFG": "-1E-9", "EDIFF": "1E-6"}
GAMMA = "mesh\n0\nGamma\n1 1 1\n"


def attempt_of(folder: Path, stage: str) -> Attempt:
    record: dict[str, object] = {
        "member": "host",
        "stage": stage,
        "engine": "gpaw",
        "program": "gpaw",
        "command": "kalloy-gpaw",
    }
    record |= {"parents": []}
    (folder / "attempt.json").write_text(json.dumps(record))
    return Attempt(folder)


def run_until(attempt: Attempt, file: str, mark: str) -> None:
    """Execute; the job's time is nearly over once a file of the engine's holds a mark."""
    with Warden(Deadline(time.time() + 3000, 6)) as warden:

        def watch() -> None:
            path = attempt.folder / file
            while not path.is_file() or mark not in path.read_text(errors="replace"):
                time.sleep(0.05)
            warden.deadline = Deadline(time.time() + 120, 120)

        threading.Thread(target=watch, daemon=True).start()
        assert execute(attempt.folder, warden=warden) is Outcome.FAILED


def test_a_relaxation_ends_after_its_ionic_step(job: Job, kbr: str) -> None:
    attempt = attempt_of(job(ENDLESS, GAMMA, kbr.replace("0.5 0.5 0.5", "0.47 0.48 0.49")), "relax")
    run_until(attempt, "OSZICAR", " F=")
    end = attempt.end
    assert end is not None
    assert (end["cause_class"], end["goes_on"]) == ("walltime", True)
    assert [run["exit"] for run in end["runs"]] == [0]  # by itself
    assert "</modeling>" in (attempt.folder / "vasprun.xml").read_text()
    assert "soft stop encountered" in (attempt.folder / "OUTCAR").read_text(errors="replace")
    assert (attempt.folder / "STOPCAR").read_text() == "LSTOP = .TRUE.\n"


def test_a_static_run_ends_after_its_electronic_step(job: Job) -> None:
    attempt = attempt_of(job({"NSW": "0", "EDIFF": "1E-14", "NELM": "500"}, GAMMA), "static")
    run_until(attempt, "OSZICAR", ":")
    end = attempt.end
    assert end is not None
    assert (end["cause_class"], end["goes_on"]) == ("walltime", False)
    assert (attempt.folder / "STOPCAR").read_text() == "LABORT = .TRUE.\n"
    assert "hard stop encountered" in (attempt.folder / "OUTCAR").read_text(errors="replace")
