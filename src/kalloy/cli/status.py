"""``kalloy status``."""

from __future__ import annotations

import sys
import time
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

_COLUMNS = ("member", "stage", "state", "attempt", "why")


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

    opened = Campaign(Path(campaign))
    if (code := elsewhere(opened, campaign, look=True)) is not None:
        return code
    if rebuild:
        from kalloy.workflows.index import Index

        click.echo(f"index rebuilt: {Index(opened).rebuild()} results", err=True)
    queue = Queue(opened)
    if watch:
        return _watch(opened, queue, not no_query, every or opened.spec.machine.poll)
    found = _look(opened, queue, not no_query)
    if queue.trouble:
        click.echo(f"{opened.spec.machine.scheduler} does not answer: {queue.trouble}", err=True)
    if as_json:
        emit_json(records(found))
    else:
        emit_table(_COLUMNS, [_row(s) for s in found], left=5)
        click.echo(_summary(opened, found))
    return _code(opened, found)


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


def _look(campaign: Campaign, queue: Queue, ask: bool) -> list[Standing]:
    from kalloy.workflows.submission.board import all_standings

    queue.find()
    if ask:
        queue.ask()
    return all_standings(campaign, queue)


def _row(standing: Standing) -> tuple[object, ...]:
    from kalloy.workflows.attempt import State
    from kalloy.workflows.submission.pulse import pulse

    why = standing.cause or ""
    if standing.state is State.RUNNING and standing.attempt:
        why = "; ".join(part for part in (pulse(standing.attempt.folder), why) if part)
    name = standing.attempt.folder.name if standing.attempt else None
    return standing.member, standing.stage, standing.state, name, why


def _summary(campaign: Campaign, found: Sequence[Standing]) -> str:
    from kalloy.workflows.submission.board import tally

    if not found:
        return (
            "nothing is selected yet: `kalloy run` carries the campaign through, `kalloy write` writes its first inputs"
        )
    step = max(s.step for s in found)
    return f"{tally(list(found))}; step {step} of {len(campaign.spec.step)}"


def _code(campaign: Campaign, found: list[Standing]) -> int:
    from kalloy.workflows.attempt import State
    from kalloy.workflows.submission.driver import remaining

    failed = any(s.state in (State.FAILED, State.NEEDS_DECISION, State.LOST) for s in found)
    return 1 if failed else 3 if remaining(campaign, found) else 0


def _watch(campaign: Campaign, queue: Queue, ask: bool, every: float) -> int:
    """A table that is drawn anew; on anything but a terminal one line a look."""
    from kalloy.workflows.submission.local_step import OPEN
    from kalloy.workflows.submission.queue_step import ALIVE

    began, done_at_first = time.monotonic(), -1
    screen = _screen() if sys.stdout.isatty() else None
    try:
        while True:
            found = _look(campaign, queue, ask)
            done = sum(s.state == "done" for s in found)
            done_at_first = done if done_at_first < 0 else done_at_first
            line = _summary(campaign, found) + _estimate(found, done - done_at_first, time.monotonic() - began)
            line += f"; {queue.trouble}" if queue.trouble else ""
            _show(screen, found, line)
            if not any(s.state in (*ALIVE, *OPEN) for s in found):
                return _code(campaign, found)
            time.sleep(every)
    finally:
        if screen:
            screen.stop()


def _screen() -> Any:
    from rich.live import Live

    live = Live(auto_refresh=False)
    live.start()
    return live


def _show(screen: Any, found: Sequence[Standing], line: str) -> None:
    if screen is None:
        click.echo(line)
        return
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    busy = [s for s in found if s.state not in ("done", "blocked")]
    room = max(screen.console.height - 6, 5)
    table = Table(*_COLUMNS, box=SIMPLE_HEAD, pad_edge=False, caption=line, caption_justify="left")
    for standing in busy[:room]:
        table.add_row(*("–" if cell is None else escape(str(cell)) for cell in _row(standing)))
    if len(busy) > room:
        table.add_row("…", f"{len(busy) - room} more")
    screen.update(table, refresh=True)


def _estimate(found: Sequence[Standing], new: int, seconds: float) -> str:
    """When it will end if it goes on as it did since we look."""
    left = sum(s.state in ("ready", "blocked", "submitting", "queued", "running") for s in found)
    if not new or not left:
        return ""
    end = time.time() + left * seconds / new
    return f"; about {left * seconds / new / 60:.0f} min left, until {time.strftime('%H:%M', time.localtime(end))}"
