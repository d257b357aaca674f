"""Quasirandom structures: the mismatch by its definition, the best by comparison of all, annealing against that."""

from __future__ import annotations

from itertools import product
from math import dist

import numpy as np
import pytest

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.quasirandom import PairShares, quasirandom
from kalloy.structures.substitution import parse_replacement


def space_of(host: str, cell: str, *replacements: str) -> ConfigurationSpace:
    return ConfigurationSpace(load_host(host, cell), [parse_replacement(text) for text in replacements])


def test_the_mismatch_is_what_it_is_defined_to_be() -> None:
    """Eight sites of a simple cubic lattice, written out: three shells within one cell."""
    space = space_of("CsPbBr3", "2 2 2", "Cs=K:4")
    [content] = space.contents
    a = 5.99
    corners = [np.array(corner) * a for corner in product((0, 1), repeat=3)]
    shells = [a, a * 2**0.5, a * 3**0.5]
    shares = PairShares(space, content)
    for configuration in space.configurations(content):
        held = dict(zip(map(tuple, product((0, 1), repeat=3)), configuration.occupation, strict=True))
        expected = 0.0
        for shell in shells:
            pairs = [
                (held[i], held[tuple(int(x) % 2 for x in np.array(i) + step)])
                for i in held
                for step in product((-1, 0, 1), repeat=3)
                if abs(dist((0, 0, 0), [a * x for x in step]) - shell) < 1e-6
            ]
            for kinds in product(("Cs", "K"), repeat=2):
                share = sum(pair == kinds for pair in pairs) / len(pairs)
                expected += (shells[0] / shell) ** 2 * (share - 0.25) ** 2
        assert shares.mismatch(shares.one_hot([configuration.occupation]))[0] == pytest.approx(expected)
    assert len(corners) == space.sites


@pytest.mark.parametrize(
    ("host", "cell", "replacements"),
    [
        ("CsPbBr3", "2 2 2", ("Cs=K:4",)),
        ("Cs4PbBr6", "given", ("Cs=K:5",)),
        ("Cs4PbBr6", "primitive", ("Cs=K:2", "Cs=Rb:2")),
        ("Cs4PbBr6", "primitive", ("Cs=K:2", "Br=Cl:2")),
    ],
)
def test_annealing_finds_the_best_there_is(host: str, cell: str, replacements: tuple[str, ...]) -> None:
    space = space_of(host, cell, *replacements)
    [content] = space.contents
    [best] = quasirandom(space, content)
    [annealed] = quasirandom(space, content, limit=0, steps=8000, seed=1)
    assert (best.exhaustive, annealed.exhaustive) == (True, False)
    assert annealed.mismatch == pytest.approx(best.mismatch, abs=1e-9)
    enumerated = {c.occupation: c for c in space.configurations(content)}
    assert enumerated[annealed.configuration.occupation].degeneracy == annealed.configuration.degeneracy
    assert annealed.configuration.label == f"{content.label}/q1"
    assert best.configuration == enumerated[best.configuration.occupation]


def test_several_come_in_order_and_differ() -> None:
    space = space_of("Cs4PbBr6", "given", "Cs=K:3")
    [content] = space.contents
    for limit in (20_000, 0):
        found = quasirandom(space, content, 5, limit=limit, steps=3000)
        assert [f.mismatch for f in found] == sorted(f.mismatch for f in found)
        assert len({f.configuration.occupation for f in found}) == 5


def test_a_large_cell_comes_closer_to_random_than_a_small_one() -> None:
    small, large = (
        quasirandom(space, space.contents[0], limit=0, steps=2000)[0].mismatch
        for space in (space_of("CsPbBr3", "2 2 2", "Cs=K:4"), space_of("CsPbBr3", "4 4 4", "Cs=K:32"))
    )
    assert large < small


def test_what_has_no_pairs_is_refused() -> None:
    space = space_of("CsPbBr3", "given", "Cs=K:1")
    with pytest.raises(SubstitutionError, match="no two substitutable sites"):
        quasirandom(space, space.contents[0])
    with pytest.raises(SubstitutionError, match="ask for one"):
        quasirandom(space, space.contents[0], 0)
