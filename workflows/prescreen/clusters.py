"""Correlations of occupations: how often each symmetry-distinct point, pair and triplet of substituted sites occurs.

Within one cell any symmetric property of the occupation is a sum over such orbits of clusters, each site's periodic
images together, so that nothing is lost to images that a cell is too small to tell apart; what is truncated is their
size. The orbits are those of the host's own permutations of its sites (J. M. Sanchez, F. Ducastelle and D. Gratias,
Physica A 128, 334 (1984), in the lattice-gas basis: a variable is one where a site is substituted, else zero).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.configuration import ConfigurationSpace

Floats = NDArray[np.float64]
Cluster = tuple[tuple[int, str], ...]
"""Substitutable sites, rising, and what is put on each."""


class Clusters:
    """The orbits of clusters of a space.

    Parameters
    ----------
    space : its contents play no part, only its sites, species and symmetry.
    triplets : Å; triplets with no two sites farther apart than this take part, none at 0. Points and pairs all do.
    """

    def __init__(self, space: ConfigurationSpace, triplets: float = 0.0) -> None:
        self.space, self.triplets = space, triplets

    @cached_property
    def orbits(self) -> list[Cluster]:
        """One cluster of each orbit, points first; the columns of `correlations`."""
        return list(dict.fromkeys(self._orbit_of.values()))

    @property
    def sizes(self) -> list[int]:
        """Of each orbit how many sites its clusters have."""
        return [len(cluster) for cluster in self.orbits]

    def correlations(self, occupations: Iterable[Sequence[str]]) -> Floats:
        """Shape (occupations, orbits): how many clusters of each orbit an occupation holds.

        Parameters
        ----------
        occupations : species on the substitutable sites, as `Configuration.occupation` has them.
        """
        column = {cluster: i for i, cluster in enumerate(self.orbits)}
        rows = []
        for occupation in occupations:
            row = np.zeros(len(self.orbits))
            there = [(i, s) for i, s in enumerate(occupation) if s != self._hosts[i]]
            for size in self._orders:
                for cluster in combinations(there, size):
                    if (orbit := self._orbit_of.get(cluster)) is not None:
                        row[column[orbit]] += 1
            rows.append(row)
        return np.array(rows).reshape(len(rows), len(self.orbits))

    @property
    def _orders(self) -> tuple[int, ...]:
        return (1, 2, 3) if self.triplets else (1, 2)

    @cached_property
    def _hosts(self) -> list[str]:
        return [self.space.host.crystal.species[site] for site in self.space.site_indices]

    @cached_property
    def _substituents(self) -> list[list[str]]:
        """What can be put on each site."""
        found: list[list[str]] = [[] for _ in self.space.site_indices]
        position = {site: i for i, site in enumerate(self.space.site_indices)}
        for substitution, own in zip(self.space.substitutions, self.space.sublattice_of, strict=True):
            for site in self.space.sublattices[own].sites:
                found[position[site]].append(substitution.with_)
        return found

    @cached_property
    def _orbit_of(self) -> dict[Cluster, Cluster]:
        """Each cluster's orbit, by the orbit's first cluster."""
        found: dict[Cluster, Cluster] = {}
        for size in self._orders:
            for sites in combinations(range(self.space.sites), size):
                if size == 3 and not self._is_small(sites):
                    continue
                for species in product(*(self._substituents[i] for i in sites)):
                    cluster: Cluster = tuple(zip(sites, species, strict=True))
                    if cluster not in found:
                        for permutation in self.space.permutations:
                            found[tuple(sorted((permutation[i], s) for i, s in cluster))] = cluster
        return found

    def _is_small(self, sites: tuple[int, ...]) -> bool:
        return all(self._distances[i, j] <= self.triplets for i, j in combinations(sites, 2))

    @cached_property
    def _distances(self) -> Floats:
        from kalloy.structures.geometry import Geometry

        return Geometry(self.space).distances
