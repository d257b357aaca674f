"""The k-points of a self-consistent calculation: a mesh reduced by symmetry, or a list with weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.kpoints import AnyMesh, PointList
from kalloy.workflows.gpaw_engine.settings import Settings
from kalloy.workflows.gpaw_engine.symmetry import (
    Irreducible,
    Operations,
    find_operations,
    mapping_mesh,
    no_operations,
    reduce_mesh,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Which k-points make the density, and which of the crystal's operations act on it."""

    kpoints: AnyMesh | PointList
    """As asked for."""
    operations: Operations
    """Of crystal and mesh; of the crystal, where the k-points are listed."""
    dropped: int
    """Operations of the crystal that the mesh breaks."""
    counted: Irreducible
    """The points that make the density: irreducible ones, or those of a list that have a weight."""

    @property
    def irreducible(self) -> Irreducible | None:
        """The reduced mesh; None for a list."""
        return None if isinstance(self.kpoints, PointList) else self.counted

    @property
    def points(self) -> Array:
        """Shape (points, 3), fractional: those reported, in KPOINTS' or VASP's order, those without weight too."""
        return self.kpoints.points if isinstance(self.kpoints, PointList) else self.counted.points

    @property
    def weights(self) -> Array:
        """Shape (points,), sum 1."""
        if isinstance(self.kpoints, PointList):
            return np.asarray(self.kpoints.weights / self.kpoints.weights.sum())
        return self.counted.weights

    @property
    def weightless(self) -> NDArray[np.bool_]:
        """Shape (points,): which of the points take no part in self-consistency."""
        return np.asarray(self.weights == 0)

    @property
    def zone_points(self) -> int:
        """k-points before reduction."""
        return len(self.points) if self.irreducible is None else len(self.counted.members)

    def for_gpaw(self) -> Any:
        """The value of GPAW's ``kpts``.

        GPAW takes the last point of a star as its first, hence a mesh in reversed order; a list is reversed likewise.
        """
        if not isinstance(self.kpoints, PointList):
            return self.kpoints.points()[::-1]
        from kalloy.workflows.gpaw_engine.weighted import weighted_points

        return weighted_points(self.counted.points[::-1], self.counted.weights[::-1])


def sample(settings: Settings, atoms: Atoms, kpoints: AnyMesh | PointList, moments: Array | None) -> Sampling:
    """Reduce a mesh, or take a list as it stands.

    As in VASP a list is not reduced, and stands for all its images: the density is averaged over the crystal's group.
    """
    operations, dropped = usable_operations(settings, atoms, kpoints, moments)
    if isinstance(kpoints, PointList):
        has_weight = ~kpoints.weightless
        points, weights = kpoints.points[has_weight], kpoints.weights[has_weight]
        counted = Irreducible(points, weights / weights.sum(), np.arange(len(points)))
    else:
        counted = reduce_mesh(kpoints.points(), operations)
    return Sampling(kpoints, operations, dropped, counted)


def usable_operations(
    settings: Settings, atoms: Atoms, kpoints: AnyMesh | PointList, moments: Array | None
) -> tuple[Operations, int]:
    """The operations that map crystal and mesh on themselves, and how many the mesh excludes."""
    if settings.isym <= 0:
        return no_operations(len(atoms), settings.isym == 0), 0
    operations = find_operations(atoms, moments, settings.symprec)
    if isinstance(kpoints, PointList):
        return operations, 0
    maps = mapping_mesh(operations, kpoints.points())
    return operations.subset(maps), int((~maps).sum())
