"""``kalloy enumerate``: the configurations themselves, as files, outside any campaign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import cell_option, dry_run_option, host_argument, json_option, replace_option
from kalloy.cli.spaces import open_space, tolerance_option
from kalloy.errors import InputError

if TYPE_CHECKING:
    from kalloy.structures.configuration import Configuration, ConfigurationSpace


@click.command()
@host_argument
@replace_option
@cell_option
@tolerance_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="A new or an empty folder.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["poscar", "cif", "extxyz"]),
    default="poscar",
    show_default=True,
    help="Of the structures: one file each, or for extxyz one file a content.",
)
@json_option
@dry_run_option
def command(
    host: str,
    replacements: tuple[str, ...],
    cell: str,
    tolerance: float,
    output: Path | None,
    format_name: str,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Write every symmetry-distinct configuration of HOST to a folder.

    The folder gets one folder a content (K03/c12.vasp), configurations.jsonl with label, degeneracy, occupation and
    identity of each, and enumeration.json, which says what was asked. With --json the lines of configurations.jsonl
    are printed as well.

    \b
    kalloy enumerate Cs4PbBr6 --replace Cs=K:3 -o FOLDER
    """
    from kalloy.structures.formats import FORMATS
    from kalloy.structures.writing import refuse_occupied, write_configurations

    if output is None and not (as_json or dry_run):
        raise InputError("no folder to write to", where="-o", mend="name one, or print with --json")
    space = open_space(host, cell, replacements, tolerance)
    if output is not None:
        refuse_occupied(output)
    if dry_run:
        _announce(space, output)
        return
    stream: Iterator[Configuration] = (c for content in space.contents for c in space.configurations(content))
    if as_json:
        stream = _printed(stream)
    if output is None:
        for _ in stream:
            pass
        return
    asked = {"host": host, "cell": cell, "replace": list(replacements), "tolerance_A": tolerance, "format": format_name}
    number = write_configurations(stream, output, FORMATS[format_name](space), asked)
    if not as_json:
        click.echo(f"{number} configurations in {output}")


def _printed(stream: Iterator[Configuration]) -> Iterator[Configuration]:
    for configuration in stream:
        click.echo(json.dumps(configuration.record()))
        yield configuration


def _announce(space: ConfigurationSpace, output: Path | None) -> None:
    number = sum(space.count(content) for content in space.contents)
    where = f"to {output}" if output else "to the terminal"
    click.echo(f"would write {number:,} configurations of {len(space.contents)} contents {where}")
