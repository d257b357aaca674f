"""``kalloy prescreen``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.output import campaign_argument, dry_run_option, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.prescreen.averages import Averaged
    from kalloy.workflows.prescreen.ranking import Prescreened, RankCorrelation
    from kalloy.workflows.prescreen.store import Record, Store

COLUMNS = (
    "#",
    "member",
    "group",
    "positions",
    "g",
    "ΔE meV/cell",
    "meV/f.u.",
    "ΔV %",
    "Δa %",
    "Δb %",
    "Δc %",
    "goes on",
)
HEARTBEAT = 30.0
"""Seconds between two lines where the output is no terminal."""


@click.command()
@campaign_argument
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Relaxations side by side; the site's unless stated."
)
@click.option("--all", "everybody", is_flag=True, help="Show every configuration and not only the lowest twelve.")
@json_option
@dry_run_option
def command(campaign: str, jobs: int | None, everybody: bool, as_json: bool, dry_run: bool) -> int:
    """Let a cheap model relax every configuration of CAMPAIGN and choose who goes on to DFT.

    The model is CHGNet unless [prescreen] of kalloy.toml names another ASE calculator. Stop it whenever you like and
    type it again: what is relaxed is not relaxed again.
    """
    from kalloy.workflows.campaign import Campaign

    opened = Campaign(Path(campaign))
    if dry_run:
        _announce(opened, jobs)
        return 0
    store, done = relax_all(opened, jobs, quiet=as_json)
    show(opened, store, as_json, everybody)
    if not done:
        click.echo("not everybody could be relaxed; the same command tries again", err=True)
    return 0 if done else 1


def relax_all(campaign: Campaign, jobs: int | None = None, quiet: bool = False) -> tuple[Store, bool]:
    """Run the prescreen with progress; the store, and whether everybody has a record."""
    from kalloy.workflows.prescreen.running import prescreen
    from kalloy.workflows.prescreen.store import store_of

    store = store_of(campaign)
    if not quiet:
        click.echo(f"prescreen: {store.model.words}")
    with Progress(quiet) as progress:
        return store, prescreen(campaign, store, progress, jobs or campaign.spec.machine.side_by_side)


def _announce(campaign: Campaign, jobs: int | None) -> None:
    from kalloy.workflows.prescreen.store import prescreened_members, store_of

    store, members = store_of(campaign), prescreened_members(campaign)
    left = len(members) - len(store.records(members))
    click.echo(f"would relax {left} of {len(members)} structures with {store.model.words}")
    click.echo(f"{jobs or campaign.spec.machine.side_by_side} at a time, into {store.folder}")
    click.echo(f"and keep {campaign.spec.prescreen.keep.words}")


def show(campaign: Campaign, store: Store, as_json: bool, everybody: bool) -> None:
    """The table, who goes on, and how the model's order agrees with DFT's where that is known."""
    from kalloy.workflows.prescreen.averages import averages
    from kalloy.workflows.prescreen.figure import draw_prescreen
    from kalloy.workflows.prescreen.ranking import correlations, dft_energies, ranked

    rows = ranked(campaign, store)
    found = correlations(rows, dft_energies(campaign))
    mean = list(averages(rows, campaign.spec.ensemble.temperatures))
    rule = campaign.spec.prescreen.keep
    if as_json:
        emit_json(
            {
                "schema": 1,
                "model": store.model.to_json(),
                "folder": str(store.folder),
                "keep": rule.model_dump(exclude_none=True),
                "members": [row.to_json() for row in rows],
                "averages": [a.to_json() for a in mean],
                "against_dft": [c.to_json() for c in found],
            }
        )
        return
    _print_table(rows, everybody)
    if any(a.share_of_lowest < 1 for a in mean):
        emit_table(
            ("content", "T K", "lowest", "its weight %", "⟨E⟩ meV/cell", "⟨ΔV⟩ %"),
            [_average_cells(a) for a in mean],
        )
    drawn = draw_prescreen(rows, store.folder, store.model.name)
    for line in _notes(campaign, store, rows, found):
        click.echo(f"- {line}")
    for figure in drawn:
        click.echo(f"figure: {figure.svg}")


def _print_table(rows: list[Prescreened], everybody: bool) -> None:
    shown = [r for r in rows if everybody or r.rank is None or r.rank <= 12 or r.kept]
    emit_table(COLUMNS, [_cells(row) for row in shown], left=4)
    if len(shown) < len(rows):
        click.echo(f"  … and {len(rows) - len(shown)} more: --all, or --json")


def _cells(row: Prescreened) -> tuple[object, ...]:
    a, b, c = row.length_changes_percent or (None, None, None)
    return (
        row.rank or "",
        row.member,
        row.space_group,
        row.positions,
        row.degeneracy,
        _fixed(row.relative_meV, 1),
        _fixed(row.relative_meV_fu, 1),
        *(_fixed(value, 2, "+") for value in (row.volume_change_percent, a, b, c)),
        "yes" if row.kept else "",
    )


def _average_cells(mean: Averaged) -> tuple[object, ...]:
    share, volume = f"{100 * mean.share_of_lowest:.1f}", f"{mean.volume_change_percent:+.2f}"
    return mean.content, f"{mean.temperature_K:g}", mean.lowest, share, f"{mean.energy_meV:.1f}", volume


def _fixed(value: float | None, decimals: int, sign: str = "") -> str | None:
    return None if value is None else f"{value:{sign}.{decimals}f}"


def _notes(campaign: Campaign, store: Store, rows: list[Prescreened], found: list[RankCorrelation]) -> list[str]:
    from kalloy.workflows.prescreen.store import prescreened_members

    records = store.records(prescreened_members(campaign)).values()
    hashes = ", ".join(f"{name} {digest[:12]}" for name, digest in store.model.files.items())
    notes = [
        f"by {store.model.words}" + (f"; {hashes}" if hashes else ""),
        f"{sum(r.cpu_seconds for r in records):.0f} s CPU in all; records and structures in {store.folder}",
        f"kept: {campaign.spec.prescreen.keep.words}",
        "a model's energies order, they do not measure: only DFT's are ranked and reported",
    ]
    changed = [r.member for r in rows if r.kept and r.relaxed_space_group != r.space_group]
    if changed and not store.model.rattle_A:
        notes.append(f"symmetry changed while relaxing: {', '.join(changed)}")
    stuck = [r.member for r in rows if r.rank is None and r.content != "host"]
    if stuck:
        notes.append(f"not converged in {store.model.steps} steps and not ranked: {', '.join(stuck)}")
    return notes + [
        f"{c.content}: against DFT, {c.number} configurations: Spearman ρ {c.spearman:.2f}, Kendall τ {c.kendall:.2f}, "
        f"{'the same lowest' if c.same_lowest else 'another lowest'}"
        for c in found
    ]


class Progress:
    """A bar with its expected end on a terminal, a line now and then elsewhere."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._done = self._total = 0
        self._began = self._beat = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def began(self, done: int, total: int, jobs: int) -> None:
        """Show where it starts."""
        self._done, self._total = done, total
        if self._quiet or done == total:
            return
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("relaxing"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[last]}"),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=total, completed=done, last="")
            self._bar.start()
        else:
            before = f", {done} from before" if done else ""
            click.echo(f"  {total - done} to relax{before}, {jobs} at a time")

    def relaxed(self, record: Record) -> None:
        """One more is done."""
        self._done += 1
        last = f"{record.member} {record.energy_eV:.4f} eV in {record.steps} steps"
        if self._bar is not None:
            self._bar.update(self._task, advance=1, last=last)
        elif not self._quiet and time.monotonic() - self._beat > HEARTBEAT:
            self._beat = time.monotonic()
            click.echo(f"  {self._done} of {self._total}; {last}")

    def failed(self, member: str, why: str) -> None:
        """Say it at once."""
        click.echo(f"kalloy: {member}: {why}", err=True)
