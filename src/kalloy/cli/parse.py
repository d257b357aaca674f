"""``kalloy parse``: read any VASP folder, outside any campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kalloy.cli.output import emit_json, emit_table, json_option
from kalloy.errors import InputError, ParseError


@click.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…")
@json_option
def command(folders: tuple[str, ...], as_json: bool) -> None:
    """Read any VASP folder: gap, character, energy, convergence.

    FOLDER is a folder with VASP's files or a vasprun.xml, also compressed. A folder that cannot be read is a row with
    its reason; a path that does not exist is bad input.
    """
    for folder in folders:
        if not Path(folder).exists():
            raise InputError("no such file or folder", where=folder)
    rows = [_row(folder) for folder in folders]
    if as_json:
        emit_json(rows)
    else:
        _print_table(rows)


def _row(folder: str) -> dict[str, Any]:
    from kalloy.parsers.result import read_result, unreadable

    try:
        return read_result(folder).to_json()
    except ParseError as error:
        return unreadable(folder, str(error))


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
