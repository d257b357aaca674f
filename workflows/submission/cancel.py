"""Ending calculations on purpose: what has not begun never will, what runs is ended by its scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from kalloy.errors import EngineError
from kalloy.workflows.attempt import Attempt, Outcome, State, claim, is_elsewhere
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import write_json
from kalloy.workflows.submission.board import ASKED, Standing, all_standings
from kalloy.workflows.submission.entries import many_jobs
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.schedulers.local import end_group
from kalloy.workflows.submission.schedulers.vocabulary import Phase, Unknown

PATIENCE = 60.0
"""Seconds in which a scheduler may end running jobs before we come back without having seen their end."""
_OPEN = (State.READY, State.BLOCKED, State.SUBMITTING, State.QUEUED, State.RUNNING)


def to_cancel(
    campaign: Campaign, queue: Queue, members: Collection[str], states: Collection[str] = ()
) -> list[Standing]:
    """What has not ended, of these members and in these states; of all where none is named."""
    found = [s for s in all_standings(campaign, queue) if s.attempt and s.state in _OPEN]
    return [s for s in found if (not members or s.member in members) and (not states or s.state in states)]


def cancel(campaign: Campaign, queue: Queue, asked: Sequence[Standing], tell: Callable[[str], None]) -> int:
    """End calculations; each attempt gets an end record ``cancelled``.

    An attempt that nobody runs is claimed, so that a job which starts at this very moment leaves it alone. The job of
    one that runs is ended, with everything else in that job.

    Returns
    -------
    How many still run: the scheduler has taken the order and not carried it out yet.

    Raises
    ------
    EngineError
        Where the scheduler does not answer: nothing is known then, and it may be typed again.
    """
    attempts = [s.attempt for s in asked if s.attempt]
    for attempt in attempts:
        if claim(attempt, tag="cancelled"):
            attempt.finish(Outcome.CANCELLED, cause="cancelled before it began")
    working = [s for s in asked if s.attempt and s.attempt.end is None]
    for standing in working:
        assert standing.attempt is not None
        write_json(standing.attempt.folder / ASKED, {"schema": 1, "asked": True})
        owner = standing.attempt.owner
        # A group's number means something on its own machine alone.
        if standing.place is None and owner and not is_elsewhere(owner) and standing.attempt.state is State.RUNNING:
            end_group(owner["group"])
    _end_jobs(queue, working, tell)
    return _wait(queue, [s.attempt for s in working if s.attempt])


def _end_jobs(queue: Queue, working: Sequence[Standing], tell: Callable[[str], None]) -> None:
    """The jobs that run what was asked for, and those left with nothing to do."""
    if queue.scheduler is None:
        return
    mine = {(s.place.batch.tag, s.place.index) for s in working if s.place}
    idle = [(b.tag, i) for b in queue.batches for i, e in enumerate(b.entries) if _all_ended(queue, e)]
    jobs = [j for key, j in queue.jobs.items() if (key in mine or key in idle) and j.phase is not Phase.ENDED]
    if not jobs:
        return
    for batch in queue.batches:
        others = sum(
            not _all_ended(queue, [n]) for i, e in enumerate(batch.entries) if (batch.tag, i) in mine for n in e
        )
        if others > sum(s.place is not None and s.place.batch is batch for s in working):
            tell(f"batch {batch.tag}: its packed jobs end as a whole; what they had not begun is ready again")
    if isinstance(answer := queue.scheduler.cancel(jobs), Unknown):
        raise EngineError(
            f"{queue.scheduler.name} does not say that it ended the jobs: {answer.words}", mend="try again"
        )
    tell(f"{many_jobs(len(jobs))}: {queue.scheduler.name} was told to end {'it' if len(jobs) == 1 else 'them'}")


def _all_ended(queue: Queue, entry: Sequence[str]) -> bool:
    return all(Attempt(queue.campaign.root / name).end is not None for name in entry)


def _wait(queue: Queue, attempts: Sequence[Attempt]) -> int:
    """Until no runner lives; whoever left no end record gets ours."""
    deadline = time.monotonic() + PATIENCE
    while True:
        queue.ask()
        left = [a for a in attempts if a.end is None and not _is_over(queue, a)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(1)
    for attempt in attempts:
        if attempt not in left and attempt.end is None:
            attempt.finish(Outcome.CANCELLED, cause="cancelled while it ran")
    return len(left)


def _is_over(queue: Queue, attempt: Attempt) -> bool:
    owner = attempt.owner or {}
    place = queue.claimed(attempt, owner)
    if place is None:
        return attempt.state is not State.RUNNING
    return queue.was_asked and (place.job is None or place.job.phase is Phase.ENDED)
