"""The irreducible points of a mesh, as VASP finds them from the structure and the symmetry tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.mesh import Integers, Mesh

SYMPREC = 1e-5
"""Å; VASP's default tolerance."""


@dataclass(frozen=True, eq=False)
class Irreducible:
    """One point of each star."""

    points: NDArray[np.float64]
    """Shape (stars, 3), fractional; of each star the first point in the mesh's order."""
    weights: Integers
    """Shape (stars,): points of each star; they sum to the whole mesh."""
    stars: Integers
    """Shape (mesh points,): the star that each point belongs to."""


def irreducible(mesh: Mesh, rotations: Integers, time_reversal: bool = True) -> Irreducible:
    """Reduce a mesh by a group of rotations.

    An image that falls off the mesh joins nothing; where the mesh keeps the symmetry none does.

    Parameters
    ----------
    rotations : shape (operations, 3, 3); a crystal's rotations W in fractional coordinates, x' = W x.
    time_reversal : whether k and -k are equivalent.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    turns = [*rotations, *(-rotations if time_reversal else ())]
    images = np.array([mesh.images(np.asarray(turn)) for turn in turns])
    here = np.broadcast_to(np.arange(mesh.count), images.shape)
    on = images >= 0
    links = coo_array((np.ones(on.sum()), (here[on], images[on])), shape=(mesh.count, mesh.count))
    _, found = connected_components(links, directed=False)
    _, first, stars = np.unique(found, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.argsort(order)
    stars = rank[stars.reshape(-1)]
    return Irreducible(mesh.points()[first[order]], np.bincount(stars), stars)


@dataclass(frozen=True)
class SymmetryTags:
    """What of an INCAR decides about symmetry."""

    isym: int
    symprec: float
    moments: tuple[float, ...] | None
    """μB, one an atom, of a collinear calculation; None where there are none."""
    noncollinear: bool

    @classmethod
    def read(cls, tags: Mapping[str, Any], atoms: int) -> SymmetryTags:
        """From INCAR tags, with VASP's defaults: ISYM 2, 3 for hybrids; without MAGMOM all moments are alike;
        a SYMPREC of zero, as vasprun.xml prints what is below its last decimal, is the default.

        Parameters
        ----------
        atoms : how many the structure has; a MAGMOM of another length is none.
        """
        noncollinear = bool(tags.get("LNONCOLLINEAR") or tags.get("LSORBIT"))
        moments = tags.get("MAGMOM") if tags.get("ISPIN", 1) == 2 and not noncollinear else None
        listed = tuple(float(m) for m in moments) if isinstance(moments, Sequence) and len(moments) == atoms else None
        isym = int(tags.get("ISYM", 3 if tags.get("LHFCALC") else 2))
        return cls(isym, float(tags.get("SYMPREC") or SYMPREC), listed, noncollinear)

    @property
    def time_reversal(self) -> bool:
        """Whether VASP takes k and -k as equivalent: not with ISYM = -1, nor with noncollinear spins."""
        return self.isym >= 0 and not self.noncollinear


def rotations_of(crystal: Crystal, tags: SymmetryTags) -> Integers:
    """The rotations that VASP reduces k-points by, each once; the identity alone with ISYM below 1.

    Returns
    -------
    Shape (operations, 3, 3), fractional.
    """
    import spglib

    if tags.isym < 1:
        return np.eye(3, dtype=np.int64)[None]
    lattice, positions, kinds = crystal.spglib_cell()
    if tags.moments is not None:
        alike = [(kind, round(moment, 3)) for kind, moment in zip(kinds, tags.moments, strict=True)]
        kinds = [sorted(set(alike)).index(a) for a in alike]
    found: Any = spglib.get_symmetry((lattice, positions, kinds), symprec=tags.symprec)
    if found is None:
        return np.eye(3, dtype=np.int64)[None]
    return np.unique(np.asarray(found["rotations"], np.int64), axis=0)


def irreducible_points(mesh: Mesh, crystal: Crystal, tags: Mapping[str, Any]) -> Irreducible:
    """The points that VASP will compute of a mesh on a structure with these INCAR tags."""
    symmetry = SymmetryTags.read(tags, len(crystal))
    return irreducible(mesh, rotations_of(crystal, symmetry), symmetry.time_reversal)
