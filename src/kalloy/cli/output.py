"""How results are printed: a table for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from kalloy.cli import completing

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign


def emit_json(value: Any) -> None:
    """One JSON document on stdout, a list one entry a line; infinities and NaN are refused, for they are no JSON."""
    ascii_alone = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    if isinstance(value, list) and value:
        entries = ",\n".join(json.dumps(entry, ensure_ascii=ascii_alone, allow_nan=False) for entry in value)
        click.echo(f"[\n{entries}\n]")
    else:
        click.echo(json.dumps(value, indent=1, ensure_ascii=ascii_alone, allow_nan=False))


def shell_word(path: Path) -> str:
    """A path as it is typed after a verb: quoted, and behind ``--`` where it looks like an option."""
    word = shlex.quote(str(path))
    return f"-- {word}" if word.startswith("-") else word


def emit_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, left: int = 1
) -> None:
    """A plain table on stdout: the first ``left`` columns to the left, numbers to the right.

    Values are printed as ``str`` gives them, ``None`` as a dash. A pipe gets the table whole; a terminal gets
    it wrapped to its width.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(
        title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else escape(str(cell)) for cell in row))
    console.print(table)


QUIET = 2.0
"""Seconds before writing many inputs is worth a line."""


class Writing:
    """Says on stderr how many inputs are written, once that takes more than a moment."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = False

    def __enter__(self) -> Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._said and sys.stderr.isatty():
            click.echo("\r\x1b[2K", nl=False, err=True)

    def tell(self, done: int, of: int) -> None:
        """So many of so many are written."""
        if time.monotonic() - self._began < QUIET or done == of:
            return
        self._said = True
        line = f"{done:,} of {of:,} written"
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[2K{line}", nl=False, err=True)
        else:
            click.echo(line, err=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
allow_option = click.option(
    "--allow",
    metavar="SETTING",
    multiple=True,
    help="Compare although this setting differs; figures then carry it as a doubt. Repeatable.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done and write nothing.")
host_argument = click.argument("host", shell_complete=completing.hosts)
replace_option = click.option(
    "--replace",
    "replacements",
    metavar="A=B[:N]",
    multiple=True,
    help="Put B (or vacancy) on sites of A; N an integer, a range 1-4, a fraction, or left out for all. Repeatable.",
)
cell_option = click.option(
    "--cell",
    default="given",
    show_default=True,
    metavar="CELL",
    shell_complete=completing.cells,
    help='given | primitive | conventional | "2 1 1" | nine integers.',
)
campaign_argument = click.argument("campaign", default=".", type=click.Path(file_okay=False))
max_jobs_option = click.option(
    "--max-jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Jobs in a queueing system at a time, instead of what the site says.",
)
members_option = click.option(
    "--member",
    "members",
    multiple=True,
    metavar="LABEL",
    shell_complete=completing.members,
    help="Only this member, such as K03/c12. Repeatable.",
)


def known_members(campaign: Campaign, members: Iterable[str]) -> set[str]:
    """Labels that are there; raises `InputError` with the nearest one for the first that is not."""
    return {campaign.member(label).label for label in members}
