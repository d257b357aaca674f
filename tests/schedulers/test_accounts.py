"""A SLURM that keeps accounts: limits of a QOS, and ends that only sacct knows."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.files import read_json
from kalloy.workflows.submission.batch import Batch
from kalloy.workflows.submission.board import all_standings
from kalloy.workflows.submission.schedulers.slurm import read_jobs

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def test_a_limit_is_waited_for(slurm_with_accounts: Cluster, tmp_path: Path) -> None:
    slurm = slurm_with_accounts
    slurm.options = 'options = { partition = "debug", time = "00:10:00", qos = "tiny" }'
    campaign = slurm.campaign(tmp_path / "c", 'jobs = { per = "stage" }')
    first = slurm.run("submit", str(campaign.root))
    assert first.returncode == 3, first
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert set(slurm.ledger(campaign).values()) == {1}
    assert len(slurm.ledger(campaign)) == 6
    voided = [read_json(p)["words"] for p in campaign.batches.glob("*/void.json")]
    assert any("limit" in words.lower() for words in voided), voided


def test_an_end_that_only_the_accounts_know(slurm_with_accounts: Cluster, tmp_path: Path) -> None:
    """Cancelled behind our back, gone from the queue: the accounts say so, and nothing is left waiting."""
    slurm = slurm_with_accounts
    slurm.options = 'options = { partition = "debug", time = "00:10:00" }'
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=30)
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    owner = Attempt(campaign.root / "host/relax/a01").owner
    assert owner
    os.killpg(owner["group"], signal.SIGKILL)
    slurm.wait_for(lambda: not slurm.call("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").count("_0 "))
    (batch,) = campaign.batches.iterdir()
    slurm.wait_for(
        lambda: "FAILED" in slurm.call("sacct", "-n", "-P", "-X", f"--name={batch.name}", "-o", "JobID,State")
    )
    said = slurm.run("status", str(campaign.root))
    assert "gone from the queue" in said.stdout or "lost" in said.stdout
    slurm.change(campaign, "SECONDS='30'", "SECONDS='0'")
    slurm.run("cancel", "--member", "K1/c1", "--member", "K1/c2", str(campaign.root))
    slurm.run("run", str(campaign.root))
    states = {s.label: (s.state, s.tries) for s in all_standings(campaign)}
    assert states["host relax"] == (State.DONE, 2)
    assert read_json(batch / "closed.json")["endings"]["0"]["word"] == "FAILED"


def test_the_answer_is_lost_and_the_queue_has_forgotten(slurm_with_accounts: Cluster, tmp_path: Path) -> None:
    slurm = slurm_with_accounts
    campaign = slurm.campaign(tmp_path / "c")
    path = slurm.shim(tmp_path, "sbatch", '$real --begin=now "$@"', "kill -KILL $PPID")
    slurm.start("submit", str(campaign.root), PATH=path).communicate(timeout=600)
    (batch,) = campaign.batches.iterdir()
    slurm.wait_for(lambda: not slurm.call("squeue", "-h", "-t", "all", "-n", batch.name).strip())
    listed = slurm.call("sacct", "-n", "-P", "-X", f"--name={batch.name}", "-o", "JobID,JobName,State,ExitCode")
    assert {j.index for j in read_jobs(listed)} == {0, 1, 2}
    again = slurm.run("run", str(campaign.root))
    assert again.returncode == 0, again
    assert list(campaign.batches.iterdir()) == [batch]
    assert set(slurm.ledger(campaign).values()) == {1}


def test_a_hard_end_of_the_walltime_is_told_by_the_schedulers_word(
    slurm_with_accounts: Cluster, tmp_path: Path
) -> None:
    """Its time is cut short while it runs: SLURM ends engine and runner at once, and neither knows why."""
    slurm = slurm_with_accounts
    slurm.options = 'options = { partition = "debug", time = "00:10:00" }'
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=20)
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    job = slurm.element(campaign, 0)
    slurm.call("scontrol", "update", f"jobid={job}", "endtime=now+1")
    slurm.wait_for(lambda: "TIMEOUT" in slurm.call("sacct", "-n", "-P", "-X", "-j", job, "-o", "State"))
    slurm.change(campaign, "SECONDS='20'", "SECONDS='0'")
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    told = next(line for line in done.stdout.splitlines() if "; a new attempt follows" in line)
    assert "host relax: " in told
    assert "TIMEOUT" in told
    (first, *_) = sorted(campaign.batches.iterdir(), key=lambda b: read_json(b / "manifest.json")["made"])
    ending = Batch(first).endings["0"]  # the batch may not be closed yet
    assert (ending["word"], ending["cause"]) == ("TIMEOUT", "walltime")
    assert slurm.tries(campaign)["host relax"] == 2
    assert set(slurm.ledger(campaign).values()) == {1}
