"""``kalloy cancel``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.elsewhere import elsewhere
from kalloy.cli.output import campaign_argument, dry_run_option, known_members, members_option


@click.command()
@campaign_argument
@members_option
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["blocked", "ready", "submitting", "queued", "running"]),
    help="Only what is in this state. Repeatable.",
)
@click.option("--all", "everything", is_flag=True, help="Everything that has not ended.")
@dry_run_option
def command(campaign: str, members: tuple[str, ...], states: tuple[str, ...], everything: bool, dry_run: bool) -> int:
    """End calculations of CAMPAIGN that run or wait; `kalloy retry --state cancelled` takes it back.

    Each gets an end record `cancelled`. What has ended is left alone.
    """
    from kalloy.errors import InputError
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.cancel import cancel, to_cancel
    from kalloy.workflows.submission.queue import Queue

    if bool(members or states) == everything:
        raise InputError("nothing to cancel", mend="name --member LABEL or --state STATE, or --all")
    opened = Campaign(Path(campaign))
    if (code := elsewhere(opened, campaign, look=dry_run)) is not None:
        return code
    chosen = known_members(opened, members)
    queue = Queue(opened)
    queue.ask()
    asked = to_cancel(opened, queue, chosen, states)
    if dry_run:
        click.echo(f"{len(asked)} calculations to cancel" + "".join(f"\n  {s.label}: {s.state}" for s in asked))
        return 0
    left = cancel(opened, queue, asked, click.echo)
    if left:
        click.echo(f"{left} still run: the scheduler was told; `kalloy status` shows their end", err=True)
        return 3
    click.echo(f"{len(asked)} calculations cancelled")
    return 0
