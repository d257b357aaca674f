"""``kalloy run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.elsewhere import elsewhere
from kalloy.cli.output import campaign_argument, max_jobs_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign


@click.command()
@campaign_argument
@click.option("--retry-failed", is_flag=True, help="Give what failed before one more attempt beside the old one.")
@click.option("--take-over", is_flag=True, help="Count attempts claimed on another machine as lost: it must be dead.")
@max_jobs_option
def command(campaign: str, retry_failed: bool, take_over: bool, max_jobs: int | None) -> int:
    """Carry CAMPAIGN through every step until done, then rank it and write its report.

    Stop it whenever you like (Ctrl-C) and type it again: what is done is not done again, and a relaxation
    goes on from where it was. Jobs on this machine end with it; jobs of a queueing system go on by themselves.
    """
    from kalloy.cli.progress import Progress, announce
    from kalloy.cli.rank import print_ranking
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.stage import Stage
    from kalloy.workflows.inputs.writing import warnings_of
    from kalloy.workflows.report.page import write_report
    from kalloy.workflows.submission.driver import drive, require_engine

    opened = Campaign(Path(campaign))
    if (code := elsewhere(opened, campaign)) is not None:
        return code
    progress = Progress(opened)
    require_engine(opened)
    for line in warnings_of(opened):
        click.echo(f"warning: {line}", err=True)
    announce(opened)
    if opened.spec.needs_prescreen and not _prescreened(opened):
        return 1
    with progress:
        done = drive(opened, progress, retry_failed=retry_failed, take_over=take_over, at_once=max_jobs)
    if not done:
        click.echo(
            "not everything is done; `kalloy status` says why, `kalloy run --retry-failed` tries again", err=True
        )
        return 1
    if Stage.STATIC not in opened.spec.stages:
        click.echo("everything is done; nothing is ranked, for no step asks for 'static'")
        return 0
    print_ranking(opened)
    click.echo(f"report: {write_report(opened)}")
    return 0


def _prescreened(campaign: Campaign) -> bool:
    """Whether the prescreen that the campaign waits for is done, now or from before."""
    from kalloy.cli.prescreen import relax_all, show
    from kalloy.errors import CampaignError
    from kalloy.workflows.prescreen.store import finished_store

    try:
        finished_store(campaign)
        return True
    except CampaignError:
        store, done = relax_all(campaign)
    show(campaign, store, as_json=False, everybody=False)
    return done
