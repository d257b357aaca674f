"""``kalloy status``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.elsewhere import elsewhere
from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.board import Standing
    from kalloy.workflows.submission.queue import Queue

COLUMNS = ("member", "stage", "state", "attempt", "why")


@click.command()
@campaign_argument
@click.option("--rebuild", is_flag=True, help="Make the index anew from the files first.")
@click.option("--no-query", is_flag=True, help="Read the files alone and do not ask the scheduler.")
@click.option("--watch", is_flag=True, help="Look again and again until nothing runs or waits any more.")
@click.option(
    "--every", type=click.FloatRange(min=1), metavar="SECONDS", help="How often with --watch; else the site's."
)
@json_option
def command(campaign: str, rebuild: bool, no_query: bool, watch: bool, every: float | None, as_json: bool) -> int:
    """Show where every calculation of CAMPAIGN stands: from its files, and by one question to the scheduler.

    Needs no lock and changes nothing. Where files and scheduler disagree, both are shown.
    """
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.queue import Queue

    opened = Campaign(Path(campaign), look=True)
    if (code := elsewhere(opened, campaign, look=True)) is not None:
        return code
    if rebuild:
        from kalloy.workflows.index import Index

        click.echo(f"index rebuilt: {Index(opened).rebuild()} results", err=True)
    queue = Queue(opened)
    if watch:
        from kalloy.cli.watch import Watch

        found = Watch(opened, queue, ask=not no_query).until_nothing_runs(every or opened.spec.machine.poll)
        return exit_code(opened, found)
    found = look(opened, queue, not no_query)
    if queue.trouble:
        click.echo(f"{opened.spec.machine.scheduler} does not answer: {queue.trouble}", err=True)
    if as_json:
        emit_json(records(found))
    else:
        emit_table(COLUMNS, [row(s) for s in found], left=5)
        click.echo(summary(opened, found))
    return exit_code(opened, found)


def records(found: Sequence[Standing]) -> list[dict[str, Any]]:
    """Calculations as plain data, for ``--json``."""
    return [
        {
            "schema": 1,
            "step": s.step,
            "member": s.member,
            "stage": s.stage,
            "state": s.state,
            "attempt": s.attempt.folder.name if s.attempt else None,
            "cause": s.cause,
            "cause_class": s.cause_class,
            "batch": s.place.batch.tag if s.place else None,
            "job": s.place.job.id if s.place and s.place.job else s.place.batch.id if s.place else None,
        }
        for s in found
    ]


def look(campaign: Campaign, queue: Queue, ask: bool) -> list[Standing]:
    """Every calculation, after one question to the scheduler."""
    from kalloy.workflows.submission.board import all_standings

    queue.find()
    if ask:
        queue.ask()
    return all_standings(campaign, queue)


def row(standing: Standing) -> tuple[object, ...]:
    """Of the table; what runs shows how far it is."""
    from kalloy.workflows.attempt import State
    from kalloy.workflows.submission.pulse import pulse

    why = standing.cause or ""
    if standing.state is State.RUNNING and standing.attempt:
        why = "; ".join(part for part in (pulse(standing.attempt.folder), why) if part)
    name = standing.attempt.folder.name if standing.attempt else None
    return standing.member, standing.stage, standing.state, name, why


def summary(campaign: Campaign, found: Sequence[Standing]) -> str:
    """``7 done, 2 running; step 1 of 2``."""
    from kalloy.workflows.submission.board import tally

    if not found:
        return (
            "nothing is selected yet: `kalloy run` carries the campaign through, `kalloy write` writes its first inputs"
        )
    step = max(s.step for s in found)
    return f"{tally(list(found))}; step {step} of {len(campaign.spec.step)}"


def exit_code(campaign: Campaign, found: list[Standing]) -> int:
    """0 done, 1 some failed, 3 still waiting."""
    from kalloy.workflows.attempt import State
    from kalloy.workflows.submission.driver import remaining

    failed = any(s.state in (State.FAILED, State.NEEDS_DECISION, State.LOST) for s in found)
    return 1 if failed else 3 if remaining(campaign, found) else 0
