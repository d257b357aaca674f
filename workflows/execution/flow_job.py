"""What a job of a jobflow flow calls: one attempt, run where jobflow runs the job; nothing here imports jobflow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kalloy.errors import EngineError, InputError
from kalloy.workflows.attempt import WRITTEN, Attempt, Outcome
from kalloy.workflows.execution.deadline import Deadline
from kalloy.workflows.execution.events import Events
from kalloy.workflows.execution.job import run_job
from kalloy.workflows.results import parse_attempt

TAG = "jobflow"
"""In place of a batch's tag: what a newer attempt has followed is left alone."""


def run_attempt(campaign: str, attempt: str, after: Sequence[Any] = ()) -> dict[str, Any]:
    """Run one attempt to its end, unless it has ended before, and say what came out.

    Parameters
    ----------
    campaign : the campaign's folder, as an absolute path.
    attempt : relative to it: ``K1/c2/static/a01``.
    after : what the parents' jobs returned, for the order alone: the stage takes what it needs from their folders.

    Returns
    -------
    The result as `kalloy.workflows.results.CampaignResult` has it, plain values alone; units stand in the names.

    Raises
    ------
    InputError
        Where there is no such attempt on this machine.
    EngineError
        Where it did not end as done, another runner has it, a parent is not done, or a newer attempt has followed it.
    """
    root, this = Path(campaign), Attempt(Path(campaign) / attempt)
    if not (this.folder / WRITTEN).is_file():
        mend = "run the flow where the campaign's folder has this path, or export it anew where it lies now"
        raise InputError(f"no attempt: it has no {WRITTEN}", where=str(this.folder), mend=mend)
    # No scheduler's job is named: several jobs of a flow may share one, so that its claim is no earlier run of ours.
    ((_, outcome, words),) = run_job([this], deadline=Deadline.of_job(), events=Events(), tag=TAG)
    if outcome is not Outcome.DONE:
        mend = "`kalloy status` says where it stands; after `kalloy retry` or `kalloy write` export the flow anew"
        raise EngineError(f"not done: {words}", where=str(this.folder), mend=mend)
    plain: dict[str, Any] = json.loads(json.dumps(parse_attempt(this, root).to_json()))
    return plain
