"""Where every calculation of a step stands: its files first, then the queue; what disagrees is shown."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from kalloy.workflows.attempt import Attempt, Outcome, State, attempts, is_alive, is_elsewhere
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import selected
from kalloy.workflows.submission.queue import Place, Queue, cause_of_ending
from kalloy.workflows.submission.schedulers.vocabulary import Phase
from kalloy.workflows.submission.unbegun import why_left_alone

ASKED = "cancel.json"
"""In an attempt's folder: a person has asked for its end."""


@dataclass(frozen=True)
class Standing:
    """One calculation."""

    member: str
    stage: Stage
    step: int
    """From 1."""
    state: State
    attempt: Attempt | None
    """The newest, where one is written."""
    tries: int
    """How many attempts there are."""
    cause: str | None = None
    """Why it failed, or what it waits for; where files and queue disagree, both."""
    cause_class: Cause | None = None
    """Of what failed or was lost."""
    waits_for: tuple[tuple[str, Stage], ...] = ()
    """Parents that are not done."""
    place: Place | None = None
    """The job that is to run it, where one is submitted."""

    @property
    def label(self) -> str:
        """``K1/c2 relax``."""
        return f"{self.member} {self.stage}"


def standings(campaign: Campaign, step: int, queue: Queue | None = None) -> list[Standing]:
    """Every calculation of a selected step, stage by stage; none where the step is not selected yet."""
    selection = selected(campaign, step)
    if selection is None:
        return []
    known = _Done(campaign)
    return [_standing(campaign, m, stage, step, queue, known) for stage in selection.stages for m in selection.members]


def all_standings(campaign: Campaign, queue: Queue | None = None) -> list[Standing]:
    """Every calculation of every selected step."""
    return [s for step in range(1, len(campaign.spec.step) + 1) for s in standings(campaign, step, queue)]


