"""What a running campaign shows: a line for every change, and on a terminal what is at work right now."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

from kalloy.cli.stopping import STOP
from kalloy.workflows.attempt import State, is_elsewhere
from kalloy.workflows.estimate import calculations, estimate
from kalloy.workflows.submission.board import Standing, tally
from kalloy.workflows.submission.pulse import pulse

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.steps import Selection

HEARTBEAT = 30.0
"""Seconds between two lines on what runs where the output is no terminal."""


def announce(campaign: Campaign) -> None:
    """Say what will be done and about how long it takes."""
    spec, host = campaign.spec, campaign.host
    how = f"preset {spec.calculation.preset}, engine {spec.calculation.engine}"
    left = {stage: n for stage, n in calculations(campaign).items() if n}
    click.echo(
        f"{campaign.root}: {host.name}, {campaign.formula} ({host.space_group.symbol}), host and "
        f"{len(campaign.configurations)} configurations; {how}"
    )
    if not left:
        click.echo("every calculation is done")
        return
    listed = ", ".join(f"{n} × {stage}" for stage, n in left.items())
    click.echo(f"to do: {listed}; {spec.machine.at_a_time}{_expected(campaign)}")


def _expected(campaign: Campaign) -> str:
    about = estimate(campaign)
    if about is None:
        return ""
    without = f", without {', '.join(about.unmeasured)}" if about.unmeasured else ""
    return f"; about {max(1, round(about.minutes))} min with free cores{without}"


class Progress:
    """Watches a driver."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._last: dict[str, State] = {}
        self._beat = time.monotonic()
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind in (KeyboardInterrupt, SystemExit) and self.campaign.spec.machine.scheduler != "local":
            self.say(f"jobs that {self.campaign.spec.machine.scheduler} has go on; `kalloy cancel` would end them")
        self._clear()

    def selected(self, selection: Selection) -> None:
        """A step begins."""
        self._clear()
        steps = len(self.campaign.spec.step)
        members = ", ".join(selection.members[:6]) + (", …" if len(selection.members) > 6 else "")
        click.echo(f"step {selection.step} of {steps}: {', '.join(selection.stages)} on {members or 'nobody'}")
        for note in selection.notes:
            click.echo(f"  {note}")
        self._last = {}

    def look(self, found: list[Standing]) -> None:
        """Print what changed since the last look, and what runs."""
        STOP.obey()
        if not found:  # it waits
            return
        first = not self._last
        for standing in found:
            before = self._last.get(standing.label)
            if before is not standing.state:
                self._changed(standing, first)
        self._last = {s.label: s.state for s in found}
        self._show_running(found)

    def say(self, line: str) -> None:
        """Print what was done or found out."""
        self._clear()
        click.echo(f"  {self._clock()} {line}")

    def _changed(self, standing: Standing, first: bool) -> None:
        state, label = standing.state, standing.label
        if first and state in (State.READY, State.BLOCKED):
            return
        if state in (State.DONE, State.FAILED, State.NEEDS_DECISION, State.LOST, State.CANCELLED):
            self._clear()
            spent = self._spent(standing)
            again = " (from before)" if first else ""
            click.echo(
                f"  {self._clock()} {label}: {state}{spent}{again}" + (f": {standing.cause}" if standing.cause else "")
            )

    def _spent(self, standing: Standing) -> str:
        end = standing.attempt.end if standing.attempt else None
        return f", {end['wall_seconds']:.0f} s" if end and "wall_seconds" in end else ""

    def _show_running(self, found: list[Standing]) -> None:
        running = [s for s in found if s.state is State.RUNNING]
        quiet = time.monotonic() - self._beat
        if not running or quiet < (1.0 if self._live else HEARTBEAT):
            return
        self._beat = time.monotonic()
        at_work = "; ".join(self._at_work(s) for s in running)
        line = f"  {self._clock()} {tally(found)} | {at_work}"
        if self._live:
            width = shutil.get_terminal_size().columns
            click.echo("\r\x1b[2K" + line[: width - 1], nl=False, err=True)
        else:
            click.echo(line)

    def _at_work(self, standing: Standing) -> str:
        how_far = pulse(standing.attempt.folder) if standing.attempt else ""
        owner = standing.attempt.owner if standing.attempt else None
        if owner and is_elsewhere(owner):
            how_far = f"on {owner['host']}: --take-over if that is dead"
        return f"{standing.label}" + (f" ({how_far})" if how_far else "")

    def _clock(self) -> str:
        minutes_, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes_:3d}:{seconds:02d}"

    def _clear(self) -> None:
        if self._live:
            click.echo("\r\x1b[2K", nl=False, err=True)
