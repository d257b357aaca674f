"""What would be handed to the scheduler now: calculations as they would be written, jobs, and their script."""

from __future__ import annotations

from dataclasses import replace

from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.steps import finished, foreseen, selected
from kalloy.workflows.submission.board import Standing, all_standings
from kalloy.workflows.submission.entries import Load, loads
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.script import job_script


def preview(campaign: Campaign) -> tuple[list[Standing], list[tuple[Load, str]]]:
    """Where every calculation would stand once its inputs are written, and the jobs with the script of each array.

    Raises
    ------
    SpecError
        Where a template does not render, or the user's script never runs kalloy.
    """
    found = [_as_written(campaign, s) for s in (*all_standings(campaign, Queue(campaign)), *_next(campaign))]
    folder = campaign.batches / "kTAG"
    return found, [(load, job_script(campaign, folder, len(load.jobs), load.needs)) for load in loads(campaign, found)]


def _next(campaign: Campaign) -> list[Standing]:
    """The first step that is not selected yet, where its choice needs no results."""
    steps = range(1, len(campaign.spec.step) + 1)
    step = next((n for n in steps if selected(campaign, n) is None), None)
    members = foreseen(campaign, step) if step else None
    if step is None or members is None:
        return []
    stages = campaign.spec.step[step - 1].stages
    return [Standing(m, stage, step, State.READY, None, 0) for stage in stages for m in members]


def _as_written(campaign: Campaign, standing: Standing) -> Standing:
    if standing.attempt is not None:
        return standing
    first = Attempt(campaign.calculation(standing.member, standing.stage) / "a01")
    parents = [(p.member, p.stage) for p in campaign.parents(standing.member, standing.stage)]
    waits = tuple(parent for parent in parents if finished(campaign, *parent) is None)
    return replace(standing, attempt=first, waits_for=waits, state=State.BLOCKED if waits else State.READY)
