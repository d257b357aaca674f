"""From end member to end member: mixing energies and free energies, the pseudo-binary hull, bowing.

Only one axis is seen: between the host and the host fully substituted. A hull on it says which contents would rather
be two others *of this structure*; whether the alloy falls apart into other crystals is a matter of exchange with them
(`kalloy.workflows.screening.grand`), and vibrations are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import AverageError
from kalloy.workflows.screening.thermodynamics import Ensemble

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixing:
    """One substitution from none to all: the ensembles of its contents on one axis."""

    fractions: Floats
    """Shape (contents,), rising from 0 to 1: the substituted part x of the sublattice."""
    ensembles: tuple[Ensemble, ...]
    """One a content, in the order of ``fractions``; those of the end members hold one configuration each."""
    units: int
    """Formula units in the cell."""

    @classmethod
    def of(cls, ensembles: Mapping[int, Ensemble], sites: int, units: int) -> Mixing:
        """From ensembles by the number of substituted sites.

        Raises
        ------
        AverageError
            Where an end member is missing: mixing is counted from both.
        """
        for number, name in ((0, "the host"), (sites, "the fully substituted host")):
            if number not in ensembles:
                raise AverageError(
                    f"{name} has no static energy, and mixing is counted from it",
                    mend=f"ask for {number} of {sites} too: `count` takes a list",
                )
        numbers = sorted(ensembles)
        return cls(np.array(numbers) / sites, tuple(ensembles[n] for n in numbers), units)

    @property
    def lowest(self) -> Floats:
        """Shape (contents,): mixing energy of each content's lowest configuration, eV per formula unit.

        E_mix(x) = E(x) − (1−x) E(host) − x E(fully substituted).
        """
        return self._mixed(np.array([e.lowest for e in self.ensembles]))

    def energies(self, temperature: float) -> Floats:
        """Shape (contents,): the mixing energy ⟨E⟩ − …, eV per formula unit."""
        return self._mixed(np.array([e.energy(temperature) for e in self.ensembles]))

    def free_energies(self, temperature: float) -> Floats:
        """Shape (contents,): F − (1−x) E(host) − x E(fully substituted), eV per formula unit.

        Configurations only, in this cell: its entropy is short of the infinite crystal's by the finite-cell factor.
        """
        return self._mixed(np.array([e.free_energy(temperature) for e in self.ensembles]))

    def _mixed(self, energies: Floats) -> Floats:
        line = (1 - self.fractions) * energies[0] + self.fractions * energies[-1]
        return (energies - line) / self.units


def lower_hull(fractions: ArrayLike, energies: ArrayLike) -> NDArray[np.int64]:
    """Indices of the points on the lower convex hull, by rising fraction; both ends are among them.

    Parameters
    ----------
    fractions : shape (n,), 0 and 1 among them.
    energies : shape (n,), any unit.
    """
    from scipy.spatial import ConvexHull

    x, y = np.asarray(fractions, np.float64), np.asarray(energies, np.float64)
    order = np.lexsort((y, x))
    order = order[np.concatenate([[True], np.diff(x[order]) > 1e-12])]  # of each fraction the lowest
    if len(order) == 2:
        return order
    # A point far above keeps qhull from meeting points on one line; energies are scaled to the fractions'.
    heights = (y[order] - y[order].min()) / (np.ptp(y[order]) or 1.0)
    points = np.column_stack([np.append(x[order], 0.5), np.append(heights, 10.0)])
    hull = ConvexHull(points)
    facing_down = hull.equations[:, 1] < 0  # the outward normal of each edge
    return order[np.unique(hull.simplices[facing_down])]


def above_hull(fractions: ArrayLike, energies: ArrayLike) -> Floats:
    """Shape (n,): how far each point lies above the lower convex hull, in the energies' unit; 0 on it."""
    x, y = np.asarray(fractions, np.float64), np.asarray(energies, np.float64)
    corners = lower_hull(x, y)
    return np.asarray(np.maximum(y - np.interp(x, x[corners], y[corners]), 0.0))


@dataclass(frozen=True)
class Bowing:
    """P(x) = (1−x) P(0) + x P(1) − b x (1−x)."""

    parameter: float
    """b, in the unit of P: positive where the alloy lies below the straight line."""
    error: float | None
    """Standard error from the scatter about the parabola; None for a single content between the ends."""
    largest_residual: float
    """Of any content, in the unit of P: whether one parabola describes it at all."""


def bowing(fractions: Sequence[float] | Floats, values: Sequence[float] | Floats) -> Bowing:
    """Least squares for b with the ends held.

    Parameters
    ----------
    fractions : shape (n,), 0 and 1 among them.
    values : shape (n,).

    Raises
    ------
    AverageError
        Where there is no content between the end members.
    """
    x, y = np.asarray(fractions, np.float64), np.asarray(values, np.float64)
    order = np.argsort(x)
    x, y = x[order], y[order]
    inside = (x > 0) & (x < 1)
    if x[0] != 0 or x[-1] != 1 or not inside.any():
        raise AverageError("bowing needs both end members and a content between them")
    shape = x[inside] * (1 - x[inside])
    below = (1 - x[inside]) * y[0] + x[inside] * y[-1] - y[inside]
    parameter = float(shape @ below / (shape @ shape))
    left = below - parameter * shape
    points = int(inside.sum())
    error = float(np.sqrt(left @ left / (points - 1) / (shape @ shape))) if points > 1 else None
    return Bowing(parameter, error, float(np.abs(left).max()))
