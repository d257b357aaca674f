"""``kalloy retry``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.elsewhere import elsewhere
from kalloy.cli.output import campaign_argument, dry_run_option, known_members, members_option

if TYPE_CHECKING:
    from kalloy.workflows.submission.board import Standing

_CAUSES = ["unconverged", "walltime", "memory", "node", "quota", "engine", "stopped", "lost"]


@click.command()
@campaign_argument
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["failed", "needs-decision", "lost", "cancelled"]),
    help="Only what is in this state; all but cancelled unless stated. Repeatable.",
)
@click.option("--cause", "causes", multiple=True, type=click.Choice(_CAUSES), help="Only this cause. Repeatable.")
@members_option
@dry_run_option
def command(
    campaign: str, states: tuple[str, ...], causes: tuple[str, ...], members: tuple[str, ...], dry_run: bool
) -> int:
    """Write a new attempt of calculations of CAMPAIGN that failed, beside the old one, which stays.

    A relaxation goes on from its CONTCAR where that is complete. `kalloy submit` or `kalloy run` starts them.
    """
    from contextlib import nullcontext

    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.lock import driver_lock
    from kalloy.workflows.steps import selected
    from kalloy.workflows.submission.board import standings
    from kalloy.workflows.submission.queue import Queue
    from kalloy.workflows.submission.repetition import write_again

    opened = Campaign(Path(campaign))
    if (code := elsewhere(opened, campaign, look=dry_run)) is not None:
        return code
    chosen, wanted = known_members(opened, members), set(states or ("failed", "needs-decision", "lost"))
    found: list[Standing] = []
    seen: list[Standing] = []
    # The lock comes before the look: whoever retries at the same time must see what we have written.
    with nullcontext() if dry_run else driver_lock(opened.root):
        queue = Queue(opened)
        queue.ask()
        for step in range(1, len(opened.spec.step) + 1):
            if (selection := selected(opened, step)) is not None:
                here = [s for s in standings(opened, step, queue) if not chosen or s.member in chosen]
                some = [s for s in here if s.state in wanted and (not causes or s.cause_class in causes)]
                found += some
                seen += here
                if not dry_run:
                    write_again(opened, selection, some)
    for standing in found:
        click.echo(f"{standing.label}: {standing.state}" + (f" ({standing.cause})" if standing.cause else ""))
    if not found:
        cancelled = sum(s.state == "cancelled" for s in seen)
        click.echo(
            "nothing to try again" + (f"; --state cancelled means the {cancelled} cancelled" if cancelled else "")
        )
    else:
        many = f"{len(found)} new attempt{'s' if len(found) != 1 else ''}"
        click.echo(f"{len(found)} to try again" if dry_run else f"{many}; start with `kalloy run` or `kalloy submit`")
    return 0
