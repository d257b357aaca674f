"""Densities of states: total, projected on ions and orbitals, and sums of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dos:
    """A density of states on an energy grid, by spin; knows no file."""

    energies: Floats
    """Shape (n,), eV, absolute (not relative to ``efermi``)."""
    total: Floats
    """Shape (spin, n), states/eV per cell; under spin–orbit coupling total, mx, my, mz."""
    integrated: Floats
    """Shape (spin, n), states per cell below each energy."""
    efermi: float | None = None
    """Fermi energy as the program gives it, eV; it may lie inside a band: never take a gap from it."""
    projected: Floats | None = None
    """Shape (ion, spin, orbital, n), states/eV, or None."""
    orbitals: tuple[str, ...] = ()
    """Orbital names: ``s p d`` or ``s py pz px dxy …``."""
    species: tuple[str, ...] = ()
    """Element symbols, one an ion."""
    noncollinear: bool = False
    """Whether the "spins" are total, mx, my, mz rather than up and down."""

    @property
    def sum_of_spins(self) -> Floats:
        """Shape (n,), states/eV per cell."""
        return self._over_spins(self.total)

    def _over_spins(self, by_spin: Floats) -> Floats:
        return by_spin[0] if self.noncollinear else by_spin.sum(axis=0)

    def of(self, ions: Iterable[int], orbital: str | None = None) -> Floats:
        """Projected density summed over ions and, within them, all orbitals or one kind.

        Parameters
        ----------
        ions : indices from 0.
        orbital : ``s``, ``p``, ``d``, ``f``, or a name of ``orbitals``; None for all.

        Returns
        -------
        Shape (spin, n), states/eV.

        Raises
        ------
        ValueError
            If nothing is projected, or no such orbital is.
        """
        if self.projected is None:
            raise ValueError("this density of states is not projected on ions")
        chosen = self._orbital_indices(orbital)
        picked = self.projected[list(ions)]
        return np.asarray(picked[:, :, chosen].sum(axis=(0, 2)))

    def of_element(self, element: str, orbital: str | None = None) -> Floats:
        """As ``of``, for all ions of an element; zero where there are none."""
        return self.of((i for i, s in enumerate(self.species) if s == element), orbital)

    def by_element(self, orbital: str | None = None) -> dict[str, Floats]:
        """Shape (spin, n) for each element, in order of first appearance."""
        return {element: self.of_element(element, orbital) for element in dict.fromkeys(self.species)}

    def by_element_and_shell(self) -> dict[tuple[str, str], Floats]:
        """Shape (spin, n) for each element and shell (``s``, ``p``, ``d``, ``f``) that is projected."""
        return {
            (element, kind): self.of_element(element, kind)
            for element in dict.fromkeys(self.species)
            for kind in self.shells
        }

    @property
    def shells(self) -> tuple[str, ...]:
        """The shells that are projected, of ``s p d f``."""
        return tuple(dict.fromkeys(shell(name) for name in self.orbitals))

    def _orbital_indices(self, orbital: str | None) -> list[int]:
        if orbital is None:
            return list(range(len(self.orbitals)))
        exact = [i for i, name in enumerate(self.orbitals) if name == orbital]
        found = exact or [i for i, name in enumerate(self.orbitals) if shell(name) == orbital]
        if not found:
            raise ValueError(f"no orbital {orbital!r}; there are {' '.join(self.orbitals)}")
        return found


def shell(orbital: str) -> str:
    """The shell of an orbital by VASP's name: ``px`` is p, ``x2-y2`` is d, ``fxyz`` is f."""
    return orbital[0] if orbital[:1] in "spdf" else "d"
