"""Filling smeared levels with electrons: occupations, and the Fermi level that gives their number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.settings import Settings

Array = NDArray[np.float64]


def fraction_below(distance: Array, settings: Settings) -> Array:
    """The part of a smeared level below an energy: its occupation where that is the Fermi level.

    Parameters
    ----------
    distance : level minus energy, eV, any shape.
    """
    from gpaw.occupations import fermi_dirac, methfessel_paxton

    if settings.ismear == -1:
        return np.asarray(fermi_dirac(distance, 0.0, settings.sigma)[0])
    return np.asarray(methfessel_paxton(distance, 0.0, settings.sigma, max(settings.ismear, 0))[0])


def fermi_level(eigenvalues: Array, weights: Array, electrons: float, settings: Settings, full: float) -> float:
    """The energy up to which levels must be filled; the middle of the range where there is a gap.

    Parameters
    ----------
    eigenvalues : shape (spins, kpoints, bands), eV.
    weights : shape (kpoints,), sum 1; points of weight zero count for nothing.
    electrons : to be placed; at most all levels full.
    full : electrons that a filled level holds.
    """

    def surplus(energy: float) -> float:
        filled = fraction_below(eigenvalues - energy, settings)
        return float(full * np.einsum("k,skn->", weights, filled) - electrons)

    low = float(eigenvalues.min() - 20 * settings.sigma)
    high = float(eigenvalues.max() + 20 * settings.sigma)
    first = _first_above(surplus, -1e-7, low, high)
    last = _first_above(surplus, 1e-7, low, high)
    return 0.5 * (first + last)


def _first_above(function: Callable[[float], float], bound: float, low: float, high: float) -> float:
    """Where a rising function passes a bound, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        if function(middle) > bound:
            high = middle
        else:
            low = middle
    return high
