"""Faults on a real SLURM: nothing runs twice, nothing is lost, and the message says what happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.board import all_standings

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def controller(cluster: Cluster) -> int:
    root = Path(cluster.environment["SLURM_TEST_ROOT"])
    return int((root / "run" / "slurmctld.pid").read_text())


def nothing_twice_nothing_lost(cluster: Cluster, campaign: Campaign) -> None:
    done = cluster.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert {s.state for s in all_standings(campaign)} == {State.DONE}
    runs = cluster.ledger(campaign)
    assert set(runs.values()) == {1}, runs
    ended = [
        line.split()[1].rsplit("/", 1)[0]
        for line in (campaign.root / "ledger").read_text().splitlines()
        if "end" in line
    ]
    assert len(ended) == len(set(ended)) == 6


def test_the_submission_times_out_and_the_job_exists(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    shim = tmp_path / "bin"
    shim.mkdir()
    real = shutil.which("sbatch")
    # The controller takes the job and the answer never arrives.
    (shim / "sbatch").write_text(
        f"#!/bin/bash\n{real} \"$@\" >/dev/null\necho 'sbatch: error: Socket timed out' >&2\nexit 1\n"
    )
    (shim / "sbatch").chmod(0o755)
    first = slurm.run("submit", str(campaign.root), PATH=f"{shim}:{slurm.environment['PATH']}")
    assert "it is looked for before anything is submitted again" in first.stdout
    assert first.returncode == 3
    second = slurm.run("submit", str(campaign.root))
    assert "not submitted again" in second.stdout
    nothing_twice_nothing_lost(slurm, campaign)
    assert len(list(campaign.batches.iterdir())) == 1


def test_the_controller_is_frozen_while_we_submit(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    os.kill(controller(slurm), signal.SIGSTOP)
    try:
        first = slurm.run("submit", str(campaign.root))
    finally:
        os.kill(controller(slurm), signal.SIGCONT)
    assert first.returncode == 3, first
    nothing_twice_nothing_lost(slurm, campaign)


def test_the_driver_is_killed_between_submission_and_record(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    shim = tmp_path / "bin"
    shim.mkdir()
    real = shutil.which("sbatch")
    (shim / "sbatch").write_text(f'#!/bin/bash\n{real} "$@"\nkill -KILL $PPID\n')
    (shim / "sbatch").chmod(0o755)
    killed = slurm.start("submit", str(campaign.root), PATH=f"{shim}:{slurm.environment['PATH']}")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    campaign.index_file.unlink(missing_ok=True)
    nothing_twice_nothing_lost(slurm, campaign)
    assert len(list(campaign.batches.iterdir())) == 1


def test_killed_before_the_scheduler_heard_of_it(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    shim = tmp_path / "bin"
    shim.mkdir()
    (shim / "sbatch").write_text("#!/bin/bash\nkill -KILL $PPID\n")
    (shim / "sbatch").chmod(0o755)
    slurm.start("submit", str(campaign.root), PATH=f"{shim}:{slurm.environment['PATH']}").communicate(timeout=60)
    soon = slurm.run("submit", str(campaign.root))
    assert "6 submitting" in soon.stdout  # within the grace time nothing is submitted again
    nothing_twice_nothing_lost(slurm, campaign)
    assert len(list(campaign.batches.iterdir())) == 2


def test_the_job_is_gone_from_the_queue(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: not slurm.call("squeue", "-h", "-t", "all").strip())  # MinJobAge 5
    nothing_twice_nothing_lost(slurm, campaign)


def test_a_node_fails(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("setup = [", 'setup = ["export STANDIN_SECONDS=3", '))
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: sum(s.state is State.RUNNING for s in all_standings(campaign)) == 3)
    node = slurm.call("sinfo", "-h", "-o", "%n").strip()
    slurm.call("scontrol", "update", f"nodename={node}", "state=down", "reason=x")
    time.sleep(3)
    slurm.call("scontrol", "update", f"nodename={node}", "state=resume")
    out, _ = driver.communicate(timeout=180)
    assert driver.returncode == 0, out
    assert set(slurm.ledger(campaign).values()) == {1}
    assert {s.tries for s in all_standings(campaign) if s.stage == "relax"} == {2}


@pytest.mark.parametrize("warned", [True, False])
def test_a_requeued_job_enters_its_own_attempt_again(slurm: Cluster, tmp_path: Path, warned: bool) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("setup = [", 'setup = ["export STANDIN_SECONDS=4", '))
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    (batch,) = campaign.batches.iterdir()
    listed = slurm.call("squeue", "-h", "-r", "-n", batch.name, "-o", "%K %A").splitlines()
    job = next(line.split()[1] for line in listed if line.startswith("0 "))
    slurm.call("scontrol", "update", f"jobid={job}", "requeue=1")
    if not warned:  # as when the node dies: no record
        owner = Attempt(campaign.root / "host/relax/a01").owner
        assert owner
        os.killpg(owner["group"], signal.SIGKILL)
        slurm.wait_for(lambda: "FAILED" in slurm.call("squeue", "-h", "-t", "all", "-j", job, "-o", "%T"))
    slurm.call("scontrol", "requeue", job)
    slurm.wait_for(lambda: "PENDING" in slurm.call("squeue", "-h", "-j", job, "-o", "%T"))
    slurm.call("scontrol", "update", f"jobid={job}", "starttime=now")  # SLURM lets a requeued job wait for two minutes
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    tries = {s.label: s.tries for s in all_standings(campaign)}
    others = Counter({f"K1/{c}/{stage}/a01": 1 for c in ("c1", "c2") for stage in ("relax", "static")})
    if warned:  # it ended with a record: a new attempt follows, and the requeued job leaves the old one alone
        assert tries["host relax"] == 2
        assert slurm.ledger(campaign) == others + Counter(["host/relax/a01", "host/relax/a02", "host/static/a01"])
    else:
        assert tries["host relax"] == 1
        assert (campaign.root / "host/relax/a01/requeued-1/claim/owner.json").is_file()
        assert slurm.ledger(campaign) == others + Counter({"host/relax/a01": 2, "host/static/a01": 1})


def test_the_controller_is_down(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    os.kill(controller(slurm), signal.SIGSTOP)  # as one that does not answer
    try:
        slurm.run("write", str(campaign.root))
        status = slurm.run("status", str(campaign.root))
        assert "does not answer" in status.stderr or status.returncode == 3
    finally:
        os.kill(controller(slurm), signal.SIGCONT)
    nothing_twice_nothing_lost(slurm, campaign)


def test_cancel_and_retry(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("setup = [", 'setup = ["export STANDIN_SECONDS=5", '))
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: sum(s.state is State.RUNNING for s in all_standings(campaign)) == 3)
    one = slurm.run("cancel", "--member", "host", str(campaign.root))
    assert one.returncode == 0, one
    states = {(s.member, s.stage.value): s.state for s in all_standings(campaign)}
    assert states["host", "relax"] is states["host", "static"] is State.CANCELLED
    assert states["K1/c1", "relax"] is State.RUNNING
    spec.write_text(spec.read_text().replace("SECONDS=5", "SECONDS=0"))
    again = slurm.run("retry", "--state", "cancelled", str(campaign.root))
    assert "2 new attempts" in again.stdout
    assert slurm.run("run", str(campaign.root)).returncode == 0


def test_a_stopped_driver_leaves_its_jobs_and_says_so(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("setup = [", 'setup = ["export STANDIN_SECONDS=5", '))
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: sum(s.state is State.RUNNING for s in all_standings(campaign)) == 3)
    second = slurm.run("submit", str(campaign.root))
    assert second.returncode == 4
    assert f"pid {driver.pid}" in second.stderr
    os.kill(driver.pid, signal.SIGINT)
    out, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "jobs that slurm has go on" in out
    nothing_twice_nothing_lost(slurm, campaign)


def test_packed_jobs_and_one_a_stage(slurm: Cluster, tmp_path: Path) -> None:
    packed = slurm.campaign(tmp_path / "packed", "jobs = { pack = 2 }")
    assert "2 jobs as slurm" in slurm.run("submit", str(packed.root)).stdout
    nothing_twice_nothing_lost(slurm, packed)
    chained = slurm.campaign(tmp_path / "chained", 'jobs = { per = "stage" }')
    first = slurm.run("submit", str(chained.root)).stdout
    assert first.count("3 jobs as slurm") == 2
    assert ", after " in first
    nothing_twice_nothing_lost(slurm, chained)


def test_an_array_is_split_and_so_is_what_may_be_in_flight(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    first = slurm.run("submit", "--max-jobs", "2", str(campaign.root))
    assert "2 jobs as slurm" in first.stdout
    assert "2 ready" not in first.stdout
    nothing_twice_nothing_lost(slurm, campaign)


def test_a_script_of_the_users_own(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    text = "\n".join(line for line in spec.read_text().splitlines() if not line.startswith(("setup", "options")))
    spec.write_text(text.replace("poll =", 'script = "my.sh"\npoll ='))
    (campaign.root / "my.sh").write_text("#!/bin/bash\n#SBATCH --time=00:05:00\necho mine\necho nothing of kalloy\n")
    assert "never runs kalloy" in slurm.run("submit", str(campaign.root)).stderr
    exports = "\n".join(f"export {k}='{v}'" for k, v in {"STANDIN_LOG": str(campaign.root / "ledger")}.items())
    (campaign.root / "my.sh").write_text(
        f'#!/bin/bash\n#SBATCH --time=00:05:00\n{exports}\necho mine\neval "$KALLOY_EXECUTE"\n'
    )
    nothing_twice_nothing_lost(slurm, campaign)
    log = next(campaign.batches.glob("*/0.log")).read_text()
    assert log.startswith("mine\n")


def test_a_refused_option_is_told_in_slurms_words(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace('partition = "debug"', 'partition = "nope"'))
    refused = slurm.run("submit", str(campaign.root))
    assert refused.returncode == 1
    assert "invalid partition specified: nope" in refused.stderr
    spec.write_text(spec.read_text().replace('partition = "nope"', 'partition = "debug"'))
    nothing_twice_nothing_lost(slurm, campaign)


def test_a_job_that_ends_before_it_begins_is_not_started_for_ever(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("setup = [", 'setup = ["exit 7", '))
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 1
    assert "before it began" in slurm.run("status", str(campaign.root)).stdout
    assert len(list(campaign.batches.iterdir())) == 1
    spec.write_text(spec.read_text().replace("exit 7", "true"))
    slurm.run("retry", str(campaign.root))
    nothing_twice_nothing_lost(slurm, campaign)
