"""Draws: uniform by χ², degeneracies and labels those of the enumeration, reproducible by their seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.sampling import Over, Sampler
from kalloy.structures.substitution import parse_replacement

CASES = [
    ("given", ("Cs=K:3",)),
    ("primitive", ("Cs=K:6",)),
    ("primitive", ("Cs=K:2", "Cs=Rb:3")),
    ("primitive", ("Cs=K:1", "Br=Cl:2")),
    ("primitive", ("Br=Cl:1", "Cs=K:1", "Br=vacancy:1")),
]


def space_of(cell: str, replacements: tuple[str, ...]) -> ConfigurationSpace:
    return ConfigurationSpace(load_host("Cs4PbBr6", cell), [parse_replacement(text) for text in replacements])


@pytest.mark.parametrize("over", Over)
@pytest.mark.parametrize(("cell", "replacements"), CASES)
def test_draws_are_uniform_and_are_the_enumerated_configurations(
    cell: str, replacements: tuple[str, ...], over: Over
) -> None:
    from scipy.stats import chi2

    space = space_of(cell, replacements)
    [content] = space.contents
    enumerated = {c.occupation: c.degeneracy for c in space.configurations(content)}
    number = 40 * len(enumerated)
    samples = list(Sampler(space, content, seed=20, over=over).draws(number))
    drawn = Counter(sample.configuration.occupation for sample in samples)
    assert all(enumerated[s.configuration.occupation] == s.configuration.degeneracy for s in samples)
    expected = {
        occupation: number * (degeneracy / content.total if over is Over.OCCUPATIONS else 1 / len(enumerated))
        for occupation, degeneracy in enumerated.items()
    }
    assert all(s.probability == pytest.approx(expected[s.configuration.occupation] / number) for s in samples)
    statistic = sum((drawn[occupation] - mean) ** 2 / mean for occupation, mean in expected.items())
    low, high = chi2.ppf([1e-4, 1 - 1e-4], len(enumerated) - 1)
    assert low < statistic < high


def test_the_same_seed_gives_the_same_draws() -> None:
    space = space_of("2 2 1", ("Cs=K:12",))
    [content] = space.contents

    def occupations(seed: int) -> list[Any]:
        return [s.configuration.occupation for s in Sampler(space, content, seed).draws(5)]

    assert occupations(1) == occupations(1)
    assert occupations(1) != occupations(2)


def test_labels_and_sizes_of_draws_from_a_space_beyond_enumeration() -> None:
    space = space_of("2 2 1", ("Cs=K:12",))
    [content] = space.contents
    assert space.count(content) > 4e12
    samples = list(Sampler(space, content, 1).draws(3))
    assert [s.configuration.label for s in samples] == ["K12/s0001", "K12/s0002", "K12/s0003"]
    assert all(s.configuration.occupation.count("K") == 12 for s in samples)
    assert all(s.probability == 1 / space.count(content) for s in samples)
    with pytest.raises(SubstitutionError, match="draw one at least"):
        next(Sampler(space, content, 1).draws(0))


def test_draws_that_are_equivalent_are_the_same_configuration() -> None:
    """The sampler hands out representatives: as many different ones as there are orbits, never more."""
    space = space_of("primitive", ("Cs=K:4",))
    [content] = space.contents
    drawn = {s.configuration.identity for s in Sampler(space, content, 3, Over.OCCUPATIONS).draws(600)}
    assert drawn == {c.identity for c in space.configurations(content)}
