"""Powder diffraction of an ensemble: the mean cell of its arrangements, and intensities averaged on it.

An alloy without long-range order has one set of reflections, those of its mean cell; each configuration's atoms are put
into that cell and their intensities averaged with their weights. What a configuration adds between the host's
reflections is then a measure of its own order. No Debye–Waller factors; Cu Kα unless stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import InputError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.screening.metric import HostMetric, from_metric

Floats = NDArray[np.float64]

CU_KALPHA = 1.54184
"""Å, the weighted mean of Kα1 and Kα2."""
RANGE = (5.0, 60.0)
"""Degrees 2θ."""


@dataclass(frozen=True)
class Peak:
    """One line of a powder pattern."""

    two_theta: float
    """Degrees."""
    intensity: float
    """The strongest line of the pattern has 100."""
    spacing_A: float
    """d, Å."""
    hkl: tuple[float, ...]
    """One of the planes, in the host's conventional axes; not whole where a supercell adds a reflection."""


def mean_lattice(metric: HostMetric, lattices: ArrayLike, weights: ArrayLike) -> Floats:
    """The cell of the ensemble, shape (3, 3), Å, rows in the computed cell's setting.

    Metric tensors are averaged, over members by their weights and over the host's point group: every arrangement that a
    configuration stands for is one of its images, so the mean has the host's crystal system.

    Parameters
    ----------
    lattices : shape (n, 3, 3), Å, rows of the computed cells.
    weights : shape (n,), summing to one.
    """
    cells = np.asarray(lattices, np.float64)
    tensors = cells @ cells.transpose(0, 2, 1)
    return from_metric(metric.symmetrised(np.tensordot(np.asarray(weights, np.float64), tensors, 1)))


def two_theta(lattice: ArrayLike, hkl: Sequence[float], wavelength: float = CU_KALPHA) -> float:
    """Where a reflection of a cell lies, degrees (Bragg's law).

    Parameters
    ----------
    lattice : shape (3, 3), Å, rows.

    Raises
    ------
    InputError
        Where the wavelength is too long for it.
    """
    inverse = np.linalg.norm(np.linalg.inv(np.asarray(lattice, np.float64)) @ np.asarray(hkl, np.float64))
    sine = wavelength * inverse / 2
    if not 0 < sine < 1:
        raise InputError(f"reflection {tuple(hkl)} is out of reach of {wavelength:g} Å")
    return float(2 * np.degrees(np.arcsin(sine)))


def parse_reflection(text: str) -> tuple[int, int, int]:
    """``006``, ``20-24`` (h k i l, where i = −h−k), ``1 1 0`` or ``10 0 -2``.

    Raises
    ------
    InputError
        Where it is no reflection.
    """
    words = text.replace(",", " ").split()
    numbers = [int(n) for n in (words if len(words) > 1 else re.findall(r"-?\d", text)) if re.fullmatch(r"-?\d+", n)]
    if len(numbers) == 4 and numbers[2] == -numbers[0] - numbers[1]:
        del numbers[2]
    if len(numbers) != 3 or not any(numbers) or re.sub(r"[-\d\s,]", "", text):
        raise InputError(f"'{text}' is no reflection", mend="write 006, 20-24 or '1 1 0'")
    return numbers[0], numbers[1], numbers[2]


def averaged_pattern(
    metric: HostMetric,
    lattice: ArrayLike,
    crystals: Iterable[tuple[Crystal, float]],
    wavelength: float = CU_KALPHA,
) -> list[Peak]:
    """The lines of an ensemble, by rising angle.

    Parameters
    ----------
    lattice : the mean cell, shape (3, 3), Å, in the computed setting.
    crystals : each with its weight; their own cells are replaced by the mean one.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    calculator = XRDCalculator(wavelength)
    found: dict[float, list[float]] = {}
    planes: dict[float, tuple[float, ...]] = {}
    for crystal, weight in crystals:
        placed = Crystal(np.asarray(lattice, np.float64), crystal.species, crystal.positions)
        pattern = calculator.get_pattern(placed.to_pymatgen(), scaled=False, two_theta_range=RANGE)
        for angle, intensity, hkls, spacing in zip(pattern.x, pattern.y, pattern.hkls, pattern.d_hkls, strict=True):
            key = round(float(angle), 4)
            found.setdefault(key, [0.0, float(spacing)])[0] += weight * float(intensity)
            if key not in planes:
                planes[key] = _plane(metric, placed, [h["hkl"] for h in hkls], 1 / spacing)
    strongest = max((intensity for intensity, _ in found.values()), default=1.0)
    return [Peak(k, 100 * found[k][0] / strongest, found[k][1], planes[k]) for k in sorted(found)]


def _plane(metric: HostMetric, crystal: Crystal, hkls: Sequence[tuple[int, ...]], length: float) -> tuple[float, ...]:
    """Of all planes at one angle that with the largest indices, in conventional axes.

    Those that the host's centring extinguishes are named where there is no other: the line is the alloy's own.
    pymatgen calls planes a family by their digits alone, so signs and orders are tried against the angle.

    Parameters
    ----------
    length : 1/d, 1/Å.
    """
    three = {(h[0], h[1], h[-1]) for h in hkls}  # a hexagonal lattice gets four indices
    orders = np.array([order for h in three for order in permutations(h)], np.float64)
    tried = np.concatenate([orders * signs for signs in product((1, -1), repeat=3)])
    there = tried[np.abs(np.linalg.norm(tried @ crystal.reciprocal, axis=1) - length) < 1e-4 * length]
    phases = there @ metric.translations.T
    allowed = there[np.isclose(phases, np.rint(phases), atol=1e-3).all(axis=1)]
    conventional = (allowed if len(allowed) else there) @ metric.to_conventional.T
    return max(tuple(round(float(x), 3) + 0.0 for x in h) for h in conventional)


def broadened(peaks: Iterable[Peak], grid: ArrayLike, width: float = 0.1) -> Floats:
    """The pattern as a curve: a Gaussian of full width ``width`` (degrees) a line, shape (points,)."""
    angles = np.asarray(grid, np.float64)
    sigma = width / np.sqrt(8 * np.log(2))
    curve = np.zeros_like(angles)
    for peak in peaks:
        curve += peak.intensity * np.exp(-((angles - peak.two_theta) ** 2) / (2 * sigma**2))
    return curve
