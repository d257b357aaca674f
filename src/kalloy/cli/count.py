"""``kalloy count``: how many symmetry-distinct configurations there are, exactly, before any is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kalloy.cli.output import cell_option, emit_json, emit_table, host_argument, json_option, replace_option
from kalloy.cli.spaces import open_space, tolerance_option

if TYPE_CHECKING:
    from kalloy.structures.configuration import ConfigurationSpace
    from kalloy.structures.estimate import Estimate


@click.command()
@host_argument
@replace_option
@cell_option
@tolerance_option
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Above it, sampling or a smaller cell is proposed."
)
@click.option("--hours", type=click.FloatRange(min=0), metavar="H", help="Core-hours of one calculation.")
@json_option
def command(
    host: str,
    replacements: tuple[str, ...],
    cell: str,
    tolerance: float,
    limit: int | None,
    hours: float | None,
    as_json: bool,
) -> None:
    """Count the symmetry-distinct configurations of HOST, exactly and without enumerating them.

    HOST is a bundled name (Cs4PbBr6, Cs4PbBr6-measured, CsPbBr3, KBr, CsBr) or a CIF, POSCAR or other structure file.
    Partial occupancies in a file are substitutions by themselves.

    \b
    kalloy count Cs4PbBr6 --replace Cs=K
    kalloy count Cs4PbBr6 --replace Cs=K:3 --replace Cs=Rb:0-2 --cell primitive
    kalloy count Cs4PbBr6 --replace Cs@18e=K:0.5 --cell "2 1 1"
    """
    from kalloy.structures.estimate import LIMIT, estimate, smaller_hosts

    space = open_space(host, cell, replacements, tolerance)
    if as_json and limit is None and hours is None:
        emit_json(as_document(space, host, cell))
        return
    limit = limit or LIMIT
    smaller = smaller_hosts(space, host)
    estimates = [estimate(space, c, limit=limit, hours=hours, smaller=smaller) for c in space.contents]
    if as_json:
        emit_json(as_document(space, host, cell, estimates))
    else:
        _print_table(space, estimates, limit)


def as_document(
    space: ConfigurationSpace, host: str, cell: str, estimates: list[Estimate] | None = None
) -> dict[str, Any]:
    """The counts as JSON, every integer exact.

    ``count`` and ``fraction`` are numbers for one substitution, for several lists in the order of ``substitutions``.
    With estimates each entry has ``bytes``, ``core_hours`` and ``proposal`` as well.
    """
    single = len(space.substitutions) == 1
    several = {} if single else {"substitutions": [str(substitution) for substitution in space.substitutions]}
    counts: list[dict[str, Any]] = [
        {
            "count": content.counts[0] if single else list(content.counts),
            "fraction": content.fractions[0] if single else list(content.fractions),
            "distinct": space.count(content),
            "total": content.total,
        }
        for content in space.contents
    ]
    for entry, cost in zip(counts, estimates or [], strict=bool(estimates)):
        entry |= {"bytes": cost.bytes, "core_hours": cost.core_hours, "proposal": cost.proposal}
    head = {"schema": 1, "host": host, "cell": cell, "sites": space.sites, "operations": space.operations}
    return {**head, **several, "counts": counts}


def _print_table(space: ConfigurationSpace, estimates: list[Estimate], limit: int) -> None:
    host = space.host
    timed = estimates[0].core_hours is not None
    rows = [
        (
            content.label,
            *[f"{part:.4g}" for part in content.fractions],
            f"{cost.distinct:,}",
            f"{content.total:,}",
            _size(cost.bytes),
            *([f"{cost.core_hours:,.0f}"] if timed else []),
            cost.proposal,
        )
        for content, cost in zip(space.contents, estimates, strict=True)
    ]
    title = (
        f"{host.name}, {host.cell} cell, {host.crystal.formula}, {host.space_group} within {host.tolerance:g} Å: "
        f"{space.sites} sites, {space.operations} operations"
    )
    fractions = [f"x({substitution.with_})" for substitution in space.substitutions]
    hours = ["core-hours"] if timed else []
    emit_table(["content", *fractions, "distinct", "arrangements", "on disk", *hours, "proposal"], rows, title=title)
    if len(rows) > 1:
        distinct = sum(cost.distinct for cost in estimates)
        total = sum(content.total for content in space.contents)
        click.echo(f"{len(rows)} contents: {distinct:,} configurations of {total:,} arrangements")
    _explain(estimates, limit)


def _explain(estimates: list[Estimate], limit: int) -> None:
    """What the proposals mean, where there is any but to compute all."""
    ways = {cost.proposal for cost in estimates} - {"full"}
    if "sampled" in ways:
        click.echo(f"sampled: more than {limit:,} (--limit); kalloy enumerate --sample N draws without enumerating")
    for cell in sorted(ways - {"sampled"}):
        click.echo(f"{cell}: more than {limit:,} (--limit); --cell {cell} has fewer at the same fraction")


def _size(number: int) -> str:
    size, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
