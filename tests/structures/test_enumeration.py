"""Orderly generation: counts and degeneracies by theorem, orbits by brute force, the order of what comes."""

from __future__ import annotations

import random
from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.enumeration import Stage, nested_orbits, orbits
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution

COUNTS = [
    *[("primitive", n, count) for n, count in enumerate([1, 2, 6, 8, 12, 8, 6, 2, 1])],
    *[("given", n, count) for n, count in enumerate([1, 2, 15, 70, 336, 1241, 3889])],
    *[("given", 12, 75790), ("given", 18, 3889), ("given", 24, 1)],
    *[("2 1 1", n, count) for n, count in enumerate([1, 3, 65, 749, 8348, 71683, 513323])],
    *[("1 1 2", n, count) for n, count in enumerate([1, 2, 28, 271, 2842, 24079, 171488])],
    *[("2 2 1", n, count) for n, count in enumerate([1, 2, 49, 1050, 23530, 425759])],
]


@pytest.fixture(scope="module")
def permutations() -> Any:
    found: dict[str, Any] = {}

    def of(cell: str) -> Any:
        if cell not in found:
            found[cell] = ConfigurationSpace(load_host("Cs4PbBr6", cell), [Substitution("Cs", "K")]).permutations
        return found[cell]

    return of


@pytest.mark.parametrize(("cell", "n", "expected"), COUNTS)
def test_numbers_and_degeneracies_of_the_home_case(permutations: Any, cell: str, n: int, expected: int) -> None:
    group = permutations(cell)
    number = total = 0
    for _, degeneracy in orbits(group, n):
        number += 1
        total += degeneracy
    assert number == expected
    assert total == comb(len(group[0]), n)


@settings(max_examples=100)
@given(st.lists(st.permutations(range(7)), min_size=1, max_size=2), st.integers(0, 7))
def test_any_group_gives_each_orbit_once_with_its_size(
    brute: Any, close: Any, occupied: Any, generators: list[list[int]], count: int
) -> None:
    group = close([tuple(g) for g in generators])
    expected = brute(group, [(range(7), count)])
    found = [(occupied([choice], 7), degeneracy) for choice, degeneracy in orbits(group, count)]
    assert len(found) == len(expected)
    assert {
        orbit: size for orbit, size in expected.items() if any(o in orbit and d == size for o, d in found)
    } == expected


@settings(max_examples=100)
@given(st.lists(st.permutations(range(6)), min_size=1, max_size=2), st.integers(1, 6))
def test_representatives_are_extreme_and_in_order(close: Any, generators: list[list[int]], count: int) -> None:
    group = close([tuple(g) for g in generators])

    def image(g: tuple[int, ...], choice: int) -> int:
        return sum(1 << (5 - g[site]) for site in range(6) if choice >> (5 - site) & 1)

    choices = [choice for choice, _ in orbits(group, count)]
    extreme = min if count > 3 else max
    assert choices == [extreme(image(g, choice) for g in group) for choice in choices]
    assert choices == sorted(set(choices), reverse=count <= 3)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.permutations(range(4)), st.permutations(range(4, 7))), min_size=1, max_size=2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 3),
)
def test_several_species_on_two_sublattices(
    brute: Any, close: Any, occupied: Any, generators: Any, first: int, second: int, third: int
) -> None:
    group = close([(*one, *two) for one, two in generators])
    plan = [(range(4), first), (range(4, 7), third), (range(4), second)]
    expected = brute(group, plan)
    found = list(nested_orbits(group, [Stage(tuple(sites), count) for sites, count in plan]))
    orbit_of = {occupation: (orbit, size) for orbit, size in expected.items() for occupation in orbit}
    sizes = {}
    for choices, degeneracy in found:
        orbit, size = orbit_of[occupied(choices, 7)]
        assert degeneracy == size
        assert orbit not in sizes, "an orbit came twice"
        sizes[orbit] = degeneracy
    assert sizes == expected


def test_the_order_of_operations_does_not_matter(permutations: Any) -> None:
    group = list(permutations("given"))
    expected = list(orbits(group, 4))
    random.Random(1).shuffle(group)
    assert list(orbits(group, 4)) == expected


def test_without_symmetry_every_choice_is_its_own() -> None:
    found = list(orbits([tuple(range(10))], 4))
    assert [degeneracy for _, degeneracy in found] == [1] * comb(10, 4)
    assert len({choice for choice, _ in found}) == comb(10, 4)
