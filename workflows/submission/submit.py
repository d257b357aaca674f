"""Exactly once: the manifest first, then the scheduler, then its answer; anything but proof stays "submitting"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kalloy.errors import EngineError
from kalloy.workflows.attempt import Attempt
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.batch import SUBMITTED, UNKNOWN, VOID, Batch, new_batch
from kalloy.workflows.submission.board import Standing
from kalloy.workflows.submission.entries import Load, followers, loads, many_jobs
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.schedulers.vocabulary import Accepted, Answer, LimitReached, Order, Refused, Scheduler
from kalloy.workflows.submission.script import walltime

Tell = Callable[[str], None]


def submit_ready(campaign: Campaign, queue: Queue, found: Sequence[Standing], tell: Tell, at_once: int | None) -> int:
    """Submit what is ready, in arrays as large as the scheduler takes, until its limit or ours is reached.

    Parameters
    ----------
    at_once : jobs in flight; None for as many as the scheduler takes.

    Returns
    -------
    How many jobs were submitted.

    Raises
    ------
    EngineError
        Where the scheduler refuses, in its words: the same would be refused again.
    """
    scheduler = queue.scheduler
    assert scheduler is not None
    sent = 0
    for load in loads(campaign, found):
        waiting = load.jobs
        size = queue.limits.max_array_size
        while waiting:
            free = size if at_once is None else min(size, at_once - queue.in_flight())
            if free < 1:
                tell(f"at most {at_once} at a time are in flight: the rest waits")
                return sent
            jobs, rest = waiting[:free], waiting[free:]
            batch, answer = submit(campaign, scheduler, Load(load.needs, jobs))
            queue.find()
            if isinstance(answer, LimitReached):
                if len(jobs) == 1:
                    tell(f"{scheduler.name} takes no more jobs now ({answer.words}): waiting")
                    return sent
                size = len(jobs) // 2  # proven not submitted: fewer at a time may pass
                continue
            if isinstance(answer, Refused):
                raise EngineError(
                    f"{scheduler.name} refuses the job: {answer.words}",
                    where=str(batch.script),
                    mend="mend the site's options in kalloy.toml or sites.toml",
                )
            waiting = rest
            if not isinstance(answer, Accepted):
                tell(f"batch {batch.tag}: {answer.words}; it is looked for before anything is submitted again")
                continue
            sent += len(jobs)
            tell(f"batch {batch.tag}: {many_jobs(len(jobs))} as {scheduler.name} {answer.id}")
            sent += _chain(campaign, queue, scheduler, answer.id, jobs, found, tell, at_once)
    return sent


def _chain(
    campaign: Campaign,
    queue: Queue,
    scheduler: Scheduler,
    after: str,
    jobs: list[list[Attempt]],
    found: Sequence[Standing],
    tell: Tell,
    at_once: int | None,
) -> int:
    """The stages that follow, each in an array of the same size whose elements wait for those just sent."""
    if campaign.spec.machine.jobs.per != "stage" or not scheduler.can_chain or campaign.spec.machine.jobs.pack > 1:
        return 0
    sent = 0
    for load in followers(campaign, jobs, found):
        if at_once is not None and queue.in_flight() + len(load.jobs) > at_once:
            continue
        batch, answer = submit(campaign, scheduler, load, after)
        queue.find()
        if isinstance(answer, Accepted):
            tell(f"batch {batch.tag}: {many_jobs(len(load.jobs))} as {scheduler.name} {answer.id}, after {after}")
            sent += len(load.jobs) + _chain(campaign, queue, scheduler, answer.id, load.jobs, found, tell, at_once)
    return sent


def submit(campaign: Campaign, scheduler: Scheduler, load: Load, after: str | None = None) -> tuple[Batch, Answer]:
    """One batch: written and synced, submitted once, the answer on record."""
    batch = new_batch(campaign, load.jobs, load.needs)
    answer = scheduler.submit(Order(batch.tag, batch.script.absolute(), len(load.jobs), after, walltime(load.needs)))
    if isinstance(answer, Accepted):
        batch.record(SUBMITTED, id=answer.id, found_by="the answer")
    elif isinstance(answer, Refused | LimitReached):
        batch.record(VOID, words=answer.words)
    else:
        batch.record(UNKNOWN, words=answer.words)
    return batch, answer
