"""Where every calculation of a step stands, read from the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from kalloy.workflows.attempt import Attempt, Outcome, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import selected


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
    """Why it failed, or what it waits for."""

    @property
    def label(self) -> str:
        """``K1/c2 relax``."""
        return f"{self.member} {self.stage}"


def standings(campaign: Campaign, step: int) -> list[Standing]:
    """Every calculation of a selected step, stage by stage; none where the step is not selected yet."""
    selection = selected(campaign, step)
    if selection is None:
        return []
    return [_standing(campaign, m, stage, step) for stage in selection.stages for m in selection.members]


def all_standings(campaign: Campaign) -> list[Standing]:
    """Every calculation of every selected step."""
    return [s for step in range(1, len(campaign.spec.step) + 1) for s in standings(campaign, step)]


def _standing(campaign: Campaign, member: str, stage: Stage, step: int) -> Standing:
    tried = attempts(campaign.calculation(member, stage))
    last = tried[-1] if tried else None
    state = last.state if last else State.READY
    cause = None
    if state in (State.FAILED, State.NEEDS_DECISION) and last and (end := last.end):
        cause = end["cause"]
    if state is State.READY and (waiting := list(_missing_parents(campaign, member, stage))):
        state, cause = State.BLOCKED, f"waits for {', '.join(waiting)}"
    return Standing(member, stage, step, state, last, len(tried), cause)


def _missing_parents(campaign: Campaign, member: str, stage: Stage) -> Iterator[str]:
    for parent in campaign.member(member).parents(stage, campaign.spec.stages):
        tried = attempts(campaign.calculation(parent.member, parent.stage))
        if not any((end := a.end) and end["outcome"] == Outcome.DONE for a in tried):
            yield parent.stage.value if parent.member == member else f"{parent.member} {parent.stage}"


def tally(found: list[Standing]) -> str:
    """``7 done, 2 running, 1 blocked``."""
    counts = Counter(s.state for s in found)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "nothing selected yet"
