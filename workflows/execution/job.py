"""A job: the attempts that one index of a batch runs, in order, in one process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from kalloy.errors import CampaignError, EngineError
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.execution.causes import Cause, cause_of
from kalloy.workflows.execution.deadline import Deadline, Warden
from kalloy.workflows.execution.events import Events, job_name
from kalloy.workflows.execution.runner import execute


def run_job(
    attempts: Iterable[Attempt],
    *,
    deadline: Deadline,
    events: Events | None = None,
    tag: str = "by hand",
    commands: Mapping[str, str] | None = None,
    scheduled: bool | None = None,
) -> list[tuple[Attempt, Outcome | None, str]]:
    """Run attempts one after another.

    An attempt whose parent is not done is skipped, unclaimed, and the others go on; so is everything once the job's
    time is nearly over, or the disk is full.

    Parameters
    ----------
    commands : how each build of the engine is started here; None for what was so when the attempts were written.
    scheduled : whether a scheduler runs the job; None for what the environment says.

    Returns
    -------
    Each attempt with its outcome, None where it did not run, and that in words.
    """
    told = events or Events(job=job_name())
    told.tell("started")
    found: list[tuple[Attempt, Outcome | None, str]] = []
    stop: str | None = None
    with Warden(deadline, job_name() is not None if scheduled is None else scheduled) as warden:
        for attempt in attempts:
            stop = stop or _no_time(warden)
            outcome, words, full = None, f"skipped: {stop}", False
            if not stop:
                outcome, words, full = _one(attempt, tag, commands, warden, told)
            if full:
                stop = "the disk or the quota is full"
            if outcome is None:
                told.tell("skipped", attempt, words)
            found.append((attempt, outcome, words))
    return found


def _no_time(warden: Warden) -> str | None:
    if warden.why is not None:
        return f"the job comes to its end: {warden.why}"
    return "the job's time is nearly over" if warden.deadline.is_near else None


def _one(
    attempt: Attempt, tag: str, commands: Mapping[str, str] | None, warden: Warden, events: Events
) -> tuple[Outcome | None, str, bool]:
    """The outcome, its words, and whether the disk is full."""
    try:
        outcome = execute(attempt.folder, tag, commands, warden, events)
    except CampaignError as error:
        return None, f"skipped: {error}", False
    except EngineError as error:
        print(f"kalloy: {error}", file=sys.stderr)
        return None, str(error), True
    if outcome is None:
        return None, "claimed by another runner", False
    end = attempt.end
    words = f"{outcome}: {end['cause']}" if end and end["cause"] else str(outcome)
    return outcome, words, cause_of(end) is Cause.QUOTA if end else False
