"""A real Grid Engine: its words and refusals, walltime, a master that stops, a driver killed at the worst moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.submission.schedulers.sge import GridEngine
from kalloy.workflows.submission.schedulers.vocabulary import Accepted, Job, Order, Phase, Refused, Unknown

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("sge")]
HERE = Path(__file__).resolve().parent


@pytest.fixture
def engine(sge: Cluster, monkeypatch: pytest.MonkeyPatch) -> GridEngine:
    """The adapter, in the environment of the running Grid Engine."""
    for name, value in sge.environment.items():
        monkeypatch.setenv(name, value)
    return GridEngine()


def script(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.sh"
    path.write_text("\n".join(["#!/bin/bash", *lines]) + "\n")
    return path


def ended(engine: GridEngine, tag: str, size: int, seconds: float = 60) -> list[Job]:
    """What accounting says, once it knows all."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        answer = engine.accounting([tag])
        if isinstance(answer, list) and len(answer) >= size:
            return answer
        time.sleep(0.5)
    raise AssertionError(f"{tag} has not ended: {engine.poll([tag])}")


def test_tasks_are_told_one_by_one_by_index_from_0(engine: GridEngine, tmp_path: Path) -> None:
    tag = "karray000000000"
    # A folder with a space, for people have them.
    path = script(tmp_path / "a b", "sleep 2", "[ $SGE_TASK_ID = 2 ] && exit 3", "exit 0")
    answer = engine.submit(Order(tag, path, 3))
    assert isinstance(answer, Accepted)
    live = engine.poll([tag, "knobody00000000"])
    assert isinstance(live, list)
    assert {(j.id, j.index, j.tag, j.in_array) for j in live} == {(answer.id, i, tag, True) for i in range(3)}
    assert {(j.index, j.word) for j in ended(engine, tag, 3)} == {(0, "done"), (1, "failed"), (2, "done")}
    assert engine.poll([tag]) == []
    assert engine.accounting(["knobody00000000"]) == []


def test_tasks_wait_for_the_task_of_their_number(engine: GridEngine, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    first = engine.submit(
        Order("kfirst000000000", script(tmp_path / "1", "sleep 1", f"echo first $SGE_TASK_ID >>{marks}"), 2)
    )
    assert isinstance(first, Accepted)
    second = script(tmp_path / "2", f"echo second $SGE_TASK_ID >>{marks}")
    assert isinstance(engine.submit(Order("ksecond00000000", second, 2, first.id)), Accepted)
    ended(engine, "ksecond00000000", 2)
    lines = marks.read_text().splitlines()
    assert all(lines.index(f"first {i}") < lines.index(f"second {i}") for i in (1, 2))


@pytest.mark.parametrize("option", ["-q nosuch.q", "-P nosuch", "-l foo=3", "-pe foo 3", "-nosuch 3"])
def test_a_wrong_option_is_a_proven_refusal(engine: GridEngine, tmp_path: Path, option: str) -> None:
    tag = "krefused0000000"
    assert isinstance(engine.submit(Order(tag, script(tmp_path, f"#$ {option}"), 2)), Refused)
    assert engine.poll([tag]) == []


def test_a_job_beyond_its_time_is_walltime(engine: GridEngine, tmp_path: Path) -> None:
    tag = "kwalltime000000"
    engine.submit(Order(tag, script(tmp_path, "#$ -l h_rt=2", "sleep 60"), 1))
    (job,) = ended(engine, tag, 1)
    assert (job.phase, job.cause) == (Phase.ENDED, Cause.WALLTIME)


def test_cancelled_tasks_end_and_the_others_do_not(engine: GridEngine, tmp_path: Path) -> None:
    tag = "kcancel00000000"
    engine.submit(Order(tag, script(tmp_path, "sleep 6"), 3))
    live = engine.poll([tag])
    assert isinstance(live, list)
    assert engine.cancel([j for j in live if j.index == 1]) is None
    assert engine.cancel([j for j in live if j.index == 1]) is None  # told twice is no error
    words = {j.index: j.word for j in ended(engine, tag, 2)}
    assert {i: w for i, w in words.items() if i != 1} == {0: "done", 2: "done"}


def test_a_driver_killed_between_submission_and_record_submits_nothing_twice(sge: Cluster, tmp_path: Path) -> None:
    campaign = sge.campaign(tmp_path / "c")
    real = shutil.which("qsub", path=sge.environment["PATH"])
    shim = tmp_path / "bin" / "qsub"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/bash\n"{real}" "$@" >"{tmp_path}/answer" 2>&1\nkill -KILL $PPID\n')
    shim.chmod(0o755)
    killed = sge.run("submit", str(campaign.root), PATH=f"{shim.parent}:{sge.environment['PATH']}")
    assert killed.returncode == -signal.SIGKILL
    (batch,) = campaign.batches.iterdir()
    assert (tmp_path / "answer").read_text()[0].isdigit(), "the submission itself succeeded"
    assert not (batch / "submitted.json").exists()
    campaign.index_file.unlink(missing_ok=True)

    done = sge.run("run", str(campaign.root))

    assert done.returncode == 0, done.stdout + done.stderr
    assert list(campaign.batches.iterdir()) == [batch]
    assert set(sge.ledger(campaign).values()) == {1}


def test_without_its_master_nothing_is_known(sge: Cluster, engine: GridEngine, tmp_path: Path) -> None:
    tag = "kunknown0000000"
    master = int((Path(sge.environment["SGE_TEST_ROOT"]) / "run/sge_qmaster.pid").read_text())
    os.kill(master, signal.SIGTERM)
    try:
        until = time.monotonic() + 30
        while Path(f"/proc/{master}").exists() and time.monotonic() < until:
            time.sleep(0.2)
        assert isinstance(engine.poll([tag]), Unknown)
        assert isinstance(engine.submit(Order(tag, script(tmp_path, "true"), 1)), Unknown)
    finally:
        subprocess.run(["bash", str(HERE / "start-sge.sh")], timeout=120, check=True, capture_output=True)
    assert engine.poll([tag]) == []
