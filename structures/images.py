"""The images of a configuration under its host's operations: the same structure in its other orientations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.symmetry import Operation, operations

Occupation = tuple[str, ...]


def images(space: ConfigurationSpace, configuration: Configuration) -> dict[Occupation, list[Operation]]:
    """Every occupation that is equivalent to a configuration, with the operations that make it of it.

    The configuration's own occupation is among them; there are as many as its degeneracy says, and each is reached by
    as many operations as leave the configuration alone (the orbit–stabiliser theorem).
    """
    found: dict[Occupation, list[Operation]] = {}
    for operation in operations_of(space):
        found.setdefault(moved(configuration.occupation, operation.permutation), []).append(operation)
    return dict(sorted(found.items()))


def operations_of(space: ConfigurationSpace) -> tuple[Operation, ...]:
    """The operations of a space's host, with how they permute the substitutable sites."""
    return operations(space.host.marked, space.site_indices, space.host.tolerance)


def moved(occupation: Sequence[str], permutation: Sequence[int]) -> Occupation:
    """The occupation after each occupant went where a permutation sends its site."""
    there: list[str] = list(occupation)
    for site, landed in enumerate(permutation):
        there[landed] = occupation[site]
    return tuple(there)


def image(configuration: Configuration, occupation: Occupation, label: str) -> Configuration:
    """A configuration in another orientation."""
    return replace(configuration, label=label, occupation=occupation)
