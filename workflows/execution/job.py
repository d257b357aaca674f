"""A job: the attempts that one index of a batch runs, in order, in one process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from kalloy.errors import CampaignError, EngineError
from kalloy.workflows.attempt import Attempt, Outcome, is_followed
from kalloy.workflows.execution.causes import Cause, cause_of
from kalloy.workflows.execution.deadline import Deadline, Warden
from kalloy.workflows.execution.events import Event, Events, job_name
from kalloy.workflows.execution.runner import execute

BY_HAND = "by hand"
"""In place of a batch's tag."""
_SKIPPED: Event = "skipped"
_LATE: Event = "late"
_FULL: Event = "full"


def run_job(
    attempts: Iterable[Attempt],
    *,
    deadline: Deadline,
    events: Events | None = None,
    tag: str = BY_HAND,
    commands: Mapping[str, str] | None = None,
    scheduled: bool | None = None,
) -> list[tuple[Attempt, Outcome | None, str]]:
    """Run attempts one after another.

    An attempt whose parent is not done is skipped, unclaimed, and the others go on; so is everything once the job's
    time is nearly over, or the disk is full. A batch's job also leaves alone what a newer attempt has followed: the
    scheduler had called an earlier run of that job dead.

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
    stop, kind = None, _SKIPPED
    with Warden(deadline, job_name() is not None if scheduled is None else scheduled) as warden:
        for attempt in attempts:
            if not stop and (stop := _no_time(warden)):
                kind = _LATE
            if stop:
                outcome, words, event = None, f"skipped: {stop}", kind
            else:
                outcome, words, event = _one(attempt, tag, commands, warden, told)
            if event is _FULL or (outcome and cause_of(attempt.end) is Cause.QUOTA):
                stop = "the disk or the quota is full"
            if outcome is None:
                told.tell(event, attempt, words)
            found.append((attempt, outcome, words))
    told.tell("left")
    return found


def _no_time(warden: Warden) -> str | None:
    if warden.why is not None:
        return f"the job comes to its end: {warden.why}"
    return "the job's time is nearly over" if warden.deadline.is_near else None


def _one(
    attempt: Attempt, tag: str, commands: Mapping[str, str] | None, warden: Warden, events: Events
) -> tuple[Outcome | None, str, Event]:
    """The outcome and its words; without one, the event that tells why."""
    if tag != BY_HAND and attempt.end is None and is_followed(attempt):
        return None, "skipped: a newer attempt has followed it", _SKIPPED
    try:
        outcome = execute(attempt.folder, tag, commands, warden, events)
    except CampaignError as error:
        return None, f"skipped: {error}", _SKIPPED
    except EngineError as error:
        print(f"kalloy: {error}", file=sys.stderr)
        return None, error.what, _FULL
    if outcome is None:
        return None, "claimed by another runner", _SKIPPED
    end = attempt.end
    return outcome, f"{outcome}: {end['cause']}" if end and end["cause"] else str(outcome), _SKIPPED
