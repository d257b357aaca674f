"""Files against a queue's words, moment by moment: a scheduler that says what a test tells it to say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kalloy.workflows.attempt import CLAIM, Attempt, Outcome, State, claim
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.execution.deadline import Deadline
from kalloy.workflows.execution.events import Events
from kalloy.workflows.execution.job import run_job
from kalloy.workflows.files import read_json, write_json
from kalloy.workflows.steps import select
from kalloy.workflows.submission import queue as queueing
from kalloy.workflows.submission.board import Standing, standings
from kalloy.workflows.submission.driver import write_step
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.queue_step import QueueStep
from kalloy.workflows.submission.repetition import pause, repeat
from kalloy.workflows.submission.schedulers.vocabulary import Accepted, Answer, Job, Limits, Order, Phase, Unknown


class Scripted:
    """A scheduler that takes every job and says of it what it was told to say."""

    name = "slurm"
    prefix = "#SBATCH"
    unproved: tuple[str, ...] = ()
    can_chain = False

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.says: dict[tuple[str, int], tuple[Phase, str]] = {}
        self.cause: Cause | None = None
        self.is_down = False

    def limits(self) -> Limits:
        return Limits(100, 30.0)

    def submit(self, order: Order) -> Answer:
        self.orders.append(order)
        self.says |= {(order.tag, i): (Phase.QUEUED, "PENDING") for i in range(order.size)}
        return Accepted(str(len(self.orders)))

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        if self.is_down:
            return Unknown("connect failure")
        return [Job("1", i, tag, *said, cause=self.cause) for (tag, i), said in self.says.items() if tag in tags]

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        return None

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        return None

    def say(self, phase: Phase, word: str, *, index: int = 0, batch: int = -1) -> None:
        self.says[self.orders[batch].tag, index] = (phase, word)

    def forget(self) -> None:
        self.says.clear()


class Quiet:
    """Whom the driver tells."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def look(self, found: list[Standing]) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        self.said.append(line)


class Clock:
    """The time since endings were put on record, which passes when a test says so."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def age(self, at: str) -> float:
        return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(queueing, "age", clock.age)
    return clock


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(queueing, "scheduler_of", lambda name: scripted)
    return scripted


@pytest.fixture
def step(tmp_path: Path, make_campaign: Callable[[Path], Campaign], scheduler: Scripted) -> QueueStep:
    """The first step of a campaign on it, submitted: the host's job has index 0."""
    spec = make_campaign(tmp_path / "c").root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("jobs = 2", 'scheduler = "slurm"'))
    campaign = Campaign(tmp_path / "c")
    selection = select(campaign, 1)
    write_step(campaign, selection)
    step = QueueStep(campaign, selection, Quiet())
    step.cycle()
    return step


def attempt_of(step: QueueStep, name: str = "host/relax/a01") -> Attempt:
    return Attempt(step.campaign.root / name)


def events(step: QueueStep, index: int = 0) -> Events:
    (batch, *_) = step.queue.batches
    return Events.of_batch(batch.folder / "manifest.json", index, "1_0")


def begin(step: QueueStep, attempt: Attempt) -> None:
    """A job on another machine claims it."""
    (batch, *_) = step.queue.batches
    assert claim(attempt, tag=batch.tag, job="1_0")
    owner = attempt.folder / CLAIM / "owner.json"
    write_json(owner, {**read_json(owner), "host": "node017", "boot": "another"})
    events(step).tell("started")
    events(step).tell("claimed", attempt)


def host(step: QueueStep) -> Standing:
    return next(s for s in step.cycle() if s.label == "host relax")


# -- a file system that shows late what a node wrote ---------------------------------


def test_an_end_record_is_waited_for_after_the_schedulers_word(
    step: QueueStep, scheduler: Scripted, clock: Clock
) -> None:
    attempt = attempt_of(step)
    begin(step, attempt)
    scheduler.say(Phase.ENDED, "COMPLETED")
    waiting = host(step)
    assert (waiting.state, waiting.tries) == (State.RUNNING, 1)
    assert waiting.cause == "the scheduler says COMPLETED, there is no end record yet"
    clock.ahead = 59 - 1  # of the 60 s that a network file system may take
    assert host(step).state is State.RUNNING
    attempt.finish(Outcome.DONE)  # it shows at last
    assert host(step).state is State.DONE


