"""Integration over the Brillouin zone by tetrahedra (ISMEAR = -5): states below any energy, occupations, Fermi level.

Energies are linear inside each tetrahedron. P. E. Blöchl, O. Jepsen and O. K. Andersen, Phys. Rev. B 49, 16223 (1994);
the integrals themselves are GPAW's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

APART = 1e-8
"""eV: corners of equal energy are moved apart by this, for the integrals divide by differences."""
CHUNK = 1 << 20
"""Pairs of a tetrahedron and an energy that are worked on at once."""


class Tetrahedra:
    """The whole mesh divided into tetrahedra, six to each of its cells, as corners among the irreducible points."""

    def __init__(self, divisions: tuple[int, int, int], members: Integers, reciprocal: Array) -> None:
        """Divide.

        Parameters
        ----------
        divisions : of the mesh.
        members : shape (mesh points,), the irreducible point of each, the first index of the mesh running fastest.
        reciprocal : shape (3, 3), rows are the reciprocal vectors, any unit: the cells are cut along short diagonals.
        """
        from gpaw.tetrahedron import triangulate_submesh

        n1, n2, n3 = divisions
        cut = triangulate_submesh(reciprocal / np.array(divisions)[:, None])  # (6, 4 corners, 3)
        k, j, i = np.meshgrid(np.arange(n3), np.arange(n2), np.arange(n1), indexing="ij")
        origin = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1)
        at = (origin[:, None, None] + cut) % np.array(divisions)
        index = at[..., 0] + n1 * (at[..., 1] + n2 * at[..., 2])
        corners = np.sort(np.asarray(members)[index].reshape(-1, 4), axis=1)
        # Symmetry makes many of them the same.
        self.corners, counts = np.unique(corners, axis=0, return_counts=True)
        self.share: Array = counts / counts.sum()
        self.points = int(members.max()) + 1

    def below(self, band: Array, energies: Array) -> Array:
        """How much of a band lies below each energy, by irreducible point.

        Parameters
        ----------
        band : shape (irreducible points,), eV.
        energies : shape (energies,), eV, rising.

        Returns
        -------
        Shape (irreducible points, energies); the sum over points rises from 0 to 1.
        """
        levels = band[self.corners]
        order = np.argsort(levels, axis=1, kind="stable")
        levels = np.take_along_axis(levels, order, 1) + APART * np.arange(4)
        corners = np.take_along_axis(self.corners, order, 1)
        found = np.zeros((self.points, len(energies)))
        first = np.searchsorted(energies, levels[:, 0], side="right")
        last = np.searchsorted(energies, levels[:, 3], side="left")
        for q in range(4):  # above its highest corner a tetrahedron is full: a quarter from each
            full = np.zeros((self.points, len(energies) + 1))
            np.add.at(full, (corners[:, q], last), self.share / 4)
            found += np.cumsum(full, axis=1)[:, :-1]
        partly = np.flatnonzero(last > first)
        lengths = (last - first)[partly]
        for part in np.array_split(partly, max(1, int(lengths.sum() // CHUNK))):
            self._add_partly(found, levels[part], corners[part], self.share[part], energies, first[part], last[part])
        return found

    def _add_partly(
        self,
        found: Array,
        levels: Array,
        corners: Integers,
        share: Array,
        energies: Array,
        first: Integers,
        last: Integers,
    ) -> None:
        """Tetrahedra that an energy cuts: one row for each pair of the two."""
        lengths = last - first
        row = np.repeat(np.arange(len(levels)), lengths)
        place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[row]
        weights = share[row, None] * _cut(levels[row] - energies[place][:, None])
        for q in range(4):
            np.add.at(found, (corners[row, q], place), weights[:, q])

    def occupations(self, eigenvalues: Array, level: float, weights: Array) -> Array:
        """Occupations at a Fermi level, without Blöchl's corrections: they vanish where no band is cut.

        Parameters
        ----------
        eigenvalues : shape (spins, irreducible points, bands), eV.
        weights : shape (irreducible points,), sum 1.

        Returns
        -------
        Shape (spins, irreducible points, bands), 1 for a filled state.
        """
        at = np.array([level])
        spins, _, bands = eigenvalues.shape
        filled = [[self.below(eigenvalues[s, :, n], at)[:, 0] for n in range(bands)] for s in range(spins)]
        return np.asarray(np.transpose(filled, (0, 2, 1)) / weights[:, None])

    def fermi_level(self, eigenvalues: Array, electrons: float, full: float) -> float:
        """The energy up to which the states hold all electrons; the middle of the gap where there is one.

        Parameters
        ----------
        eigenvalues : shape (spins, irreducible points, bands), eV.
        full : electrons that a filled state holds.
        """
        bands = electrons / full if len(eigenvalues) == 1 else None
        if bands is not None and abs(bands - round(bands)) < 1e-6 and round(bands) < eigenvalues.shape[2]:
            top = eigenvalues[:, :, round(bands) - 1].max()
            bottom = eigenvalues[:, :, round(bands)].min()
            if bottom > top:
                return float(0.5 * (top + bottom))
        low, high = float(eigenvalues.min()), float(eigenvalues.max())
        for _ in range(60):
            middle = np.array([0.5 * (low + high)])
            held = full * sum(self.below(e[:, n], middle).sum() for e in eigenvalues for n in range(e.shape[1]))
            low, high = (float(middle[0]), high) if held < electrons else (low, float(middle[0]))
        return 0.5 * (low + high)


def _cut(levels: Array) -> Array:
    """Shape (n, 4): the part of each tetrahedron below zero, by corner; ``levels`` rise along each row."""
    from gpaw.tetrahedron import bja1b, bja2b, bja3b

    weights = np.zeros_like(levels)
    negative = (levels < 0).sum(axis=1)
    for count, integral in ((1, bja1b), (2, bja2b), (3, bja3b)):
        mine = negative == count
        weights[mine] = integral(*levels[mine].T).T
    weights[negative == 4] = 0.25
    return weights
