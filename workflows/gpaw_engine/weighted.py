"""k-points with weights of their own, for GPAW's plane-wave code, which knows meshes and their reduction only."""

from __future__ import annotations

from typing import Any

import numpy as np
from gpaw.dft import KPoints
from gpaw.new.brillouin import IBZ, BZPoints
from numpy.typing import NDArray

Array = NDArray[np.float64]


class _Listed(BZPoints):
    """Points that are not reduced, whatever the crystal's symmetry."""

    def __init__(self, points: Array, weights: Array) -> None:
        super().__init__(points)
        self.weights = weights

    def reduce(self, symmetries: Any, **_: Any) -> IBZ:
        """Each point for itself, with its weight; the symmetries act on the density."""
        each = np.arange(len(self))
        unturned = np.zeros(len(self), dtype=int)
        return IBZ(symmetries, self, each, each, self.weights, None, unturned, unturned.astype(bool))


class _Weighted(KPoints):
    def __init__(self, points: Array, weights: Array) -> None:
        super().__init__(points)
        self.weights = weights

    def build(self, atoms: Any) -> BZPoints:
        """GPAW's points of the zone."""
        return _Listed(np.array(self.kpts), self.weights)


def weighted_points(points: Array, weights: Array) -> Any:
    """The value of GPAW's ``kpts`` for a list.

    Parameters
    ----------
    points : shape (points, 3), fractional.
    weights : shape (points,), above zero, sum 1.
    """
    return _Weighted(points, weights)
