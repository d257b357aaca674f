"""What is tried again by itself: a new attempt beside the old one, as often as the class of its failure allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kalloy.workflows.attempt import State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.causes import Cause, repeats, rule
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.steps import Selection
from kalloy.workflows.submission.board import Standing

AGAIN = (State.FAILED, State.NEEDS_DECISION, State.LOST, State.CANCELLED)
"""States that a person may have tried again."""


def repeat(campaign: Campaign, selection: Selection, found: Iterable[Standing]) -> list[Standing]:
    """Follow failed and lost attempts by new ones, where their class has a repeat left; which, in their old state."""
    again = [s for s in found if s.state in (State.FAILED, State.LOST) and repeats(ends(campaign, s))]
    write_again(campaign, selection, again)
    return again


def write_again(campaign: Campaign, selection: Selection, again: Iterable[Standing]) -> None:
    """A new attempt beside the old one; a relaxation goes on from where it was."""
    for standing in again:
        member = campaign.member(standing.member)
        write_attempt(campaign, member, standing.stage, path=selection.path, after=standing.attempt)


def followed(standing: Standing) -> str:
    """A sentence on what is tried again."""
    why = f": {standing.cause}" if standing.cause else ""
    return f"{standing.label}: {standing.state}{why}; a new attempt follows"


def ends(campaign: Campaign, standing: Standing) -> list[dict[str, Any] | None]:
    """The end records of a calculation's attempts, oldest first, None for one that was lost.

    What a person ended is no failure; an attempt whose job the scheduler ended has the class of the scheduler's word.
    """
    tried = attempts(campaign.calculation(standing.member, standing.stage))
    known = [a.end for a in tried if not (a.end and a.end["outcome"] == "cancelled")]
    if standing.state is State.LOST and standing.cause_class not in (None, Cause.LOST) and known:
        known[-1] = {"cause_class": standing.cause_class, "goes_on": False}
    if standing.state is State.FAILED and (standing.cause_class is None or known[-1:] == [None]):  # it never began
        return [{"cause": standing.cause}]
    if standing.state is State.FAILED and known[-1]:
        known[-1] = {**known[-1], "cause_class": standing.cause_class}
    return known


def pause(found: Iterable[Standing]) -> str | None:
    """Why nothing more may start until a person has acted: a full disk; None where nothing is so."""
    for standing in found:
        if standing.state is State.FAILED and standing.cause_class and (after := rule(standing.cause_class)).pauses:
            return f"{standing.label}: {standing.cause}; {after.mend}"
    return None
