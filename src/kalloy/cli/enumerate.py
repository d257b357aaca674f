"""``kalloy enumerate``: the configurations themselves, as files or lines, outside any campaign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from kalloy.cli.output import cell_option, dry_run_option, emit_table, host_argument, json_option, replace_option
from kalloy.cli.spaces import open_space, tolerance_option
from kalloy.errors import InputError

if TYPE_CHECKING:
    from kalloy.structures.configuration import ConfigurationSpace, Content
    from kalloy.structures.picks import Pick

Row = tuple[object, ...]
LONGEST = 6
"""How many distances a cell of the table holds."""


class Choice(TypedDict):
    """Which configurations are wanted, as the options say it."""

    sample: int | None
    over: str
    quasirandom: int | None
    seed: int
    space_group: tuple[str, ...]
    min_distance: tuple[str, ...]


class Form(TypedDict):
    """How they are written or shown, as the options say it."""

    output: Path | None
    format_name: str
    archive: bool
    table: bool
    as_json: bool
    dry_run: bool


class Options(Choice, Form):
    """All options but those that name the space."""


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
    help="One file a structure; for extxyz one file a content.",
)
@click.option("--archive", is_flag=True, help="One tar file a content instead of one file a structure: much faster.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Draw N of each content instead of all.")
@click.option(
    "--over",
    type=click.Choice(["orbits", "occupations"]),
    default="orbits",
    show_default=True,
    help="What samples are uniform over: distinct configurations, or all arrangements.",
)
@click.option("--quasirandom", type=click.IntRange(min=1), metavar="N", help="The N most random-like of each content.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --sample and --quasirandom.")
@click.option("--space-group", multiple=True, metavar="G", help="Keep these: P321, 150. Repeatable.")
@click.option("--min-distance", multiple=True, metavar="A-B:Å", help="Keep A and B this far apart: K-K:6. Repeatable.")
@click.option("--table", is_flag=True, help="Print label, degeneracy, space group, Wyckoff positions and distances.")
@json_option
@dry_run_option
def command(host: str, replacements: tuple[str, ...], cell: str, tolerance: float, **options: Unpack[Options]) -> None:
    """Write every symmetry-distinct configuration of HOST to a folder.

    The folder gets one folder a content (K03/c12.vasp); configurations.jsonl with label, degeneracy, occupation and
    identity of each; and enumeration.json, which says what was asked. --json prints the same lines.

    \b
    kalloy enumerate Cs4PbBr6 --replace Cs=K:3 -o FOLDER
    kalloy enumerate Cs4PbBr6 --replace Cs=K:3 --space-group P321 --table
    kalloy enumerate Cs4PbBr6 --replace Cs=K:12 --cell "2 2 1" --sample 500 --seed 1 -o FOLDER
    """
    _refuse_contradictions(options)
    space = open_space(host, cell, replacements, tolerance)
    stream = _picks(space, options)
    if options["dry_run"]:
        _announce(space, options)
        return
    if options["as_json"]:
        stream = _printed(stream)
    rows: list[Row] = []
    if options["table"]:
        stream = _tabulated(stream, space, rows)
    asked = {"host": host, "cell": cell, "replace": list(replacements), "tolerance_A": tolerance}
    number = _written(stream, space, options, asked)
    if options["table"]:
        _print_table(space, rows)
    if options["output"] and not options["as_json"]:
        click.echo(f"{number:,} configurations in {options['output']}")


def _refuse_contradictions(options: Options) -> None:
    from kalloy.structures.writing import refuse_occupied

    if not (options["output"] or options["as_json"] or options["table"] or options["dry_run"]):
        raise InputError("no folder to write to", where="-o", mend="name one, or print with --table or --json")
    if options["sample"] and options["quasirandom"]:
        raise InputError("--sample and --quasirandom exclude each other", mend="keep one")
    if options["as_json"] and options["table"]:
        raise InputError("--json and --table exclude each other", mend="keep one")
    if options["archive"] and options["format_name"] == "extxyz":
        raise InputError("--archive is for formats of one file a structure", mend="extxyz is one file a content")
    if options["output"]:
        refuse_occupied(options["output"])


def _picks(space: ConfigurationSpace, options: Options) -> Iterator[Pick]:
    """The stream that is asked for, what the filters refuse left out."""
    from kalloy.structures.filters import MinimumDistance, space_groups

    tests = [MinimumDistance.parse(text).on(space) for text in options["min_distance"]]
    if options["space_group"]:
        tests.append(space_groups(options["space_group"]))
    return (
        pick
        for content in space.contents
        for pick in _picks_of(space, content, options)
        if all(test(pick.configuration) for test in tests)
    )


def _picks_of(space: ConfigurationSpace, content: Content, options: Options) -> Iterator[Pick]:
    from kalloy.structures.picks import every, most_random, sampled
    from kalloy.structures.sampling import Over

    if options["sample"]:
        return sampled(space, content, options["sample"], options["seed"], Over(options["over"]))
    if options["quasirandom"]:
        return most_random(space, content, options["quasirandom"], options["seed"])
    return every(space, content)


def _written(stream: Iterator[Pick], space: ConfigurationSpace, options: Options, asked: dict[str, Any]) -> int:
    """Write the stream, or only let it run; how many there were."""
    from kalloy.structures.formats import FORMATS
    from kalloy.structures.writing import Layout, write_configurations

    if options["output"] is None:
        return sum(1 for _ in stream)
    style = FORMATS[options["format_name"]](space)
    layout = Layout.TOGETHER if style.many else Layout.ARCHIVE if options["archive"] else Layout.EACH
    said = {name: options[name] for name in ("format_name", "archive", *Choice.__annotations__)}  # type: ignore[literal-required]
    return write_configurations(stream, options["output"], style, {**asked, **said}, layout)


def _printed(stream: Iterator[Pick]) -> Iterator[Pick]:
    for pick in stream:
        click.echo(json.dumps(pick.record()))
        yield pick


def _tabulated(stream: Iterator[Pick], space: ConfigurationSpace, rows: list[Row]) -> Iterator[Pick]:
    """Note of each configuration what the table shows, and pass it on."""
    from kalloy.structures.geometry import Geometry

    geometry = Geometry(space)
    names = _substituents(space)
    for pick in stream:
        configuration = pick.configuration
        distances = [_shortest(geometry.between(configuration, name, name)) for name in names]
        positions = geometry.wyckoff(configuration)
        rows.append((configuration.label, configuration.degeneracy, configuration.space_group, positions, *distances))
        yield pick


def _print_table(space: ConfigurationSpace, rows: list[Row]) -> None:
    distances = [f"{name}–{name} (Å)" for name in _substituents(space)]
    emit_table(["configuration", "degeneracy", "space group", "positions", *distances], rows)


def _substituents(space: ConfigurationSpace) -> list[str]:
    return list(dict.fromkeys(substitution.with_ for substitution in space.substitutions))


def _shortest(distances: list[float]) -> str:
    return " ".join(f"{d:.2f}" for d in distances[:LONGEST]) + (" …" if len(distances) > LONGEST else "")


def _announce(space: ConfigurationSpace, options: Options) -> None:
    each = options["sample"] or options["quasirandom"]
    number = sum(each or space.count(content) for content in space.contents)
    filtered = " before filters" if options["space_group"] or options["min_distance"] else ""
    where = f"to {options['output']}" if options["output"] else "to the terminal"
    click.echo(f"would write {number:,} configurations of {len(space.contents)} contents{filtered} {where}")
