"""How wide the edge bands are, and how their edges curve: widths and effective masses with what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.bands import Bands, Segment, straight_segments
from kalloy.parsers.gap import Gap

Floats = NDArray[np.float64]

HBAR2_2M = 3.809982110
"""ħ²/(2 m_e), eV Å2 (CODATA 2018)."""
LEAST_SPAN_EV = 1e-3
"""A band that changes by less within the window is too flat for a mass: eigenvalues are printed to 0.1 meV."""
LEAST_R2 = 0.95


@dataclass(frozen=True)
class EffectiveMass:
    """A parabola through a band edge along one direction."""

    carrier: Literal["electron", "hole"]
    """Electron at the conduction band minimum, hole at the valence band maximum."""
    mass: float
    """In electron masses; positive for a band that curves as its edge should."""
    spin: int
    """0 or 1."""
    band: int
    """Index from 0 among the sorted bands."""
    kpoint: tuple[float, float, float]
    """Where the edge is, fractional."""
    towards: tuple[float, float, float]
    """Where the path leads from there, fractional."""
    labels: tuple[str, str]
    """Names of both, where known."""
    window: float
    """1/Å with 2π: how far from the edge the last point lies."""
    points: int
    """Points of the fit beyond the edge; they are mirrored at it."""
    r_squared: float
    """Share of the energies' variance that the parabola explains."""
    meaningful: bool
    """Whether the band bends enough (1 meV within the window) and like a parabola (R² ≥ 0.95) for the figure to mean
    much."""


@dataclass(frozen=True)
class Widths:
    """Highest less lowest energy of the edge bands over all k-points given: small for flat bands."""

    valence: tuple[float | None, ...]
    """eV, the highest filled band of each spin channel."""
    conduction: tuple[float | None, ...]
    """eV, the lowest empty band of each spin channel."""


def edge_widths(bands: Bands, gap: Gap) -> Widths:
    """Widths of the bands next to the gap; None where a channel has no such band."""
    energies = bands.sorted()

    def width(spin: int, band: int) -> float | None:
        if not 0 <= band < energies.shape[2]:
            return None
        return float(np.ptp(energies[spin, :, band]))

    counts = [round(n) for n in gap.filled]
    return Widths(
        tuple(width(spin, n - 1) for spin, n in enumerate(counts)),
        tuple(width(spin, n) for spin, n in enumerate(counts)),
    )


def join_paths(parts: Sequence[Bands]) -> Bands:
    """One path of several that were computed apart, with the same bands.

    Raises
    ------
    ValueError
        If there is none, or they differ in spin channels or reciprocal vectors.
    """
    if not parts or len({p.spins for p in parts}) != 1:
        raise ValueError("paths of different spin channels cannot be joined")
    first = parts[0]
    for part in parts:
        same = first.reciprocal is not None and part.reciprocal is not None
        if same and not np.allclose(first.reciprocal, part.reciprocal, atol=1e-4):  # type: ignore[arg-type]
            raise ValueError("paths in different cells cannot be joined")
    count = min(p.eigenvalues.shape[2] for p in parts)
    starts = np.cumsum([0] + [len(p.kpoints) for p in parts]).tolist()
    return replace(
        first,
        kpoints=np.concatenate([p.kpoints for p in parts]),
        weights=np.concatenate([p.weights for p in parts]),
        eigenvalues=np.concatenate([p.eigenvalues[:, :, :count] for p in parts], axis=1),
        occupations=np.concatenate([p.occupations[:, :, :count] for p in parts], axis=1),
        segments=tuple(
            replace(s, start=s.start + at, stop=s.stop + at)
            for p, at in zip(parts, starts, strict=False)
            for s in (p.segments or straight_segments(p.kpoints))
        ),
    )


