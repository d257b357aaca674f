"""The images of a configuration: an orbit of its host's group, every one the same crystal."""

from __future__ import annotations

import numpy as np
import pytest

from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.structures.images import image, images, moved, operations_of
from kalloy.structures.substitution import Substitution


@pytest.fixture(scope="module")
def space() -> ConfigurationSpace:
    return ConfigurationSpace(load_host("Cs4PbBr6"), [Substitution("Cs", "K", counts=(2,))])


def distances(crystal: Crystal) -> list[tuple[str, str, float]]:
    """All pairs' shortest distances with their species: the same for two crystals that a rigid motion relates."""
    from pymatgen.core import Lattice

    found = Lattice(crystal.lattice).get_all_distances(crystal.positions, crystal.positions)
    pairs = [(i, j) for i in range(len(crystal)) for j in range(i)]
    species = crystal.species
    return sorted((min(species[i], species[j]), max(species[i], species[j]), round(found[i, j], 3)) for i, j in pairs)


def test_orbit_and_stabiliser(space: ConfigurationSpace) -> None:
    """As many images as the degeneracy says, each reached by as many operations: together the whole group."""
    order = len(operations_of(space))
    orbits = []
    for configuration in space.configurations(space.contents[0]):
        found = images(space, configuration)
        assert len(found) == configuration.degeneracy
        assert configuration.occupation in found
        assert {len(operations) for operations in found.values()} == {order // configuration.degeneracy}
        orbits.append(set(found))
    assert len(set.union(*orbits)) == sum(map(len, orbits)) == 276  # disjoint, and every way to choose 2 of 24


def test_an_image_is_the_same_crystal_turned_and_moved(space: ConfigurationSpace) -> None:
    configuration = next(c for c in space.configurations(space.contents[0]) if c.degeneracy > 6)
    own = configuration.crystal()
    for occupation, operations in list(images(space, configuration).items())[:3]:
        other = image(configuration, occupation, "turned").crystal()
        assert distances(other) == distances(own)
        operation = operations[0]
        carried = own.positions @ operation.rotation.T + operation.translation
        for position, species in zip(carried, own.species, strict=True):
            apart = other.positions - position
            apart -= np.rint(apart)
            nearest = int(np.argmin(np.linalg.norm(apart @ own.lattice, axis=1)))
            assert np.linalg.norm(apart[nearest] @ own.lattice) < 0.01
            assert other.species[nearest] == species


def test_moved_sends_each_occupant_to_where_its_site_lands() -> None:
    assert moved(("A", "B", "C"), (2, 0, 1)) == ("B", "C", "A")
