"""A clock that is set back: nothing waits until it has caught up, and nothing is submitted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kalloy.workflows.attempt import Attempt
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission import queue as queues
from kalloy.workflows.submission.batch import SUBMITTED, UNKNOWN, Batch, new_batch
from kalloy.workflows.submission.board import all_standings
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.schedulers.vocabulary import Answer, Job, Limits, Order, Phase, Unknown

Copy = Callable[[str, Path], Campaign]


class Silent:
    """A scheduler that takes everything, keeps no accounts and knows the jobs that it is told to know."""

    name = "slurm"
    prefix = "#SBATCH"
    unproved: tuple[str, ...] = ()
    can_chain = True

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def limits(self) -> Limits:
        return Limits(1000, 30.0)

    def submit(self, order: Order) -> Answer:
        raise AssertionError("nothing is submitted here")

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        return [job for job in self.jobs if job.tag in tags]

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        return None

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        return None


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Silent:
    scheduler = Silent()
    monkeypatch.setattr(queues, "scheduler_of", lambda name: scheduler)
    return scheduler


@pytest.fixture
def cluster(copy_of: Copy, tmp_path: Path) -> Campaign:
    campaign = copy_of("written", tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("[site.local]\njobs = 2", '[site.local]\nscheduler = "slurm"\nlag = 0'))
    return Campaign(campaign.root)


def batch_of(campaign: Campaign, made: datetime | None = None, jobs: int = 1) -> Batch:
    found = [s.attempt for s in all_standings(campaign) if s.attempt]
    batch = new_batch(
        campaign, [[attempt] for attempt in found[:jobs]], campaign.spec.machine.for_stage(campaign.spec.stages[0])
    )
    if made is not None:
        record = json.loads((batch.folder / "manifest.json").read_text())
        (batch.folder / "manifest.json").write_text(json.dumps({**record, "made": made.isoformat()}))
    return Batch(batch.folder)


def look(campaign: Campaign) -> list[str]:
    queue = Queue(campaign)
    queue.ask()
    return queue.settle()


def test_a_submission_of_tomorrow_is_waited_for_once(cluster: Campaign, silent: Silent) -> None:
    batch = batch_of(cluster, datetime.now(UTC) + timedelta(days=1))
    assert look(cluster) == []
    waited = json.loads((batch.folder / UNKNOWN).read_text())
    assert "set back" in waited["words"]
    assert look(cluster) == []
    (batch.folder / UNKNOWN).write_text(
        json.dumps({**waited, "at": (datetime.now(UTC) - timedelta(seconds=40)).isoformat()})
    )
    assert "never had it" in look(cluster)[0]


def test_a_job_that_is_gone_since_tomorrow_is_gone_since_now(cluster: Campaign, silent: Silent) -> None:
    batch = batch_of(cluster)
    batch.record(SUBMITTED, id="7", found_by="the answer")
    look(cluster)
    record = json.loads((batch.folder / "endings.json").read_text())
    record["endings"]["0"]["at"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    (batch.folder / "endings.json").write_text(json.dumps(record))
    look(cluster)
    record = json.loads((batch.folder / "endings.json").read_text())
    at = datetime.fromisoformat(record["endings"]["0"]["at"])
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    record["endings"]["0"]["at"] = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    (batch.folder / "endings.json").write_text(json.dumps(record))
    look(cluster)
    assert Batch(batch.folder).is_closed


@pytest.mark.parametrize("older_lives", [False, True])
def test_the_job_that_lives_is_the_one_that_counts(cluster: Campaign, silent: Silent, older_lives: bool) -> None:
    """An attempt that is in two open batches: whichever the clock calls the newer."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ended, alive = batch_of(cluster, tomorrow if older_lives else None, jobs=2), batch_of(cluster)
    for batch in (ended, alive):
        batch.record(SUBMITTED, id=batch.tag, found_by="the answer")
    silent.jobs = [
        Job(ended.tag, 0, ended.tag, Phase.ENDED, "NODE_FAIL", "", None, True),
        Job(ended.tag, 1, ended.tag, Phase.RUNNING, "RUNNING", "", None, True),  # which keeps the batch open
        Job(alive.tag, 0, alive.tag, Phase.QUEUED, "PENDING", "", None, False),
    ]
    queue = Queue(cluster)
    queue.ask()
    queue.settle()
    place = queue.place(Attempt(cluster.root / ended.entries[0][0]))
    assert place
    assert place.batch.tag == alive.tag
