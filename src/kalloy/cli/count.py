"""``kalloy count``: how many symmetry-distinct configurations there are, exactly, before any is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.output import cell_option, emit_json, emit_table, host_argument, json_option, replace_option
from kalloy.cli.spaces import open_space, tolerance_option

if TYPE_CHECKING:
    from kalloy.structures.configuration import ConfigurationSpace


@click.command()
@host_argument
@replace_option
@cell_option
@tolerance_option
@json_option
def command(host: str, replacements: tuple[str, ...], cell: str, tolerance: float, as_json: bool) -> None:
    """Count the symmetry-distinct configurations of HOST, exactly and without enumerating them.

    HOST is a bundled name (Cs4PbBr6, Cs4PbBr6-measured, CsPbBr3) or a CIF, POSCAR or other structure file.
    Partial occupancies in a file are substitutions by themselves.

    \b
    kalloy count Cs4PbBr6 --replace Cs=K
    kalloy count Cs4PbBr6 --replace Cs=K:3 --replace Cs=Rb:0-2 --cell primitive
    kalloy count Cs4PbBr6 --replace Cs@18e=K:0.5 --cell "2 1 1"
    """
    space = open_space(host, cell, replacements, tolerance)
    if as_json:
        emit_json(as_document(space, host, cell))
    else:
        _print_table(space)


def as_document(space: ConfigurationSpace, host: str, cell: str) -> dict[str, Any]:
    """The counts as JSON, every integer exact.

    ``count`` and ``fraction`` are numbers for one substitution, for several lists in the order of ``substitutions``.
    """
    single = len(space.substitutions) == 1
    several = {} if single else {"substitutions": [str(substitution) for substitution in space.substitutions]}
    counts = [
        {
            "count": content.counts[0] if single else list(content.counts),
            "fraction": content.fractions[0] if single else list(content.fractions),
            "distinct": space.count(content),
            "total": content.total,
        }
        for content in space.contents
    ]
    head = {"schema": 1, "host": host, "cell": cell, "sites": space.sites, "operations": space.operations}
    return {**head, **several, "counts": counts}


def _print_table(space: ConfigurationSpace) -> None:
    host = space.host
    rows = [
        (
            content.label,
            *[f"{part:.4g}" for part in content.fractions],
            f"{space.count(content):,}",
            f"{content.total:,}",
        )
        for content in space.contents
    ]
    fractions = [f"x({substitution.with_})" for substitution in space.substitutions]
    title = (
        f"{host.name}, {host.cell} cell, {host.crystal.formula}, {host.space_group} within {host.tolerance:g} Å: "
        f"{space.sites} sites, {space.operations} operations"
    )
    emit_table(["content", *fractions, "distinct", "arrangements"], rows, title=title)
    if len(rows) > 1:
        distinct = sum(space.count(content) for content in space.contents)
        total = sum(content.total for content in space.contents)
        click.echo(f"{len(rows)} contents: {distinct:,} configurations of {total:,} arrangements")
