"""``kalloy submit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.elsewhere import elsewhere
from kalloy.cli.output import campaign_argument, dry_run_option, emit_json, json_option, max_jobs_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.steps import Selection
    from kalloy.workflows.submission.board import Standing


@click.command()
@campaign_argument
@max_jobs_option
@dry_run_option
@json_option
def command(campaign: str, max_jobs: int | None, dry_run: bool, as_json: bool) -> int:
    """Write, check and submit every calculation of CAMPAIGN that is ready, and come back.

    Harmless to repeat: nothing is submitted twice. Type it again, or `kalloy run`, for what becomes ready later.
    """
    from kalloy.cli.status import records
    from kalloy.workflows.attempt import State
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.board import tally
    from kalloy.workflows.submission.driver import remaining, submit_once

    opened = Campaign(Path(campaign))
    if dry_run:
        _preview(opened)
        return 0
    if (code := elsewhere(opened, campaign)) is not None:
        return code
    found = submit_once(opened, Echo(quiet=as_json), at_once=max_jobs)
    if as_json:
        emit_json(records(found))
    else:
        click.echo(tally(found))
    failed = any(s.state in (State.FAILED, State.NEEDS_DECISION, State.LOST) for s in found)
    return 1 if failed else 3 if remaining(opened, found) else 0


class Echo:
    """A driver's watcher that prints sentences and nothing else."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def selected(self, selection: Selection) -> None:
        """Nothing to say."""

    def look(self, found: list[Standing]) -> None:
        """Nothing to say."""

    def say(self, line: str) -> None:
        """Print it; beside JSON on stderr."""
        click.echo(line, err=self.quiet)


def _preview(campaign: Campaign) -> None:
    from kalloy.workflows.submission.board import tally
    from kalloy.workflows.submission.entries import many_jobs
    from kalloy.workflows.submission.preview import preview

    found, jobs = preview(campaign)
    click.echo(f"{tally(found)}; nothing is written or submitted")
    for load, script in jobs:
        options = ", ".join(f"{k}={v}" for k, v in load.needs.options.items())
        click.echo(f"\n{many_jobs(len(load.jobs))}{f' with {options}' if options else ''}:")
        for job in load.jobs:
            click.echo("  " + ", ".join(str(a.folder.relative_to(campaign.root)) for a in job))
        click.echo("their script:\n" + "".join(f"  | {line}\n" for line in script.splitlines()), nl=False)
