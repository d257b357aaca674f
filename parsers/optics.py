"""From a dielectric function to spectra: refractive index, extinction, absorption, reflectivity, the joint edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.model import Dielectric

Floats = NDArray[np.float64]
Direction = Literal["average", "x", "y", "z"]

HBAR_C = 1973.269804
"""ħc, eV Å (CODATA 2018)."""
EDGE_SHARE = 0.05
"""Of the largest ε2: what counts as the joint edge."""
_PER_CM = 1e8  # 1/Å in 1/cm


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Optical constants along one direction, or of the average over the three."""

    direction: Direction
    """``average``: a third of the trace of ε, taken before anything else is computed from it."""
    energies: Floats
    """Shape (n,), eV."""
    epsilon: NDArray[np.complex128]
    """Shape (n,), ε1 + i ε2."""
    refractive_index: Floats
    """Shape (n,), Re √ε."""
    extinction: Floats
    """Shape (n,), Im √ε."""
    absorption: Floats
    """Shape (n,), 1/cm: α = 2 E Im√ε / ħc."""
    reflectivity: Floats
    """Shape (n,), at normal incidence from vacuum."""
    edge: float | None
    """eV, the joint edge: the lowest energy at which ε2 reaches ``EDGE_SHARE`` of its maximum; None where it never
    rises. Broadening (CSHIFT) moves it down, forbidden transitions hide what lies below it: compare, do not call it
    the gap."""


def choose(functions: Sequence[Dielectric]) -> Dielectric | None:
    """The one to use of those that a file holds: density–density where it is named, else the first.

    VASP writes the density–density function first and the current–current one, which is not gauge-corrected at zero
    frequency, after it.
    """
    named = [d for d in functions if d.kind == "density-density"]
    return next(iter(named or functions), None)


def spectrum(dielectric: Dielectric, direction: Direction = "average") -> Spectrum:
    """Optical constants from ε(ω).

    Parameters
    ----------
    direction : a Cartesian axis, or the average over the three.
    """
    columns = slice(0, 3) if direction == "average" else slice("xyz".index(direction), "xyz".index(direction) + 1)
    epsilon = (dielectric.real + 1j * dielectric.imaginary)[:, columns].mean(axis=1)
    root = np.sqrt(epsilon)
    # A passive medium absorbs: of the two roots the one with a positive imaginary part.
    root = np.where(root.imag < 0, -root, root)
    energies = dielectric.energies
    return Spectrum(
        direction,
        energies,
        epsilon,
        root.real,
        root.imag,
        2 * energies * root.imag / HBAR_C * _PER_CM,
        np.abs((root - 1) / (root + 1)) ** 2,
        _joint_edge(energies, epsilon.imag),
    )


def _joint_edge(energies: Floats, imaginary: Floats) -> float | None:
    """Where ε2 first reaches its share of the maximum, between two points of the grid by a straight line."""
    level = EDGE_SHARE * float(imaginary.max(initial=0.0))
    if level <= 0:
        return None
    at = int(np.argmax(imaginary >= level))
    if at == 0:
        return float(energies[0])
    fraction = (level - imaginary[at - 1]) / (imaginary[at] - imaginary[at - 1])
    return float(energies[at - 1] + fraction * (energies[at] - energies[at - 1]))