class _Done:
    """Whether calculations are done; each is looked at once, where its own standing has not told it already."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._known: dict[tuple[str, Stage], bool] = {}

    def __call__(self, member: str, stage: Stage) -> bool:
        key = member, stage
        if key not in self._known:
            tried = attempts(self.campaign.calculation(member, stage))
            self._known[key] = any((end := a.end) and end["outcome"] == Outcome.DONE for a in tried)
        return self._known[key]

    def learn(self, member: str, stage: Stage, done: bool) -> None:
        self._known[member, stage] = done


def _standing(campaign: Campaign, member: str, stage: Stage, step: int, queue: Queue | None, known: _Done) -> Standing:
    tried = attempts(campaign.calculation(member, stage))
    last = tried[-1] if tried else None
    plain = Standing(member, stage, step, State.READY, last, len(tried))
    end = last.end if last else None
    if end is not None and end["outcome"] == Outcome.DONE:
        known.learn(member, stage, True)
    elif len(tried) < 2:
        known.learn(member, stage, False)
    if last and end is not None:
        return _as_the_scheduler_says(_ended(plain, end), last, queue)
    if last and (owner := last.owner):
        return _claimed(plain, last, owner, queue)
    missing = tuple((p.member, p.stage) for p in campaign.parents(member, stage) if not known(p.member, p.stage))
    if missing:
        plain = replace(plain, waits_for=missing)
    if last and queue and (place := queue.place(last)) and place.is_live:
        return _sent(plain, place, queue)
    if missing:
        names = [stage.value if who == member else f"{who} {stage}" for who, stage in missing]
        return replace(plain, state=State.BLOCKED, cause=f"waits for {', '.join(names)}")
    return _never_began(plain, last) if last and queue and queue.scheduler else plain


def _ended(plain: Standing, end: dict[str, Any]) -> Standing:
    state = State(end["outcome"])
    if state is State.DONE:
        return replace(plain, state=state)
    known = [c.value for c in Cause]
    cause = Cause(end["cause_class"]) if end.get("cause_class") in known else None
    return _as_told(replace(plain, state=state, cause=end["cause"], cause_class=cause))


def _as_the_scheduler_says(standing: Standing, attempt: Attempt, queue: Queue | None) -> Standing:
    """An engine that was ended from outside does not know why; its scheduler may."""
    if queue is None or standing.state is not State.FAILED or standing.cause_class is not Cause.NODE:
        return standing
    place = queue.claimed(attempt, attempt.owner or {})
    if place is None or not place.ending or not place.ending.get("cause"):
        return standing
    cause = f"{standing.cause}; the scheduler says {place.ending['word']}"
    return replace(standing, cause=cause, cause_class=Cause(place.ending["cause"]))


def _as_told(standing: Standing) -> Standing:
    """What failed or was lost after `kalloy cancel` ended because it was told to, whoever sees it first."""
    if standing.attempt and (standing.attempt.folder / ASKED).is_file():
        return replace(standing, state=State.CANCELLED, cause="cancelled while it ran", cause_class=None)
    return standing


def _claimed(plain: Standing, attempt: Attempt, owner: dict[str, Any], queue: Queue | None) -> Standing:
    """An attempt that a runner has made its own and that has no end record."""
    place = queue.claimed(attempt, owner) if queue else None
    if place is None:
        state = attempt.state
        cause = (end := attempt.end) and end["cause"]
        if state is State.LOST:
            return _as_told(replace(plain, state=state, cause=cause or None, cause_class=Cause.LOST))
        return replace(plain, state=state, cause=cause or None)
    plain = replace(plain, place=place)
    if place.ending and not (is_alive(owner) and not is_elsewhere(owner)):  # one that we see at work has not ended
        os.listdir(attempt.folder)  # so that a network file system looks anew
        if end := attempt.end:  # it ended between the two looks
            return _ended(plain, end)
        word, why = place.ending["word"], place.ending.get("why")
        cause = f"its job ended ({word}{f', {why}' if why else ''}) without an end record"
        return _as_told(replace(plain, state=State.LOST, cause=cause, cause_class=cause_of_ending(place.ending)))
    if place.job and place.job.phase is Phase.QUEUED:
        return replace(plain, state=State.QUEUED, cause=f"requeued: {_waiting(place)}")
    return replace(plain, state=State.RUNNING, cause=_doubt(place, queue))


def _sent(plain: Standing, place: Place, queue: Queue) -> Standing:
    """An attempt that is in a batch and that no runner has claimed yet."""
    if place.batch.id is None:
        state, cause = State.SUBMITTING, "it is not known yet whether the scheduler has it"
        return replace(plain, place=place, state=state, cause=cause)
    is_waiting = place.job is not None and place.job.phase is Phase.QUEUED
    return replace(
        plain, place=place, state=State.QUEUED, cause=_waiting(place) if is_waiting else _doubt(place, queue)
    )


def _waiting(place: Place) -> str | None:
    return (place.job.why or place.job.word) if place.job else None


def _doubt(place: Place, queue: Queue | None) -> str | None:
    """What files and queue disagree about."""
    if queue is None or (place.job and place.job.phase is not Phase.ENDED):
        return None
    if queue.trouble:
        return f"the scheduler does not answer: {queue.trouble}"
    if not queue.was_asked:
        return None
    if place.job:
        return f"the scheduler says {place.job.word}, there is no end record yet"
    return "gone from the queue, and there is no end record yet"


def _never_began(plain: Standing, attempt: Attempt) -> Standing:
    """Ready, unless its jobs ended before they began it."""
    if (left_alone := why_left_alone(attempt)) is None:
        return plain
    cause, cause_class = left_alone
    return replace(plain, state=State.FAILED, cause=cause, cause_class=cause_class)


def tally(found: list[Standing]) -> str:
    """``7 done, 2 running, 1 blocked``."""
    counts = Counter(s.state for s in found)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "nothing selected yet"
