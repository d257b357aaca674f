"""``kalloy doctor``."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import emit_json, json_option

if TYPE_CHECKING:
    from kalloy.workflows.doctor.examination import Group
    from kalloy.workflows.doctor.finding import Finding

COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}
SPEC_FILE = "kalloy.toml"


@click.command()
@click.argument("campaign", required=False, type=click.Path(file_okay=False, path_type=Path))
@json_option
def command(campaign: Path | None, as_json: bool) -> int:
    """Look at what is installed, configured and reachable, and say how to mend what is not.

    With a CAMPAIGN, or in its folder: at everything that it needs as well (engine, POTCARs, scheduler, disk, locks,
    what an interrupted driver left). Nothing is changed: what is written as a trial is removed, no job is submitted.
    The exit code is 1 where something fails.
    """
    from kalloy.workflows.doctor.examination import groups

    folder = campaign or (Path() if Path(SPEC_FILE).is_file() else None)
    found = [(group.name, finding) for group in groups(folder) for finding in _looked(group)]
    if as_json:
        emit_json([{"schema": 1, **finding.to_json(name)} for name, finding in found])
    else:
        _print(found)
    return 1 if any(finding.mark == "failure" for _, finding in found) else 0


def _looked(group: Group) -> Iterator[Finding]:
    with _saying(f"looking at: {group.name}"):
        yield from group.look()


@contextmanager
def _saying(line: str) -> Iterator[None]:
    """On a terminal's stderr, for as long as it takes: a far machine may let one wait."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(f"\r\x1b[2K{line}", nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\r\x1b[2K", nl=False, err=True)


def _print(found: list[tuple[str, Finding]]) -> None:
    """One aligned list, a heading before each group; a mend stands below what it mends."""
    marks = max(len(finding.mark) for _, finding in found)
    subjects = max(len(finding.subject) for _, finding in found)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    heading = None
    for name, finding in found:
        if name != heading:
            click.secho(f"{name}", bold=True)
            heading = name
        mark = click.style(f"{finding.mark:<{marks}}", fg=COLOURS[finding.mark])
        indent = 2 + marks + 2 + subjects + 2
        words = _wrapped(finding.words, indent, width)
        click.echo(f"  {mark}  {finding.subject:<{subjects}}  {words}")
        if finding.mend:
            click.echo(" " * indent + _wrapped(f"mend: {finding.mend}", indent, width))
    counts = {mark: sum(finding.mark == mark for _, finding in found) for mark in ("failure", "warning")}
    click.echo(", ".join(f"{n} {mark}{'s' if n != 1 else ''}" for mark, n in counts.items()))


def _wrapped(text: str, indent: int, width: int) -> str:
    """To a terminal's width; a pipe gets one line."""
    if width <= indent + 20:
        return text
    return f"\n{' ' * indent}".join(textwrap.wrap(text, width - indent, break_on_hyphens=False, break_long_words=False))
