"""What ``count`` and ``enumerate`` share: from the words of the command line to a configuration space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kalloy.structures.configuration import ConfigurationSpace

tolerance_option = click.option(
    "--tolerance",
    default=0.01,
    show_default=True,
    metavar="Å",
    help="How far an atom may be from where symmetry would have it.",
)


def open_space(host: str, cell: str, replacements: Iterable[str], tolerance: float) -> ConfigurationSpace:
    """The configuration space that is asked for; what is doubtful about its host goes to stderr."""
    from kalloy.structures.configuration import ConfigurationSpace
    from kalloy.structures.host import load_host
    from kalloy.structures.substitution import parse_replacement

    substitutions = [parse_replacement(text) for text in replacements]
    space = ConfigurationSpace(load_host(host, cell, tolerance), substitutions)
    for warning in space.host.warnings:
        click.echo(f"kalloy: warning: {warning}", err=True)
    return space
