"""Crystals that nearly have a symmetry are given it: a projection, the nearest, harmless to what has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.structures.symmetrizing import symmetrized
from kalloy.structures.symmetry import operations, space_group

EXACT = 1e-7
"""Å."""


@pytest.fixture(scope="module")
def host() -> Crystal:
    return load_host("Cs4PbBr6").crystal


def _one_k(host: Crystal) -> Crystal:
    """One K on 6a: P321."""
    return host.with_species(["K" if i == 0 else s for i, s in enumerate(host.species)])


def _distorted(crystal: Crystal, seed: int, size: float) -> Crystal:
    rng = np.random.default_rng(seed)
    lattice = crystal.lattice @ (np.eye(3) + size / 10 * rng.uniform(-1, 1, (3, 3)))
    moves = size * rng.uniform(-1, 1, crystal.positions.shape) @ np.linalg.inv(lattice)
    return Crystal(lattice, crystal.species, crystal.positions + moves)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.1])
def test_the_group_is_whole_again(host: Crystal, size: float) -> None:
    alloy = _one_k(host)
    broken = _distorted(alloy, 1, size)
    assert space_group(broken, EXACT).number == 1
    mended = symmetrized(broken, operations(alloy))
    assert space_group(mended.crystal, EXACT) == space_group(alloy)
    assert 0 < mended.shift < 2 * size
    assert 0 < mended.strain < size / 5


@given(st.integers(0, 2**32 - 1))
def test_it_is_a_projection(seed: int) -> None:
    alloy = _one_k(load_host("Cs4PbBr6").crystal)
    group = operations(alloy)
    once = symmetrized(_distorted(alloy, seed, 0.05), group)
    twice = symmetrized(once.crystal, group)
    assert twice.shift < 1e-9
    assert twice.strain < 1e-9


def test_the_right_symmetry_is_left_alone(host: Crystal) -> None:
    """A strain and displacements that the group allows are no business of the projection, and nothing is turned."""
    alloy = _one_k(host)
    allowed = symmetrized(_distorted(alloy, 2, 0.1), operations(alloy)).crystal
    kept = symmetrized(allowed, operations(alloy))
    np.testing.assert_allclose(kept.crystal.lattice, allowed.lattice, atol=1e-10)
    np.testing.assert_allclose(kept.crystal.positions, allowed.positions, atol=1e-10)
