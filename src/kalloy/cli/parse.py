"""``kalloy parse``: read any VASP folder, outside any campaign."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from kalloy.cli.output import emit_json, emit_table, json_option
from kalloy.errors import InputError


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Read in that many processes; by default one a processor for 16 folders or more.",
)
def command(folders: tuple[str, ...], as_json: bool, as_csv: bool, processes: int | None) -> None:
    """Read any VASP folder: gap, character, energy, convergence.

    FOLDER is a folder with VASP's files, or one such file, also compressed. A folder that cannot be read is a row with
    its reason; a path that does not exist is bad input.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    for folder in folders:
        if not Path(folder).exists():
            raise InputError("no such file or folder", where=folder)
    rows = list(_with_progress(_rows(folders, processes), len(folders)))
    if as_json:
        emit_json(rows)
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(rows)


def _rows(folders: tuple[str, ...], processes: int | None) -> Iterator[dict[str, Any]]:
    from kalloy.parsers.many import read_rows

    return read_rows(folders, processes)


def _with_progress(rows: Iterator[dict[str, Any]], count: int) -> Iterable[dict[str, Any]]:
    """A bar on stderr while many folders are read, where somebody watches."""
    if count < 2 or not sys.stderr.isatty():
        yield from rows
        return
    with click.progressbar(rows, length=count, label="reading", file=sys.stderr, show_pos=True) as bar:
        yield from bar


def _print_csv(rows: list[dict[str, Any]]) -> None:
    """One line a folder; lists as JSON, unknown values empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for v in row.values()])


def _print_table(rows: list[dict[str, Any]]) -> None:
    columns = ("folder", "formula", "gap / eV", "", "direct / eV", "E0 / eV", "V / Å3", "converged", "from")
    emit_table(columns, [_cells(row) for row in rows], left=2)
    for row in rows:
        for warning in row["warnings"]:
            click.echo(f"{row['folder']}: {warning}")


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    return (
        row["folder"],
        row["formula"],
        _fixed(row["gap_eV"], 4),
        _character(row),
        _fixed(row["direct_gap_eV"], 4),
        _fixed(row["energy_eV"], 6),
        _fixed(row["volume_A3"], 3),
        _converged(row),
        row["gap_source"],
    )


def _fixed(value: float | None, decimals: int) -> str | None:
    return None if value is None else f"{value:.{decimals}f}"


def _character(row: dict[str, Any]) -> str | None:
    if row["metal"]:
        return "metal"
    return None if row["direct"] is None else ("direct" if row["direct"] else "indirect")


def _converged(row: dict[str, Any]) -> str:
    if not row["complete"]:
        return "incomplete"
    parts = {"electronic": row["electronic_converged"], "ionic": row["ionic_converged"]}
    missed = [name for name, reached in parts.items() if reached is False]
    if missed:
        return "not " + ", ".join(missed)
    reached = [name for name, value in parts.items() if value]
    return ", ".join(reached) or "unknown"
