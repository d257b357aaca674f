"""Bands: eigenvalues on a mesh or a path, neutral of any program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Source = Literal["mesh", "path"]


@dataclass(frozen=True)
class Segment:
    """One straight piece of a path through reciprocal space."""

    start: int
    """Index of its first k-point."""
    stop: int
    """Index after its last k-point."""
    labels: tuple[str, str] = ("", "")
    """Names of its ends (``GAMMA``, ``X``), empty where unknown."""


@dataclass(frozen=True, eq=False)
class Bands:
    """Eigenvalues and occupations on a set of k-points."""

    kpoints: Floats
    """Shape (k, 3), fractional in the rows of ``reciprocal``."""
    weights: Floats
    """Shape (k,); zero for points that take no part in the integration."""
    eigenvalues: Floats
    """Shape (spin, k, band), eV, as the program ordered them."""
    occupations: Floats
    """Shape (spin, k, band), 0 to 1 a state; NaN where unknown."""
    reciprocal: Floats | None = None
    """Shape (3, 3), 1/Å without 2π; rows are the reciprocal vectors."""
    source: Source = "mesh"
    """A mesh fills the zone; a path runs through it."""
    segments: tuple[Segment, ...] = ()
    """The straight pieces of a path, where known."""
    electrons_per_band: int = 2
    """Electrons that a full band holds at a k-point: 2 without spin, 1 in a spin channel or a spinor calculation."""

    @property
    def spins(self) -> int:
        """Spin channels, 1 or 2."""
        return int(self.eigenvalues.shape[0])

    def sorted(self) -> Floats:
        """Shape (spin, k, band): eigenvalues in ascending order at each k-point."""
        return np.sort(self.eigenvalues, axis=2)

    def distances(self) -> Floats:
        """Shape (k,), 1/Å without 2π: length along the path; jumps between segments have no length.

        Raises
        ------
        ValueError
            If the reciprocal vectors are unknown.
        """
        if self.reciprocal is None:
            raise ValueError("the reciprocal vectors of these bands are unknown")
        steps = np.linalg.norm(np.diff(self.kpoints, axis=0) @ self.reciprocal, axis=1)
        for segment in self.segments:
            if 0 < segment.start <= len(steps):
                steps[segment.start - 1] = 0.0
        return np.concatenate([[0.0], np.cumsum(steps)])


def straight_segments(kpoints: Floats) -> tuple[Segment, ...]:
    """Divide a list of k-points into straight, evenly spaced runs, as a path is made of.

    Parameters
    ----------
    kpoints : shape (k, 3), fractional.

    Returns
    -------
    Segments that cover every point; a corner that is written once ends one segment and starts the next.
    """
    segments: list[Segment] = []
    start = 0
    while start < len(kpoints):
        stop = _run_end(kpoints, start)
        segments.append(Segment(start, stop))
        if stop >= len(kpoints):
            break
        # A corner that is written twice starts the next segment at its second copy.
        repeated = np.allclose(kpoints[stop], kpoints[stop - 1], atol=1e-6)
        start = stop if repeated or stop - start == 1 or not _continues(kpoints, stop) else stop - 1
    return tuple(segments)


def _run_end(kpoints: Floats, start: int) -> int:
    if start + 1 >= len(kpoints):
        return len(kpoints)
    step = kpoints[start + 1] - kpoints[start]
    if np.allclose(step, 0, atol=1e-6):
        return start + 1
    stop = start + 2
    while stop < len(kpoints) and np.allclose(kpoints[stop] - kpoints[stop - 1], step, atol=2e-6):
        stop += 1
    return stop


def _continues(kpoints: Floats, stop: int) -> bool:
    """Whether the corner before ``stop`` is also where an evenly spaced run starts."""
    return stop + 1 < len(kpoints) and np.allclose(
        kpoints[stop + 1] - kpoints[stop], kpoints[stop] - kpoints[stop - 1], atol=2e-6
    )


def is_path(kpoints: Floats, weights: Floats) -> bool:
    """Whether an explicit list of k-points looks like a path: even weights, mostly long straight runs.

    A mesh written out line by line is straight in runs as well, so the runs must not be parallel to each other
    all the way through, unless there is only one.
    """
    if len(kpoints) < 5 or not np.allclose(weights, weights[0], rtol=1e-3):
        return False
    runs = [s for s in straight_segments(kpoints) if s.stop - s.start >= 3]
    covered = np.zeros(len(kpoints), dtype=bool)
    for run in runs:
        covered[run.start : run.stop] = True
    if covered.mean() < 0.9:
        return False
    steps = np.array([kpoints[run.start + 1] - kpoints[run.start] for run in runs])
    if len(runs) == 1:
        # A chain's Monkhorst–Pack mesh: from half a step off Γ to half a step before the zone's face.
        ends = 2 * kpoints[0] - steps[0], 2 * kpoints[-1] + steps[0]
        return not all(np.allclose(end, np.round(end), atol=1e-5) for end in ends)
    return not np.allclose(np.cross(steps, steps[0]), 0, atol=1e-6)
