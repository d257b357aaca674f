"""Faults of running jobs, on a real SLURM: their time, their node, their disk, and files that show late."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import END, Attempt
from kalloy.workflows.execution.events import read_events
from kalloy.workflows.submission.board import all_standings

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from tests.schedulers.conftest import Cluster

pytestmark = [pytest.mark.scheduler, pytest.mark.slow, pytest.mark.xdist_group("slurm")]
OTHERS = Counter({f"K1/{c}/{stage}/a01": 1 for c in ("c1", "c2") for stage in ("relax", "static")})


def die(campaign: Campaign) -> None:
    """Runner and engine of the host's relaxation, with no warning and no record."""
    owner = Attempt(campaign.root / "host/relax/a01").owner
    assert owner
    os.killpg(owner["group"], signal.SIGKILL)


def requeue(slurm: Cluster, job: str) -> None:
    """As an administrator does, and without the two minutes that SLURM lets a requeued job wait.

    Not at once either: a start in the second in which the node revoked the job's credential is refused there.
    """
    slurm.call("scontrol", "requeue", job)
    slurm.wait_for(lambda: "PENDING" in slurm.call("squeue", "-h", "-j", job, "-o", "%T"))
    slurm.call("scontrol", "update", f"jobid={job}", "starttime=now+3")


def state_of(slurm: Cluster, job: str) -> str:
    return slurm.call("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()


# -- the queue and its memory --------------------------------------------------------------


def test_the_job_is_gone_from_the_queue(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: not slurm.call("squeue", "-h", "-t", "all").strip())  # MinJobAge 5
    slurm.ends_well(campaign)


def test_the_job_died_and_is_gone_from_the_queue(slurm: Cluster, tmp_path: Path) -> None:
    """No record, no accounts, no job: lost, and followed by a new attempt."""
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=3)
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    die(campaign)
    slurm.wait_for(lambda: not slurm.call("squeue", "-h", "-t", "all").strip())
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert slurm.tries(campaign)["host relax"] == 2
    assert slurm.ledger(campaign) == OTHERS + Counter(["host/relax/a01", "host/relax/a02", "host/static/a01"])


# -- its time ---------------------------------------------------------------------------------


def test_a_short_walltime_ends_a_relaxation_in_order_and_the_next_goes_on(slurm: Cluster, tmp_path: Path) -> None:
    """Graceful: STOPCAR comes three steps before the job's end."""
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=8, STANDIN_STEPS=9)
    # After the template's own deadline, in the job.
    slurm.change(campaign, "setup = [", 'setup = ["export KALLOY_DEADLINE=$(($(date +%s) + 60))", ')
    slurm.run("submit", str(campaign.root))
    first = Attempt(campaign.root / "host/relax/a01")
    slurm.wait_for(lambda: first.end)
    assert first.end
    assert (first.end["cause_class"], first.end["goes_on"]) == ("walltime", True)
    assert "LSTOP" in (first.folder / "STOPCAR").read_text()
    slurm.change(campaign, "SECONDS='8'", "SECONDS='0'")
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert "host relax: failed: stopped: " in done.stdout
    assert "; a new attempt follows" in done.stdout
    second = Attempt(campaign.root / "host/relax/a02")
    assert second.written["after"] == {"attempt": "a01", "goes_on_from": "CONTCAR"}
    assert (second.folder / "POSCAR.orig").read_text() != (first.folder / "POSCAR.orig").read_text()
    assert set(slurm.ledger(campaign).values()) == {1}


# -- its node -----------------------------------------------------------------------------------


def test_a_node_fails(slurm: Cluster, tmp_path: Path) -> None:
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=3)
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: slurm.running(campaign) == 3)
    node = slurm.call("sinfo", "-h", "-o", "%n").strip()
    slurm.call("scontrol", "update", f"nodename={node}", "state=down", "reason=x")
    time.sleep(3)
    slurm.call("scontrol", "update", f"nodename={node}", "state=resume")
    out, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, out
    assert set(slurm.ledger(campaign).values()) == {1}
    assert {s.tries for s in all_standings(campaign) if s.stage == "relax"} == {2}