def test_what_never_shows_is_lost_after_a_bounded_wait(step: QueueStep, scheduler: Scripted, clock: Clock) -> None:
    begin(step, attempt_of(step))
    scheduler.say(Phase.ENDED, "NODE_FAIL")
    assert host(step).state is State.RUNNING
    clock.ahead = 61
    followed = host(step)
    assert (followed.state, followed.tries) == (State.QUEUED, 2)
    assert [a.folder.name for a in followed.place.batch.attempts] == ["a02", "a01"] if followed.place else False


def test_an_end_that_was_told_and_does_not_show_is_waited_for(
    step: QueueStep, scheduler: Scripted, clock: Clock
) -> None:
    """The batch's events are seen before the attempt's folder is."""
    attempt = attempt_of(step)
    begin(step, attempt)
    events(step).tell("ended", attempt, Outcome.DONE)
    events(step).tell("left")
    scheduler.say(Phase.ENDED, "COMPLETED")
    assert host(step).state is State.RUNNING
    attempt.finish(Outcome.DONE)
    assert host(step).state is State.DONE


def test_a_job_that_said_that_it_leaves_is_not_waited_for(step: QueueStep, scheduler: Scripted) -> None:
    """The relaxation failed, so that the static calculation of the same job waits for nobody."""
    attempt = attempt_of(step)
    begin(step, attempt)
    attempt.finish(Outcome.FAILED, cause="engine error", cause_class=Cause.ENGINE)
    events(step).tell("ended", attempt, Outcome.FAILED)
    scheduler.say(Phase.ENDED, "FAILED")

    def static() -> Standing:
        return next(s for s in step.cycle() if s.label == "host static")

    assert static().state is State.QUEUED
    events(step).tell("left")
    assert static().state is State.BLOCKED


def test_the_slot_of_a_job_that_has_ended_is_free_at_once(step: QueueStep, scheduler: Scripted) -> None:
    begin(step, attempt_of(step))
    assert step.queue.in_flight() == 3
    scheduler.say(Phase.ENDED, "FAILED")
    step.cycle()
    assert step.queue.in_flight() == 2


def test_a_scheduler_that_forgets_at_once_is_asked_for_the_grace_time(
    step: QueueStep, scheduler: Scripted, clock: Clock
) -> None:
    """As PBS without a job history: what is gone from the queue may have ended in any way."""
    begin(step, attempt_of(step))
    scheduler.forget()
    gone = host(step)
    assert (gone.state, gone.cause) == (State.RUNNING, "gone from the queue, and there is no end record yet")
    assert step.queue.in_flight() == 3
    clock.ahead = 61
    assert host(step).tries == 2


# -- requeued behind our back ----------------------------------------------------------


def test_a_requeued_job_leaves_alone_what_was_followed(step: QueueStep, scheduler: Scripted, clock: Clock) -> None:
    """Its first run was called dead and a new attempt was written; then somebody requeued the old job."""
    relax = attempt_of(step)
    begin(step, relax)
    scheduler.say(Phase.ENDED, "NODE_FAIL")
    step.cycle()
    clock.ahead = 61
    assert host(step).tries == 2
    (batch, *_) = step.queue.batches
    owner = relax.owner
    found = run_job(
        [relax, attempt_of(step, "host/static/a01")], deadline=Deadline(), events=events(step), tag=batch.tag
    )
    assert [(outcome, words.split(" '")[0]) for _, outcome, words in found] == [
        (None, "skipped: a newer attempt has followed it"),
        (None, f"skipped: {attempt_of(step, 'host/static/a01').folder.resolve()}: parent"),
    ]
    assert relax.owner == owner
    assert relax.end is None


def test_a_requeued_job_is_back(step: QueueStep, scheduler: Scripted, clock: Clock) -> None:
    begin(step, attempt_of(step))
    scheduler.say(Phase.ENDED, "NODE_FAIL")
    step.cycle()
    scheduler.say(Phase.QUEUED, "REQUEUED")
    clock.ahead = 1000
    back = host(step)
    assert (back.state, back.cause, back.tries) == (State.QUEUED, "requeued: REQUEUED", 1)


# -- a full disk -------------------------------------------------------------------------


