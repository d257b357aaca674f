"""Whether a crystal is another one, moved: turned, shifted, relaxed, its atoms in another order, its lattice otherwise
described. The answer is an exact assignment of atoms to sites, not a fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.crystal import Crystal
from kalloy.structures.reading import VACANCY

MOST_STRAIN = 0.06
"""A relaxed cell is at most so far from the unrelaxed one along any direction."""
MOST_DISPLACED = 1.2
"""Å; how far an atom may be from its site: less than half the shortest distance between two ions."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fit:
    """A crystal laid on sites."""

    basis: Integers
    """Shape (3, 3): rows are the sites' lattice vectors in terms of the crystal's own."""
    shift: Floats
    """Shape (3,), fractional in the new basis: added to the atoms' positions in it."""
    atoms: tuple[int, ...]
    """One a site: the crystal's atom on it, or -1 for none."""
    strain: float
    """Largest principal strain of the crystal's cell against the sites' cell, in magnitude."""
    rms: float
    """Å, of the atoms from their sites, strain left aside."""
    largest: float
    """Å, of the atom that is farthest from its site."""

    @property
    def keeps_basis(self) -> bool:
        """Whether the lattice vectors are described alike."""
        return bool((self.basis == np.eye(3)).all())

    def occupation(self, crystal: Crystal, sites: Sequence[int]) -> tuple[str, ...]:
        """What the crystal has on some of the sites."""
        return tuple(VACANCY if self.atoms[site] < 0 else crystal.species[self.atoms[site]] for site in sites)

    def carried(self, crystal: Crystal) -> Crystal:
        """The crystal, or a later structure of the same atoms, in the sites' basis and order.

        Not moved in space; but where the basis is left-handed against the crystal's, its mirror image, which has the
        same energy and a cell that every engine takes.
        """
        order = [atom for atom in self.atoms if atom >= 0]
        positions = crystal.positions[order] @ np.linalg.inv(self.basis) + self.shift
        lattice = self.basis @ crystal.lattice * round(float(np.linalg.det(self.basis)))
        return Crystal(lattice, tuple(crystal.species[i] for i in order), positions % 1.0)


def fits(
    crystal: Crystal,
    onto: Crystal,
    allowed: Sequence[Set[str]] | None = None,
    *,
    strain: float = MOST_STRAIN,
    displaced: float = MOST_DISPLACED,
) -> list[Fit]:
    """Every way to lay a crystal on sites, the nearest first.

    Parameters
    ----------
    onto : its lattice and positions are the sites'.
    allowed : what may be on each site, ``vacancy`` among it; the species of ``onto`` by default.
    strain, displaced : how far cell and atoms may be off.
    """
    allowed = allowed or [{species} for species in onto.species]
    found = [
        fit
        for basis, off in lattice_mappings(crystal.lattice, onto.lattice, strain)
        for fit in _laid(crystal, onto, allowed, basis, off)
        if fit.largest <= displaced
    ]
    return sorted(found, key=_preference)


def _preference(fit: Fit) -> tuple[float, bool, bool, list[list[int]]]:
    """The nearest; of equal ones that which changes least."""
    return round(fit.rms, 3), not fit.keeps_basis, float(np.linalg.det(fit.basis)) < 0, fit.basis.tolist()


def lattice_mappings(lattice: Floats, onto: Floats, strain: float) -> list[tuple[Integers, float]]:
    """The bases of a lattice in which its cell is another cell, strained: integer matrices and the strain of each."""
    from pymatgen.core import Lattice

    angle = float(np.degrees(2 * strain))
    found = Lattice(lattice).find_all_mappings(Lattice(onto), ltol=strain, atol=angle, skip_rotation_matrix=True)
    matrices = {tuple(map(tuple, np.rint(mapping).astype(int).tolist())) for _, _, mapping in found}
    bases = [np.array(m, np.int64) for m in sorted(matrices) if abs(round(float(np.linalg.det(m)))) == 1]
    strained = [(basis, principal_strain(basis @ lattice, onto)) for basis in bases]
    return [(basis, off) for basis, off in strained if off <= strain]


def principal_strain(lattice: Floats, onto: Floats) -> float:
    """The largest stretch between two cells along any direction, less one, in magnitude; rotations left aside."""
    from scipy.linalg import eigh

    # Stretches squared are the eigenvalues of one metric tensor in terms of the other.
    squares = eigh(lattice @ lattice.T, onto @ onto.T, eigvals_only=True)
    return float(np.abs(np.sqrt(squares) - 1).max())


def _laid(
    crystal: Crystal, onto: Crystal, allowed: Sequence[Set[str]], basis: Integers, strain: float
) -> Iterator[Fit]:
    """The ways to lay it in one basis: one atom is put on each site that may take it, the others must follow."""
    positions = crystal.positions @ np.linalg.inv(basis)
    places = {s: [i for i, may in enumerate(allowed) if s in may] for s in crystal.composition}
    anchor = min(places, key=lambda species: (len(places[species]), species))
    first = crystal.species.index(anchor)
    seen: set[tuple[int, ...]] = set()
    for site in places[anchor]:
        shift = onto.positions[site] - positions[first]
        apart = positions + shift - onto.positions[:, None, :]
        apart -= np.rint(apart)
        nearest = np.linalg.norm(apart @ onto.lattice, axis=2).argmin(axis=0)
        if not _is_one_to_one(crystal, allowed, nearest):
            continue
        atoms = [-1] * len(onto)
        for atom, its_site in enumerate(nearest.tolist()):
            atoms[its_site] = atom
        if tuple(atoms) in seen:
            continue
        seen.add(tuple(atoms))
        off = apart[nearest, np.arange(len(crystal))]
        mean = off.mean(axis=0)  # the anchor's own displacement is not the crystal's
        distances = np.linalg.norm((off - mean) @ onto.lattice, axis=1)
        rms = float(np.sqrt((distances**2).mean()))
        yield Fit(basis, shift - mean, tuple(atoms), strain, rms, float(distances.max()))


def _is_one_to_one(crystal: Crystal, allowed: Sequence[Set[str]], nearest: Integers) -> bool:
    """Whether every atom has a site of its own that may hold it, and every site left over may be vacant."""
    taken = set(nearest.tolist())
    if len(taken) < len(crystal):
        return False
    if not all(species in allowed[site] for species, site in zip(crystal.species, nearest.tolist(), strict=True)):
        return False
    return all(VACANCY in may for site, may in enumerate(allowed) if site not in taken)