@pytest.mark.parametrize("warned", [True, False])
def test_a_requeued_job_enters_its_own_attempt_again(slurm: Cluster, tmp_path: Path, warned: bool) -> None:
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=4)
    slurm.run("submit", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    job = slurm.element(campaign, 0)
    slurm.call("scontrol", "update", f"jobid={job}", "requeue=1")
    if not warned:  # as when the node dies: no record
        die(campaign)
        slurm.wait_for(lambda: state_of(slurm, job) == "FAILED")
    requeue(slurm, job)
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    tries = slurm.tries(campaign)
    if warned:  # it ended with a record: a new attempt follows, and the requeued job leaves the old one alone
        assert tries["host relax"] == 2
        assert slurm.ledger(campaign) == OTHERS + Counter(["host/relax/a01", "host/relax/a02", "host/static/a01"])
    else:
        assert tries["host relax"] == 1
        assert (campaign.root / "host/relax/a01/requeued-1/claim/owner.json").is_file()
        assert slurm.ledger(campaign) == OTHERS + Counter({"host/relax/a01": 2, "host/static/a01": 1})


def test_a_job_that_is_requeued_too_late_finds_its_place_taken(slurm: Cluster, tmp_path: Path) -> None:
    """The driver has called it lost and begun a second attempt; the first job comes back and runs nothing."""
    campaign = slurm.campaign(tmp_path / "c", STANDIN_SECONDS=8)
    driver = slurm.start("run", str(campaign.root))
    slurm.wait_for(lambda: len(slurm.ledger(campaign)) == 3)
    job = slurm.element(campaign, 0)
    slurm.call("scontrol", "update", f"jobid={job}", "requeue=1")
    slurm.change(campaign, "SECONDS='8'", "SECONDS='0'")
    die(campaign)
    slurm.wait_for(lambda: (campaign.root / "host/relax/a02/attempt.json").is_file())
    if state_of(slurm, job) != "FAILED":
        pytest.skip("SLURM has forgotten the job already: this machine is too slow to bring it back in time")
    requeue(slurm, job)
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    slurm.wait_for(lambda: not slurm.call("squeue", "-h").strip())
    assert slurm.ledger(campaign) == OTHERS + Counter(["host/relax/a01", "host/relax/a02", "host/static/a01"])
    assert Attempt(campaign.root / "host/relax/a01").end is None
    told = [e for path in campaign.batches.glob("*/events/0.jsonl") for e in read_events(path)]
    assert "skipped: a newer attempt has followed it" in [e["outcome"] for e in told]


# -- its disk -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[list[Path]]:
    """Mounts a small file system over folders that are put into the list's `mount`."""
    mounted: list[Path] = []
    yield mounted
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def on_a_small_disk(folder: Path, kilobytes: int, mounted: list[Path]) -> None:
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    line = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if subprocess.run(line, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    mounted.append(folder)
    for name, content in kept.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(("kilobytes", "begun"), [(120, True), (64, False)])
def test_a_full_disk_pauses_the_campaign(
    slurm: Cluster, tmp_path: Path, small_disk: list[Path], kilobytes: int, begun: bool
) -> None:
    campaign = slurm.campaign(tmp_path / "c")
    slurm.run("write", str(campaign.root))
    full = Attempt(campaign.root / "host/relax/a01")
    on_a_small_disk(full.folder, kilobytes, small_disk)
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 1
    assert "nothing more is submitted: host relax: the disk or the quota is full" in done.stderr
    assert "free space or ask for a larger quota, then: kalloy retry" in done.stderr
    assert (full.owner is not None) is begun
    assert len(list(campaign.batches.iterdir())) == 1
    assert "the disk or the quota is full" in slurm.run("status", str(campaign.root)).stdout
    assert slurm.run("submit", str(campaign.root)).returncode == 1  # still nothing, until a person has acted
    subprocess.run(["mount", "-o", "remount,size=10m", str(full.folder)], check=True)
    again = slurm.run("retry", "--cause", "quota", str(campaign.root))
    assert "1 new attempt;" in again.stdout, again
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 0, done
    begun_once = Counter({"host/relax/a01": int(begun), "host/relax/a02": 1, "host/static/a01": 1})
    assert slurm.ledger(campaign) == OTHERS + begun_once


# -- its files --------------------------------------------------------------------------------------


def test_an_end_record_that_shows_late_is_waited_for(slurm: Cluster, tmp_path: Path) -> None:
    """A network file system shows a file some time after another machine has renamed it into place."""
    late = tmp_path / "late"
    late.mkdir()
    (late / "sitecustomize.py").write_text(
        "from pathlib import Path\n"
        "real = Path.replace\n"
        "def replace(path, target):\n"
        f"    hidden = Path(target).name == {END!r} and '/relax/' in str(target)\n"
        "    return real(path, Path(str(target) + '.late') if hidden else target)\n"
        "Path.replace = replace\n"
    )
    campaign = slurm.campaign(tmp_path / "c", 'jobs = { per = "stage" }', PYTHONPATH=late)
    slurm.change(campaign, "lag = 2.0", "lag = 30.0")
    driver = slurm.start("run", str(campaign.root))
    attempts = [campaign.root / m / "relax/a01" for m in ("host", "K1/c1", "K1/c2")]
    slurm.wait_for(lambda: all((a / f"{END}.late").is_file() for a in attempts))
    slurm.wait_for(lambda: not slurm.call("squeue", "-h").strip())
    time.sleep(4)  # several looks of the driver's
    assert {s.tries for s in all_standings(campaign)} == {1}
    for attempt in attempts:
        (attempt / f"{END}.late").rename(attempt / END)
    said, _ = driver.communicate(timeout=600)
    assert driver.returncode == 0, said
    assert set(slurm.tries(campaign).values()) == {1}
    slurm.ends_well(campaign)


def test_a_vasprun_that_breaks_off_is_incomplete_and_kept(slurm: Cluster, tmp_path: Path) -> None:
    """The engine says that all is well, and its file lacks its last part."""
    campaign = slurm.campaign(tmp_path / "c")
    engine = tmp_path / "cutting.sh"
    engine.write_text(
        f"#!/bin/bash\n{slurm.standin}\n"
        "case $PWD in */host/relax/a01) truncate -s -200 vasprun.xml; cp vasprun.xml ../kept.xml;; esac\n"
    )
    engine.chmod(0o755)
    slurm.change(campaign, slurm.standin, str(engine))
    done = slurm.run("run", str(campaign.root))
    assert done.returncode == 1, done
    assert "vasprun.xml breaks off" in slurm.run("status", str(campaign.root)).stdout
    first = Attempt(campaign.root / "host/relax/a01")
    assert first.end
    assert first.end["outcome"] == "failed"
    assert (first.folder / "vasprun.xml").read_bytes() == (campaign.root / "host/relax/kept.xml").read_bytes()
    again = slurm.run("retry", "--cause", "engine", str(campaign.root))
    assert "1 new attempt;" in again.stdout
    assert slurm.run("run", str(campaign.root)).returncode == 0
    assert slurm.ledger(campaign) == OTHERS + Counter(["host/relax/a01", "host/relax/a02", "host/static/a01"])