def test_a_job_without_room_to_begin_pauses_the_campaign(step: QueueStep, scheduler: Scripted) -> None:
    """Not even 64 kB were free: nothing was claimed, and the same would happen to every other job."""
    attempt = attempt_of(step)
    events(step).tell("started")
    events(step).tell("full", attempt, "the disk or the quota is full: No space left on device")
    events(step).tell("left")
    for index in range(3):
        scheduler.say(Phase.ENDED, "FAILED", index=index)
        if index:
            events(step, index).tell("started")
            events(step, index).tell("left")
    from kalloy.errors import EngineError

    with pytest.raises(EngineError, match=r"nothing more is submitted: host relax: the disk or the quota is full.*"):
        step.cycle()
    found = standings(step.campaign, 1, Queue(step.campaign))
    stopped = next(s for s in found if s.label == "host relax")
    assert (stopped.state, stopped.cause_class) == (State.FAILED, Cause.QUOTA)
    assert str(pause(found)).endswith("then: kalloy retry")
    assert repeat(step.campaign, step.selection, found) == []
    assert len(scheduler.orders) == 1


def test_a_job_that_ends_before_it_begins_is_marked_once_its_files_must_show(
    step: QueueStep, scheduler: Scripted, clock: Clock
) -> None:
    for index in range(3):
        scheduler.say(Phase.ENDED, "FAILED", index=index)
    assert host(step).state is State.QUEUED
    clock.ahead = 61
    stopped = host(step)
    assert stopped.state is State.FAILED
    assert stopped.cause
    assert "before it began" in stopped.cause


def test_a_job_that_crashes_after_its_first_words_is_marked_too(step: QueueStep, scheduler: Scripted) -> None:
    """While others of its array go on."""
    events(step).tell("started")
    events(step).tell("left")
    scheduler.say(Phase.ENDED, "FAILED")
    stopped = host(step)
    assert stopped.state is State.FAILED
    assert len(scheduler.orders) == 1


def test_jobs_without_time_are_not_sent_for_ever(step: QueueStep, scheduler: Scripted) -> None:
    for turn in range(3):
        batch = next(b for b in step.queue.batches if b.tag == scheduler.orders[turn].tag)
        late = Events.of_batch(batch.folder / "manifest.json", 0, "1_0")
        late.tell("started")
        late.tell("late", attempt_of(step), "skipped: the job's time is nearly over")
        late.tell("left")
        scheduler.say(Phase.ENDED, "COMPLETED", batch=turn)
        stopped = host(step)
    assert (stopped.state, stopped.cause_class) == (State.FAILED, Cause.WALLTIME)
    assert stopped.cause == "3 jobs had no time left when they came to it: raise the site's time"
    assert len(scheduler.orders) == 3
    assert repeat(step.campaign, step.selection, [stopped]) == []


def test_what_was_ended_from_outside_has_the_schedulers_cause(step: QueueStep, scheduler: Scripted) -> None:
    attempt = attempt_of(step)
    begin(step, attempt)
    attempt.finish(Outcome.FAILED, cause="engine ended from outside by SIGTERM", cause_class=Cause.NODE)
    events(step).tell("ended", attempt, Outcome.FAILED)
    events(step).tell("left")
    scheduler.cause = Cause.WALLTIME
    scheduler.say(Phase.ENDED, "TIMEOUT")
    step.cycle()
    why = "engine ended from outside by SIGTERM; the scheduler says TIMEOUT"
    assert f"host relax: failed: {why}; a new attempt follows" in step.told.said  # type: ignore[attr-defined]


def test_a_scheduler_out_of_reach_is_told_once_each_time(step: QueueStep, scheduler: Scripted) -> None:
    for _ in range(2):
        scheduler.is_down = True
        for _ in range(3):
            assert host(step).state is State.QUEUED
        scheduler.is_down = False
        step.cycle()
    away = "slurm does not answer (connect failure): nothing is submitted until it does"
    said = step.told.said  # type: ignore[attr-defined]
    assert said[-4:] == [away, "slurm answers again"] * 2


def test_an_unknown_answer_is_shown_as_such_at_once(
    tmp_path: Path, make_campaign: Callable[[Path], Campaign], scheduler: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_campaign(tmp_path / "c").root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("jobs = 2", 'scheduler = "slurm"'))
    campaign = Campaign(tmp_path / "c")
    selection = select(campaign, 1)
    write_step(campaign, selection)
    monkeypatch.setattr(scheduler, "submit", lambda order: Unknown("time-out"))
    assert {s.state for s in QueueStep(campaign, selection, Quiet()).cycle()} == {State.SUBMITTING}
