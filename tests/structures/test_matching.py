"""A crystal laid on sites: whatever is done to it that changes no physics, it is found again, atom by atom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.structures.matching import fits, lattice_mappings, principal_strain
from kalloy.structures.substitution import Substitution

SPACE = ConfigurationSpace(load_host("Cs4PbBr6", "primitive"), [Substitution("Cs", "K", counts=(2,))])
CONFIGURATIONS = list(SPACE.configurations(SPACE.contents[0]))
BASES = [
    np.eye(3),
    np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]),
    np.array([[1, 0, 0], [1, -1, 0], [0, 2, -1]]),
]


def disguised(crystal: Crystal, seed: int, basis: np.ndarray, strain: float, noise: float) -> Crystal:
    """Turned, shifted, strained, its atoms displaced and in another order, its lattice otherwise described."""
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.linalg.det(turn)  # a proper rotation
    stretch = random.uniform(-1, 1, size=(3, 3))
    stretch = np.eye(3) + strain * (stretch + stretch.T) / 4  # each row sums to at most 1.5 strain
    positions = crystal.positions + random.normal(scale=noise, size=(len(crystal), 3)) @ np.linalg.inv(crystal.lattice)
    order = random.permutation(len(crystal))
    return Crystal(
        basis @ crystal.lattice @ stretch @ turn,
        tuple(crystal.species[i] for i in order),
        (positions @ np.linalg.inv(basis) + random.random(3))[order] % 1,
    )


@given(
    st.sampled_from(CONFIGURATIONS),
    st.integers(0, 2**32 - 1),
    st.sampled_from(BASES),
    st.floats(0, 0.03),
    st.floats(0, 0.08),
)
@settings(max_examples=40)
def test_a_disguised_crystal_is_laid_on_its_own_sites(configuration, seed, basis, strain, noise) -> None:  # type: ignore[no-untyped-def]
    own = configuration.crystal()
    other = disguised(own, seed, basis, strain, noise)
    laid = fits(other, own)
    assert laid
    best = laid[0]
    assert best.rms <= 2.5 * noise + 1e-6
    assert best.strain <= 1.5 * strain + 1e-9
    carried = best.carried(other)
    assert carried.species == own.species
    apart = carried.positions - own.positions
    apart -= np.rint(apart)
    assert np.linalg.norm(apart @ own.lattice, axis=1).max() == pytest.approx(best.largest, abs=1e-6)
    # The metric of the carried lattice is that of the strained one: lengths and angles, no rotation, right-handed.
    assert np.linalg.det(carried.lattice) > 0
    assert principal_strain(carried.lattice, own.lattice) == pytest.approx(best.strain, abs=1e-9)
    assert carried.volume == pytest.approx(other.volume)


def test_every_operation_of_the_host_is_a_fit_and_nothing_else_is() -> None:
    host = SPACE.host.crystal
    laid = fits(host, host)
    assert len(laid) == 12  # the rotations of -3m, on a cell without translations
    assert max(fit.rms for fit in laid) < 0.01
    assert laid[0].keeps_basis
    assert laid[0].atoms == tuple(range(len(host)))


def test_species_are_exact() -> None:
    one, other = CONFIGURATIONS[0].crystal(), CONFIGURATIONS[1].crystal()
    assert not fits(one, other)
    assert not fits(one, SPACE.host.crystal)


def test_vacancies_are_sites_left_over() -> None:
    space = ConfigurationSpace(load_host("Cs4PbBr6", "primitive"), [Substitution("Br", "vacancy", counts=(1,))])
    configuration = next(iter(space.configurations(space.contents[0])))
    sites = set(space.site_indices)
    allowed = [{s, "vacancy"} if i in sites else {s} for i, s in enumerate(space.host.crystal.species)]
    laid = fits(configuration.crystal(), space.host.crystal, allowed)
    assert laid[0].occupation(configuration.crystal(), space.site_indices).count("vacancy") == 1
    assert (
        len({fit.occupation(configuration.crystal(), space.site_indices) for fit in laid}) == configuration.degeneracy
    )


def test_strain_is_the_largest_stretch() -> None:
    cell = SPACE.host.crystal.lattice
    assert principal_strain(cell * 1.02, cell) == pytest.approx(0.02)
    assert principal_strain(cell @ np.diag([0.97, 1.01, 1.0]), cell) == pytest.approx(0.03)
    assert not lattice_mappings(cell * 1.07, cell, 0.06)
    assert lattice_mappings(cell * 1.05, cell, 0.06)
