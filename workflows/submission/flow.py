"""A campaign's written attempts as a flow of jobflow's, for those who run everything by it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError, InputError, how_to_install
from kalloy.workflows.attempt import Attempt
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.flow_job import run_attempt
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.submission.board import Standing, all_standings


def require_flow(campaign: Campaign) -> None:
    """Refuse what no flow can be made of.

    Raises
    ------
    InputError
        Where jobflow is not installed.
    CampaignError
        Where nothing is written yet.
    """
    if find_spec("jobflow") is None:
        raise InputError("jobflow is not installed", mend=f"install it {how_to_install('jobflow')}")
    if not written(campaign):
        raise CampaignError(
            "nothing is written yet", where=str(campaign.root), mend="`kalloy write` writes what is ready"
        )


def written(campaign: Campaign) -> list[Standing]:
    """Every calculation that has an attempt, once, in the order of the steps."""
    return list({(s.member, s.stage): s for s in all_standings(campaign) if s.attempt}.values())


def write_flow(campaign: Campaign, path: Path) -> list[Standing]:
    """Write the `flow_of` what is written, as monty's JSON; say where each of its calculations stands."""
    from monty.serialization import dumpfn

    found = written(campaign)
    dumpfn(flow_of(campaign, found), path, indent=1)
    return found


def flow_of(campaign: Campaign, found: list[Standing]) -> Any:
    """A ``jobflow.Flow`` with a job for the newest attempt of each calculation.

    A job takes the outputs of its parents' jobs, so that it comes after them. That of an attempt that is done runs
    nothing and returns its result. The jobs name the campaign by its absolute path; every export has new uuids, so
    that one store can take the flows of all steps.
    """
    from jobflow import Flow

    attempts = {(s.member, s.stage): s.attempt for s in found if s.attempt}
    jobs = {key: _job(campaign, *key, attempt) for key, attempt in attempts.items()}
    for key, attempt in attempts.items():
        parents = [(p["member"], Stage(p["stage"])) for p in attempt.written["parents"]]
        jobs[key].function_kwargs["after"] = [jobs[parent].output for parent in parents if parent in jobs]
    return Flow(list(jobs.values()), name=campaign.root.resolve().name)


def _job(campaign: Campaign, member: str, stage: Stage, attempt: Attempt) -> Any:
    from jobflow import Job

    root = campaign.root.resolve()
    said = {
        "campaign": root.name,
        "member": member,
        "stage": stage.value,
        "attempt": attempt.folder.name,
        "composition": campaign.member(member).crystal.formula,
    }
    place = attempt.folder.relative_to(campaign.root).as_posix()
    named = {"campaign": str(root), "attempt": place}
    return Job(run_attempt, function_kwargs=named, name=f"{member}/{stage.value}", metadata=said)
