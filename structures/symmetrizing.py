"""A crystal that has nearly the symmetry it should have, given exactly that symmetry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.structures.symmetry import Operation


@dataclass(frozen=True)
class Symmetrized:
    """The mean of a crystal's images under the operations of a group."""

    crystal: Crystal
    """Invariant under every operation; its sites in the same order."""
    shift: float
    """Å; how far the farthest atom was moved."""
    strain: float
    """Largest component, in magnitude, of the strain that the cell was given."""


def symmetrized(crystal: Crystal, group: Sequence[Operation]) -> Symmetrized:
    """Average a crystal over a group: the nearest crystal that has it (a projection).

    Parameters
    ----------
    group : a whole group, whose permutations are of all sites; mostly that of the unrelaxed crystal.
    """
    shifts = np.zeros_like(crystal.positions)
    metric, mean = crystal.lattice @ crystal.lattice.T, np.zeros((3, 3))
    for operation in group:
        image = crystal.positions @ operation.rotation.T + operation.translation
        landed = list(operation.permutation)
        off = image - crystal.positions[landed]
        shifts[landed] += off - np.round(off)
        mean += operation.rotation.T @ metric @ operation.rotation
    shifts, mean = shifts / len(group), mean / len(group)
    # The lattice L S with a symmetric S has that metric and is not turned: S² = L⁻¹ G L⁻ᵀ.
    inverse = np.linalg.inv(crystal.lattice)
    squares, axes = np.linalg.eigh(inverse @ mean @ inverse.T)
    stretch = axes @ np.diag(np.sqrt(squares)) @ axes.T
    return Symmetrized(
        Crystal(crystal.lattice @ stretch, crystal.species, crystal.positions + shifts, crystal.labels),
        float(np.linalg.norm(shifts @ crystal.lattice, axis=1).max(initial=0.0)),
        float(np.abs(stretch - np.eye(3)).max()),
    )