def effective_masses(path: Bands, gap: Gap, points: int = 3) -> tuple[EffectiveMass, ...]:
    """Effective masses at both edges along every piece of the path that starts there.

    Parameters
    ----------
    path : bands along a path that reaches the edges.
    gap : the gap of the same calculation; its edges' states are followed, each degenerate band by its rank.
    points : points of each fit beyond the edge, at least 2.

    Returns
    -------
    Electrons first; empty where the path does not reach an edge or ends too soon.

    Raises
    ------
    ValueError
        If the reciprocal vectors are unknown, or ``points`` is below 2.
    """
    if path.reciprocal is None:
        raise ValueError("the reciprocal vectors of these bands are unknown")
    if points < 2:
        raise ValueError("a parabola needs two points beyond its vertex")
    masses: list[EffectiveMass] = []
    for carrier, edge in (("electron", gap.cbm), ("hole", gap.vbm)):
        if edge is None:
            continue
        for spin, k, band in _states_on(path, edge.energy, gap, carrier):
            for segment, along in _runs_from(path, k, points):
                masses.append(_fit(path, spin, band, along, "electron" if carrier == "electron" else "hole", segment))
    return tuple(masses)


def _states_on(path: Bands, energy: float, gap: Gap, carrier: str) -> list[tuple[int, int, int]]:
    """(spin, k, band) of the path's states at an edge: where its outermost band peaks, and all degenerate with it."""
    energies = path.sorted()
    states: list[tuple[int, int, int]] = []
    for spin, filled in enumerate(round(n) for n in gap.filled):
        first = filled if carrier == "electron" else filled - 1
        if not 0 <= first < energies.shape[2]:
            continue
        outermost = energies[spin, :, first]
        best = float(outermost.min() if carrier == "electron" else outermost.max())
        if abs(best - energy) > 1e-3:
            continue
        for k in np.flatnonzero(np.abs(outermost - best) < 1e-6).tolist():
            side = range(filled, energies.shape[2]) if carrier == "electron" else range(filled)
            states += [(spin, k, b) for b in side if abs(energies[spin, k, b] - best) <= 1e-3]
    return states


def _runs_from(path: Bands, k: int, points: int) -> list[tuple[Segment, list[int]]]:
    """Indices of ``k`` and the ``points`` k-points beyond it, in either sense of every segment that holds it."""
    runs = []
    for segment in path.segments or straight_segments(path.kpoints):
        if not segment.start <= k < segment.stop:
            continue
        if k + points < segment.stop:
            runs.append((segment, list(range(k, k + points + 1))))
        if k - points >= segment.start:
            runs.append((segment, [k - i for i in range(points + 1)]))
    return runs


def _fit(
    path: Bands, spin: int, band: int, along: list[int], carrier: Literal["electron", "hole"], segment: Segment
) -> EffectiveMass:
    assert path.reciprocal is not None
    start = path.kpoints[along[0]]
    distances = 2 * np.pi * np.linalg.norm((path.kpoints[along] - start) @ path.reciprocal, axis=1)
    energies = path.sorted()[spin, along, band]
    # Mirrored at the edge the fit has no linear term: E = E0 + c q², weights 1 for the edge, 2 for the others.
    weights = np.where(np.arange(len(along)) == 0, 1.0, 2.0)
    square = distances**2
    c, offset = np.polyfit(square, energies, 1, w=np.sqrt(weights))
    residual = float(weights @ (energies - offset - c * square) ** 2)
    mean = float(weights @ energies / weights.sum())
    variance = float(weights @ (energies - mean) ** 2)
    r_squared = 1 - residual / variance if variance > 0 else 0.0
    sign = 1 if carrier == "electron" else -1
    end = path.kpoints[segment.stop - 1 if along[1] > along[0] else segment.start]
    ends = _labels(segment, along)
    return EffectiveMass(
        carrier,
        float(sign * HBAR2_2M / c) if c else float("inf"),
        spin,
        band,
        _triple(start),
        _triple(end),
        ends,
        float(distances[-1]),
        len(along) - 1,
        r_squared,
        bool(np.ptp(energies) >= LEAST_SPAN_EV and r_squared >= LEAST_R2),
    )


def _labels(segment: Segment, along: list[int]) -> tuple[str, str]:
    forward = along[1] > along[0]
    at_end = along[0] == (segment.start if forward else segment.stop - 1)
    here, there = segment.labels if forward else segment.labels[::-1]
    return here if at_end else "", there


def _triple(k: Floats) -> tuple[float, float, float]:
    a, b, c = (float(x) + 0.0 for x in k)
    return a, b, c
