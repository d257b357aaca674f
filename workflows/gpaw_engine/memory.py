"""Memory that a calculation will need, told before it starts, and held against what there is."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from types import MappingProxyType

import numpy as np
from ase import Atoms
from ase.units import Bohr, Ha

from kalloy.errors import VaspInputError
from kalloy.workflows.gpaw_engine.setups import dataset

MIB = 1024**2
COMPLEX, REAL = 16, 8
BLOCK = 5000
"""Plane waves for which GPAW keeps all projectors at a time."""
LIBRARIES = 24 * MIB
"""What is loaded on the way, beyond what is there before the first step."""
COPIES = 3.5
"""Sets of wave functions of one k-point that are held at most beside the stored ones: the residuals on a wider sphere,
from which Pulay's stress is taken; the eigensolver's own two are fewer."""
COARSE, COARSE_A_SPIN = 8, 14
"""Arrays on the real-space grid: potentials and transforms; density, potential and the mixer's history, a spin."""
FINE, FINE_A_SPIN = 9, 9
"""Arrays on the grid of twice as many points a side: energy density, gradients and their derivatives."""


@dataclass(frozen=True)
class Memory:
    """Bytes that one process will hold at most, by what fills them."""

    base: int
    """The program and its libraries: what is resident when the estimate is made, and what is loaded later."""
    waves: int
    """Wave functions: bands times plane waves times k-points times spins, of this process's share."""
    work: int
    """Copies of one k-point's wave functions, and matrices between bands."""
    projectors: int
    """PAW projectors in plane waves, and their overlaps with the states."""
    grids: int
    """Densities and potentials in real space."""
    plane_waves: int
    """How many there are at a k-point, about."""
    processes: int
    """That run side by side."""

    @property
    def each(self) -> int:
        """Bytes of one process."""
        return self.base + self.waves + self.work + self.projectors + self.grids

    @property
    def total(self) -> int:
        """Bytes of all."""
        return self.processes * self.each

    def lines(self) -> list[str]:
        """For OUTCAR."""
        parts = ("base", "waves", "work", "projectors", "grids")
        words = {"base": "program", "waves": "wave functions", "grids": "real-space grids"}
        rows = [f"{words.get(part, part):<17s}: {getattr(self, part) / MIB:10.1f} MiB" for part in parts]
        return [*rows, f"{'each process':<17s}: {self.each / MIB:10.1f} MiB of {self.processes}"]


def estimate(
    atoms: Atoms,
    encut: float,
    grid: tuple[int, int, int],
    bands: int,
    kpoints: int,
    spins: int,
    gamma_only: bool,
    groups: Mapping[str, int] = MappingProxyType({"kpt": 1, "domain": 1}),
    held: int | None = None,
) -> Memory:
    """What a calculation with plane waves will need.

    Parameters
    ----------
    encut : eV.
    grid : points of the real-space grid.
    kpoints : that are computed, by all processes together.
    gamma_only : is Γ the only one? Its states are real, and half of the plane waves tell all.
    groups : of processes, among which k-points are divided (``kpt``), and processes in each (``domain``), which share
        the plane waves.
    held : k-points whose wave functions are held at once; None for all.
    """
    waves, sharing = plane_waves(atoms, encut), groups["domain"]
    number = COMPLEX if not gamma_only else REAL
    one_point = ceil(bands * waves / sharing) * number
    here = ceil(kpoints * spins / groups["kpt"])
    at_once = here if held is None else min(here, held * spins)
    projectors = sum(dataset(symbol).projectors for symbol in atoms.get_chemical_symbols())
    points = ceil(int(np.prod(grid)) / sharing)
    return Memory(
        base=resident() + LIBRARIES,
        waves=at_once * one_point,
        work=int(COPIES * one_point) + (2 * 4 + 4) * bands * bands * number,
        projectors=at_once * ceil(waves / sharing) * REAL * _radial(atoms)
        + projectors * (min(waves, BLOCK) + (2 + here) * bands) * number,
        grids=points * REAL * (COARSE + spins * COARSE_A_SPIN) + 8 * points * REAL * (FINE + spins * FINE_A_SPIN),
        plane_waves=waves,
        processes=groups["kpt"] * sharing,
    )


def plane_waves(atoms: Atoms, encut: float) -> int:
    """Those below the cut-off at a k-point: the sphere's volume times the cell's over (2π)³."""
    radius = sqrt(2 * encut / Ha)
    return ceil(atoms.get_volume() / Bohr**3 * radius**3 / (6 * np.pi**2))


def _radial(atoms: Atoms) -> int:
    """Arrays over plane waves that all atoms of an element share: radial functions, spherical harmonics."""
    kinds = {symbol: dataset(symbol) for symbol in atoms.get_chemical_symbols()}
    return sum(kind.radial for kind in kinds.values()) + (max(kind.lmax for kind in kinds.values()) + 1) ** 2


def resident() -> int:
    """Bytes that this process has held at most so far.

    ``ru_maxrss`` would be the parent's where that one is larger: Linux keeps it over fork and exec.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    mine = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * (mine[0] if mine else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def require(memory: Memory, here: int | None = None, limits: dict[str, int] | None = None) -> None:
    """Refuse a calculation that cannot fit.

    Parameters
    ----------
    here : processes on this machine; None for all.
    limits : bytes for these by what sets them; None for this machine's.

    Raises
    ------
    VaspInputError : names both figures and what would help.
    """
    here = memory.processes if here is None else here
    limits = machine_limits(here) if limits is None else limits
    what, least = min(limits.items(), key=lambda item: item[1])
    needed = here * memory.each
    if needed > least:
        raise VaspInputError(
            f"the calculation needs about {needed / MIB:.0f} MiB of memory, "
            f"{here * memory.waves / MIB:.0f} of them for wave functions, and {what} allows {least / MIB:.0f} MiB",
            mend="take fewer k-points, a smaller ENCUT or NBANDS, or a machine with more memory",
        )


def machine_limits(processes: int) -> dict[str, int]:
    """Bytes for some processes of a calculation on this machine, by what sets them."""
    limits = {"the machine": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}
    for name, kind in (("ulimit -v", resource.RLIMIT_AS), ("ulimit -d", resource.RLIMIT_DATA)):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            limits[name] = soft * processes
    for path in _cgroup_files():
        text = path.read_text().strip()
        if text.isdigit() and int(text) < 1 << 60:
            limits[f"the control group ({path})"] = int(text)
    return limits


def _cgroup_files(root: Path = Path("/sys/fs/cgroup"), table: Path = Path("/proc/self/cgroup")) -> list[Path]:
    """The files that bound the memory of this process's control groups and of those around them."""
    found: list[Path] = []
    for line in table.read_text().splitlines() if table.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        base, name = (root, "memory.max") if not controllers else (root / "memory", "memory.limit_in_bytes")
        here = base / path.lstrip("/")
        found += [folder / name for folder in (here, *here.parents) if folder == base or base in folder.parents]
    return [path for path in found if path.is_file()]
