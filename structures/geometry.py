"""Distances and Wyckoff positions of what is substituted, prepared once a space and read off each configuration."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.configuration import Configuration, ConfigurationSpace


class Geometry:
    """What a space's substitutable sites are to each other."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self.space = space

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """Shape (sites, sites), Å: the shortest distance between two sites' periodic images, on the diagonal between
        a site and its own."""
        from pymatgen.core import Lattice

        crystal = self.space.host.crystal
        lattice = Lattice(crystal.lattice)
        positions = crystal.positions[list(self.space.site_indices)]
        found = np.array(lattice.get_all_distances(positions, positions))
        np.fill_diagonal(found, min(lattice.get_lll_reduced_lattice().abc))
        return found

    def between(self, configuration: Configuration, one: str, other: str) -> list[float]:
        """The distances between all pairs of atoms of two species (or ``vacancy``), rising, Å.

        A single atom is met by its own images, and that distance is the one returned.
        """
        first, second = self._positions(configuration, one), self._positions(configuration, other)
        if one != other:
            return sorted(float(self.distances[i, j]) for i in first for j in second)
        if len(first) == 1:
            return [float(self.distances[first[0], first[0]])]
        return sorted(float(self.distances[i, j]) for i, j in combinations(first, 2))

    def wyckoff(self, configuration: Configuration) -> str:
        """What was substituted where, in the host's Wyckoff positions: ``K 1×6a 2×18e``."""
        host = self.space.host
        found: Counter[tuple[str, str]] = Counter()
        for site, occupant in zip(configuration.sites, configuration.occupation, strict=True):
            if occupant != host.crystal.species[site]:
                found[occupant, host.wyckoff[site][0]] += 1
        names = dict.fromkeys(s.with_ for s in self.space.substitutions)
        parts = [
            f"{name} " + " ".join(f"{number}×{position}" for position, number in sorted(own, key=_by_letter))
            for name in names
            if (own := [(position, number) for (n, position), number in found.items() if n == name])
        ]
        return ", ".join(parts)

    @staticmethod
    def _positions(configuration: Configuration, species: str) -> list[int]:
        return [i for i, occupant in enumerate(configuration.occupation) if occupant == species]


def _by_letter(pair: tuple[str, int]) -> str:
    return pair[0].lstrip("0123456789")
