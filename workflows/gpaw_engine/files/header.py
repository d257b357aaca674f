"""What is known of a calculation before its first step, and the lines on standard output that tell it, as VASP's do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.memory import MIB, Memory
from kalloy.workflows.gpaw_engine.symmetry import Irreducible

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Header:
    """The frame of a calculation."""

    points: Array
    """Shape (kpoints, 3), fractional: those reported."""
    weights: Array
    """Shape (kpoints,), sum 1."""
    zone_points: int
    """k-points before reduction."""
    bands: int
    """NBANDS."""
    grid: tuple[int, int, int]
    """Points of the real-space grid."""
    dropped: int
    """Operations of the crystal that the mesh breaks."""
    operations: int
    """Operations in force."""
    irreducible: Irreducible | None
    """The reduced mesh, where the k-points are one."""
    start: str
    """What the first self-consistency loop begins with, in words."""
    groups: dict[str, int] = field(default_factory=lambda: {"kpt": 1, "domain": 1})
    """Groups of processes among which k-points are divided, and processes in each."""
    memory: Memory | None = None
    """What will be needed; None where it is not estimated."""

    @property
    def processes(self) -> int:
        """That run side by side."""
        return self.groups["kpt"] * self.groups["domain"]


def opening(job: Job, header: Header, electrons: int) -> Iterator[str]:
    """Standard output until the main loop begins."""
    import gpaw

    yield f" running on {header.processes:4d} total cores"
    yield f" distrk:  each k-point on {header.groups['domain']:4d} cores, {header.groups['kpt']:4d} groups"
    yield f" gpaw.{gpaw.__version__} PAW, PBE, plane waves, behind VASP's files (kalloy-gpaw)"
    symbols = " ".join(f"{symbol:<2s}" for symbol, _ in job.groups)
    yield f" POSCAR found type information on POSCAR {symbols.rstrip()}"
    yield f" POSCAR found : {len(job.groups):2d} types and {len(job.atoms):7d} ions"
    yield f" {len(header.points)} k-points, {header.bands} bands, {electrons} electrons"
    if header.memory is not None:
        yield f" estimated memory: {header.memory.total / MIB:.0f} MiB"
    yield f" {header.start}"
    yield " entering main loop"
