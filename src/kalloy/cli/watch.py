"""``kalloy status --watch``: a table that is drawn anew, with how much is done and when all of it will be."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.status import COLUMNS, look, row, summary

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.submission.board import Standing
    from kalloy.workflows.submission.queue import Queue

RECENT = 50
"""So many of the newest results tell how fast it goes."""


class Watch:
    """Looks again and again; on anything but a terminal it prints one line a look."""

    def __init__(self, campaign: Campaign, queue: Queue, ask: bool) -> None:
        self.campaign, self.queue, self.ask = campaign, queue, ask
        self._screen = _screen() if sys.stdout.isatty() else None
        self._ended: dict[str, float] = {}

    def until_nothing_runs(self, every: float) -> list[Standing]:
        """The calculations, once none runs or waits any more."""
        from kalloy.workflows.submission.local_step import OPEN
        from kalloy.workflows.submission.queue_step import ALIVE

        try:
            while True:
                found = look(self.campaign, self.queue, self.ask)
                self._show(found)
                if not any(s.state in (*ALIVE, *OPEN) for s in found):
                    return found
                time.sleep(every)
        finally:
            if self._screen:
                self._screen.stop()

    def _show(self, found: Sequence[Standing]) -> None:
        line = "; ".join([summary(self.campaign, found), *self._progress(found)])
        if self._screen is None:
            click.echo(line)
            return
        from rich.console import Group
        from rich.text import Text

        busy = [s for s in found if s.state not in ("done", "blocked")]
        room = max(self._screen.console.height - 6, 5)
        self._screen.update(Group(_table(busy, room), Text(line)) if busy else Text(line), refresh=True)

    def _progress(self, found: Sequence[Standing]) -> list[str]:
        done = [s for s in found if s.state == "done"]
        left = sum(s.state in ("ready", "blocked", "submitting", "queued", "running") for s in found)
        words = [f"{100 * len(done) // len(found)} %"] if found else []
        for standing in done:
            if standing.label not in self._ended and standing.attempt and (end := standing.attempt.end):
                self._ended[standing.label] = _seconds(end.get("ended"))
        if left and (expected := estimate(list(self._ended.values()), left, time.time())):
            words.append(expected)
        return [*words, self.queue.trouble] if self.queue.trouble else words


def estimate(ended: Sequence[float], left: int, now: float) -> str:
    """When the rest will be done if it goes on as the newest results came; empty before the second result.

    Parameters
    ----------
    ended : when each result was there, in seconds since 1970.
    left : calculations that are not done.
    """
    recent = sorted(ended)[-RECENT:]
    if len(recent) < 2:
        return ""
    seconds = left * (now - recent[0]) / len(recent)
    about = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
    day = "" if seconds < 43200 else "%a "
    return f"about {about} left, until {time.strftime(day + '%H:%M', time.localtime(now + seconds))}"


def _seconds(at: str | None) -> float:
    return (datetime.fromisoformat(at) if at else datetime.now(UTC)).timestamp()


def _screen() -> Any:
    from rich.live import Live

    live = Live(auto_refresh=False)
    live.start()
    return live


def _table(busy: Sequence[Standing], room: int) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(*COLUMNS, box=SIMPLE_HEAD, pad_edge=False)
    for standing in busy[:room]:
        table.add_row(*("–" if cell is None else escape(str(cell)) for cell in row(standing)))
    if len(busy) > room:
        table.add_row("…", f"{len(busy) - room} more")
    return table
