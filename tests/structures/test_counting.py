"""Exact counts: against published ones, against brute force on random groups, and against the multinomials."""

from __future__ import annotations

from math import comb
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.counting import arrangements, classes, cycle_type, cycles, distinct, fixed
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution

COUNTS = {
    ("primitive", 8, 12): {1: 2, 2: 6, 3: 8, 4: 12, 5: 8, 6: 6, 8: 1},
    ("given", 24, 36): {1: 2, 2: 15, 3: 70, 4: 336, 5: 1241, 6: 3889, 8: 20772, 12: 75790},
    ("2 1 1", 48, 24): {1: 3, 2: 65, 3: 749, 4: 8348, 5: 71683, 6: 513323, 8: 15734516},
    ("1 1 2", 48, 72): {1: 2, 2: 28, 3: 271, 4: 2842, 5: 24079, 6: 171488, 8: 5246602},
    ("2 2 1", 96, 144): {1: 2, 2: 49, 3: 1050, 4: 23530, 5: 425759, 6: 6445837, 8: 920940948},
}


def potassium(cell: str) -> ConfigurationSpace:
    return ConfigurationSpace(load_host("Cs4PbBr6", cell), [Substitution("Cs", "K")])


@pytest.mark.parametrize(("cell", "sites", "operations"), COUNTS)
def test_counts_of_the_home_case(cell: str, sites: int, operations: int) -> None:
    space = potassium(cell)
    assert (space.sites, space.operations) == (sites, operations)
    expected = COUNTS[cell, sites, operations]
    assert {n: space.count(space.contents[n]) for n in expected} == expected
    assert [space.contents[n].total for n in expected] == [comb(sites, n) for n in expected]


def test_all_contents_of_the_hexagonal_cell() -> None:
    space = potassium("conventional")
    counts = [space.count(content) for content in space.contents]
    assert sum(counts) == 471096
    assert counts == counts[::-1]
    assert sum(content.total for content in space.contents) == 2**24


def test_large_cells_are_counted_without_rounding() -> None:
    space = potassium("2 2 2")
    total = sum(space.count(content) for content in space.contents)
    # The number of orbits on all subsets is the mean of 2 to the number of cycles.
    powers = [2 ** len(cycles(p)) for p in space.permutations]
    assert total * space.operations == sum(powers)
    assert total > 2**192 // 300


@given(st.permutations(range(9)))
def test_cycles_partition_the_sites(permutation: list[int]) -> None:
    found = cycles(tuple(permutation))
    assert sorted(site for cycle in found for site in cycle) == list(range(9))
    assert all(permutation[a] == b for c in found for a, b in zip(c, [*c[1:], c[0]], strict=True))
    assert sum(length * number for length, number in cycle_type(tuple(permutation))) == 9


@given(st.permutations(range(7)), st.integers(0, 4), st.integers(0, 3))
def test_fixed_occupations_are_those_that_brute_force_finds(permutation: list[int], first: int, second: int) -> None:
    from itertools import combinations

    number = sum(
        {permutation[i] for i in one} == set(one) and {permutation[i] for i in two} == set(two)
        for one in combinations(range(7), first)
        for two in combinations([i for i in range(7) if i not in one], second)
    )
    assert fixed(cycle_type(tuple(permutation)), (first, second)) == number


@settings(max_examples=60)
@given(st.lists(st.permutations(range(6)), min_size=1, max_size=2), st.integers(0, 3), st.integers(0, 3))
def test_distinct_is_the_number_of_orbits_of_any_group(
    brute: Any, close: Any, generators: list[list[int]], first: int, second: int
) -> None:
    group = close([tuple(g) for g in generators])
    stages = [(range(6), first), (range(6), second)]
    assert distinct(classes(group, [range(6)]), [(first, second)]) == len(brute(group, stages))


@given(st.lists(st.integers(0, 4), max_size=4))
def test_arrangements_is_the_multinomial(counts: list[int]) -> None:
    from math import factorial, prod

    sites = 16
    rest = sites - sum(counts)
    assert arrangements(sites, counts) == factorial(sites) // prod(map(factorial, [*counts, rest]))
