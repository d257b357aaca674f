"""Faults around the submission, on a real SLURM: nothing runs twice or is lost, the message says what happened."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import State
from kalloy.workflows.submission.board import all_standings

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def test_the_submission_times_out_and_the_job_exists(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    # The controller takes the job and the answer never arrives.
    path = slurm.shim(
        tmp_path, "sbatch", '$real "$@" >/dev/null', "echo 'sbatch: error: Socket timed out' >&2", "exit 1"
    )
    first = slurm.run("submit", str(campaign.root), PATH=path)
    assert "it is looked for before anything is submitted again" in first.stdout
    assert first.returncode == 3
    second = slurm.run("submit", str(campaign.root))
    assert "not submitted again" in second.stdout
    slurm.ends_well(campaign)
    assert len(list(campaign.batches.iterdir())) == 1


def test_the_controller_is_frozen_while_we_submit(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    os.kill(slurm.daemon("slurmctld"), signal.SIGSTOP)
    try:
        first = slurm.run("submit", str(campaign.root))
    finally:
        os.kill(slurm.daemon("slurmctld"), signal.SIGCONT)
    assert first.returncode == 3, first
    slurm.ends_well(campaign)


def test_the_driver_is_killed_between_submission_and_record(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    path = slurm.shim(tmp_path, "sbatch", '$real "$@"', "kill -KILL $PPID")
    killed = slurm.start("submit", str(campaign.root), PATH=path)
    killed.communicate(timeout=600)
    assert killed.returncode == -signal.SIGKILL
    campaign.index_file.unlink(missing_ok=True)
    slurm.ends_well(campaign)
    assert len(list(campaign.batches.iterdir())) == 1


def test_killed_before_the_scheduler_heard_of_it(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    path = slurm.shim(tmp_path, "sbatch", "kill -KILL $PPID")
    slurm.start("submit", str(campaign.root), PATH=path).communicate(timeout=600)
    (batch,) = campaign.batches.iterdir()
    later = time.time() + 600  # however slow this machine is, the grace time is not over
    os.utime(batch / "manifest.json", (later, later))
    soon = slurm.run("submit", str(campaign.root))
    assert "6 submitting" in soon.stdout
    assert list(campaign.batches.iterdir()) == [batch]
    os.utime(batch / "manifest.json")
    slurm.ends_well(campaign)
    assert len(list(campaign.batches.iterdir())) == 2


def test_the_controller_does_not_answer(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    os.kill(slurm.daemon("slurmctld"), signal.SIGSTOP)
    try:
        submitted = slurm.run("submit", str(campaign.root))
        status = slurm.run("status", str(campaign.root))
    finally:
        os.kill(slurm.daemon("slurmctld"), signal.SIGCONT)
    assert submitted.returncode == status.returncode == 3
    assert "slurm does not answer" in submitted.stdout + status.stderr
    slurm.ends_well(campaign)


def test_the_controller_is_down(slurm: Cluster, tmp_path: Path) -> None:
    """Its jobs run to their ends meanwhile; it is asked less and less often, and nothing is called finished or lost."""
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=1)
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: slurm.running(campaign) == 3)
    before = slurm.daemon("slurmctld")
    os.kill(before, signal.SIGTERM)
    try:
        slurm.wait_for(lambda: not Path(f"/proc/{before}").exists())
        slurm.wait_for(lambda: slurm.ledger(campaign)["K1/c2/static/a01"])
        status = slurm.run("status", str(campaign.root))
        assert "slurm does not answer" in status.stderr
        assert "lost" not in status.stdout
        assert driver.poll() is None
    finally:
        slurm.bring_up()
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    assert "nothing is submitted until it does" in said
    assert said.count("slurm answers again") == 1
    assert set(slurm.tries(campaign).values()) == {1}
    slurm.ends_well(campaign)
    assert len(list(campaign.batches.iterdir())) == 1


def test_submitted_while_the_controller_is_down(slurm: Cluster, tmp_path: Path) -> None:
    """Of a connection that failed nobody knows how far it came: it is looked for, and then submitted anew."""
    campaign = slurm.campaign(tmp_path / "c")
    slurm.run("write", str(campaign.root))
    before = slurm.daemon("slurmctld")
    os.kill(before, signal.SIGTERM)
    try:
        slurm.wait_for(lambda: not Path(f"/proc/{before}").exists())
        submitted = slurm.run("submit", str(campaign.root))
        again = slurm.run("submit", str(campaign.root))
    finally:
        slurm.bring_up()
    assert submitted.returncode == again.returncode == 3
    assert "it is looked for before anything is submitted again" in submitted.stdout
    assert "6 submitting" in submitted.stdout
    assert "slurm does not answer" in again.stdout
    assert len(list(campaign.batches.iterdir())) == 1
    slurm.ends_well(campaign)
    voided = [(batch / "void.json").is_file() for batch in campaign.batches.iterdir()]
    assert sorted(voided) == [False, True]


def test_a_stopped_driver_leaves_its_jobs_and_says_so(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=15)
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: slurm.running(campaign) == 3)
    second = slurm.run("submit", str(campaign.root))
    assert second.returncode == 4
    assert f"pid {driver.pid}" in second.stderr
    os.kill(driver.pid, signal.SIGINT)
    out, _ = driver.communicate(timeout=600)
    assert driver.returncode == 130
    assert "jobs that slurm has go on" in out
    slurm.ends_well(campaign)


def test_a_refused_option_is_told_in_slurms_words(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    slurm.change(campaign, 'partition = "debug"', 'partition = "nope"')
    refused = slurm.run("submit", str(campaign.root))
    assert refused.returncode == 1
    assert "invalid partition specified: nope" in refused.stderr
    slurm.change(campaign, 'partition = "nope"', 'partition = "debug"')
    slurm.ends_well(campaign)


def test_a_job_that_ends_before_it_begins_is_not_started_for_ever(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    slurm.change(campaign, "setup = [", 'setup = ["exit 7", ')
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 1
    assert "before it began" in slurm.run("status", str(campaign.root)).stdout
    assert len(list(campaign.batches.iterdir())) == 1
    slurm.change(campaign, "exit 7", "true")
    slurm.run("retry", str(campaign.root))
    slurm.ends_well(campaign)


# -- how calculations become jobs -------------------------------------------------------


def test_cancel_and_retry(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=5)
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: slurm.running(campaign) == 3)
    one = slurm.run("cancel", "--member", "host", str(campaign.root))
    assert one.returncode == 0, one
    states = {s.label: s.state for s in all_standings(campaign)}
    assert states["host relax"] is states["host static"] is State.CANCELLED
    assert states["K1/c1 relax"] is State.RUNNING
    slurm.change(campaign, "SECONDS='5'", "SECONDS='0'")
    again = slurm.run("retry", "--state", "cancelled", str(campaign.root))
    assert "2 new attempts" in again.stdout
    assert slurm.run("run", str(campaign.root)).returncode == 0


def test_packed_jobs_and_one_a_stage(slurm: Cluster, tmp_path: Path) -> None:
    packed = slurm.campaign(tmp_path / "packed", "jobs = { pack = 2 }")
    assert "2 jobs as slurm" in slurm.run("submit", str(packed.root)).stdout
    slurm.ends_well(packed)
    chained = slurm.campaign(tmp_path / "chained", 'jobs = { per = "stage" }')
    first = slurm.run("submit", str(chained.root)).stdout
    assert first.count("3 jobs as slurm") == 2
    assert ", after " in first
    slurm.ends_well(chained)


def test_an_array_is_split_and_so_is_what_may_be_in_flight(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    first = slurm.run("submit", "--max-jobs", "2", str(campaign.root))
    assert "2 jobs as slurm" in first.stdout
    assert "2 ready" not in first.stdout
    slurm.ends_well(campaign)


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
    slurm.ends_well(campaign)
    log = next(campaign.batches.glob("*/0.log")).read_text()
    assert log.startswith("mine\n")
