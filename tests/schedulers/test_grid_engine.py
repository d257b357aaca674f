"""A real Grid Engine: its words and refusals, walltime, a master or a node that dies, a driver killed at the worst."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.files import read_json
from kalloy.workflows.submission.board import all_standings
from kalloy.workflows.submission.schedulers.sge import GridEngine
from kalloy.workflows.submission.schedulers.vocabulary import Accepted, Job, Order, Phase, Refused, Unknown

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("sge")]


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


def test_a_hard_end_of_the_walltime_is_told_by_the_accounts(sge: Cluster, tmp_path: Path) -> None:
    """No warning at all: runner and engine are killed at ``h_rt``, and nobody but the accounts says why."""
    campaign = sge.campaign(tmp_path / "c", STANDIN_SECONDS=60)
    sge.change(campaign, 'time = "00:10:00"', 'time = "00:00:40"')
    # Longer than the truth, so that the runner does not end in time by itself.
    sge.change(campaign, "setup = [", 'setup = ["export KALLOY_DEADLINE=$(($(date +%s) + 9999))", ')
    sge.run("submit", str(campaign.root))
    (batch,) = campaign.batches.iterdir()
    sge.wait_for(lambda: len(sge.ledger(campaign)) == 3)
    sge.wait_for(lambda: batch.name not in sge.call("qstat", "-r"))
    assert Attempt(campaign.root / "host/relax/a01").end is None
    sge.change(campaign, "SECONDS='60'", "SECONDS='0'")
    done = sge.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert "host relax: lost: its job ended (failed, failed 37" in done.stdout
    assert {s.tries for s in all_standings(campaign) if s.stage == "relax"} == {2}
    assert {e["cause"] for e in read_json(batch / "closed.json")["endings"].values()} == {"walltime"}


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
    path = sge.shim(tmp_path, "qsub", f'$real "$@" >"{tmp_path}/answer" 2>&1', "kill -KILL $PPID")
    killed = sge.run("submit", str(campaign.root), PATH=path)
    assert killed.returncode == -signal.SIGKILL
    (batch,) = campaign.batches.iterdir()
    assert (tmp_path / "answer").read_text()[0].isdigit(), "the submission itself succeeded"
    assert not (batch / "submitted.json").exists()
    campaign.index_file.unlink(missing_ok=True)
    sge.ends_well(campaign)
    assert list(campaign.batches.iterdir()) == [batch]


def test_without_its_master_nothing_is_known(sge: Cluster, engine: GridEngine, tmp_path: Path) -> None:
    tag = "kunknown0000000"
    master = sge.daemon("sge_qmaster")
    os.kill(master, signal.SIGTERM)
    try:
        sge.wait_for(lambda: not Path(f"/proc/{master}").exists())
        assert isinstance(engine.poll([tag]), Unknown)
        assert isinstance(engine.submit(Order(tag, script(tmp_path, "true"), 1)), Unknown)
    finally:
        sge.bring_up()
    assert engine.poll([tag]) == []


def test_a_campaign_outlives_its_master(sge: Cluster, tmp_path: Path) -> None:
    campaign = sge.campaign(tmp_path / "c", STANDIN_SECONDS=1)
    driver = sge.start("run", str(campaign.root))
    sge.wait_for(lambda: sge.running(campaign) == 3)
    master = sge.daemon("sge_qmaster")
    os.kill(master, signal.SIGTERM)
    try:
        sge.wait_for(lambda: not Path(f"/proc/{master}").exists())
        sge.wait_for(lambda: sge.ledger(campaign)["K1/c2/static/a01"])
        status = sge.run("status", str(campaign.root))
        assert "sge does not answer" in status.stderr
        assert "lost" not in status.stdout
    finally:
        sge.bring_up()
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    assert set(sge.tries(campaign).values()) == {1}
    sge.ends_well(campaign)


def test_a_node_dies_and_comes_back(sge: Cluster, tmp_path: Path) -> None:
    """All that one machine allows: its daemon, the shepherds and the jobs die at once, and the daemon is started again.

    A node that never comes back leaves its tasks in state r until an administrator ends them (`qdel -f`).
    """
    campaign = sge.campaign(tmp_path / "c", STANDIN_SECONDS=3)
    driver = sge.start("run", str(campaign.root))
    sge.wait_for(lambda: sge.running(campaign) == 3)
    node = sge.daemon("sge_execd")
    owners = [s.attempt.owner for s in all_standings(campaign) if s.attempt and s.attempt.owner]
    for process in (node, *children(node)):
        os.kill(process, signal.SIGKILL)
    for owner in owners:
        os.killpg(owner["group"], signal.SIGKILL)
    try:
        time.sleep(5)
        status = sge.run("status", str(campaign.root))
        assert "lost" not in status.stdout  # the queue still says that they run
        assert set(sge.tries(campaign).values()) == {1}
    finally:
        sge.bring_up()
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    assert "host relax: lost" in said
    assert set(sge.ledger(campaign).values()) == {1}
    assert {s.tries for s in all_standings(campaign) if s.stage == "relax"} == {2}
    words = [e["why"] for p in campaign.batches.glob("*/closed.json") for e in read_json(p)["endings"].values()]
    assert sum("before writing exit_status" in why for why in words) == 3


def children(parent: int) -> list[int]:
    """Processes that it started."""
    stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.is_file())
    return [int(text.split()[0]) for text in stats if text.rpartition(")")[2].split()[1] == str(parent)]


@pytest.fixture
def at_most_one_job(sge: Cluster, tmp_path: Path) -> Iterator[None]:
    """A cluster that takes one job of a user at a time (``max_u_jobs``)."""
    before = sge.call("qconf", "-sconf")
    change(sge, tmp_path, before.replace("max_u_jobs                   0", "max_u_jobs                   1"))
    yield
    change(sge, tmp_path, before)


def change(sge: Cluster, folder: Path, text: str) -> None:
    (folder / "global").write_text(text[text.index("\n") + 1 :])
    assert "modified" in sge.call("qconf", "-Mconf", str(folder / "global"))


@pytest.mark.usefixtures("at_most_one_job")
def test_a_limit_is_waited_for(sge: Cluster, tmp_path: Path) -> None:
    campaign = sge.campaign(tmp_path / "c", 'jobs = { per = "stage" }')
    sge.ends_well(campaign)
    voided = [read_json(p)["words"] for p in campaign.batches.glob("*/void.json")]
    assert any("only 1 jobs are allowed per user" in words for words in voided), voided


def test_packed_jobs_and_one_a_stage(sge: Cluster, tmp_path: Path) -> None:
    packed = sge.campaign(tmp_path / "packed", "jobs = { pack = 2 }")
    assert "2 jobs as sge" in sge.run("submit", str(packed.root)).stdout
    sge.ends_well(packed)
    chained = sge.campaign(tmp_path / "chained", 'jobs = { per = "stage" }')
    first = sge.run("submit", str(chained.root)).stdout
    assert first.count("3 jobs as sge") == 2
    assert ", after " in first
    sge.ends_well(chained)


def test_cancel_and_retry(sge: Cluster, tmp_path: Path) -> None:
    campaign = sge.campaign(tmp_path / "c", STANDIN_SECONDS=5)
    sge.run("submit", str(campaign.root))
    sge.wait_for(lambda: sge.running(campaign) == 3)
    one = sge.run("cancel", "--member", "host", str(campaign.root))
    assert one.returncode == 0, one
    states = {s.label: s.state for s in all_standings(campaign)}
    assert states["host relax"] is states["host static"] is State.CANCELLED
    assert states["K1/c1 relax"] is State.RUNNING
    sge.change(campaign, "SECONDS='5'", "SECONDS='0'")
    assert "2 new attempts" in sge.run("retry", "--state", "cancelled", str(campaign.root)).stdout
    assert sge.run("run", str(campaign.root)).returncode == 0
