"""What a calculation's files say, as neutral frozen data: numpy arrays with units, no trace of XML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.dos import Dos
from kalloy.structures.crystal import Crystal

Floats: TypeAlias = NDArray[np.float64]
Value: TypeAlias = "str | int | float | bool | tuple[str | int | float | bool | None, ...] | None"
Settings: TypeAlias = "Mapping[str, Value]"


@dataclass(frozen=True)
class Header:
    """Who wrote the file."""

    program: str | None = None
    """``vasp``, ``gpaw``, …"""
    version: str | None = None
    """As the program spells it (``5.4.4.18Apr17-6-g9f103f2a35``)."""
    date: str | None = None
    """Day of the start, ``2019 10 16``."""
    time: str | None = None
    """Time of the start, ``20:41:29``."""
    differences: tuple[str, ...] = ()
    """What another program than VASP says it does otherwise than VASP, one sentence each."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms and their data sets."""

    species: tuple[str, ...]
    """Element symbols, one an atom; taken from the data set's title where the program wrote none that exists."""
    types: tuple[int, ...]
    """Index into the entries below, one an atom."""
    elements: tuple[str, ...]
    """Element symbol of each type."""
    masses: tuple[float, ...]
    """Of each type, atomic mass units."""
    valences: tuple[float, ...]
    """Valence electrons of each type."""
    titles: tuple[str, ...]
    """The data set of each type (``PAW_PBE Cs_sv 08Apr2002``)."""
    as_written: tuple[str, ...] = ()
    """Symbols as the file gives them, one a type."""


@dataclass(frozen=True, eq=False)
class KPoints:
    """A list of k-points."""

    coordinates: Floats
    """Shape (k, 3), fractional in the reciprocal vectors."""
    weights: Floats
    """Shape (k,); they sum to one over the mesh; zero marks a point that takes no part in it."""
    generation: str | None = None
    """``Gamma``, ``Monkhorst-Pack``, ``Auto``, ``listgenerated`` (line mode), or None for an explicit list."""
    divisions: tuple[int, ...] = ()
    """Of the mesh (three), or points a segment (one)."""
    generators: Floats | None = None
    """Shape (3, 3): generating vectors of the mesh, fractional, rows; where the file gives them and a shift."""
    shift: tuple[float, ...] = ()
    """Of the mesh off Γ, in multiples of the generating vectors; with ``generators``."""
    user_shift: tuple[float, ...] = ()
    """Of the mesh by divisions, beyond what its generation brings with it, as KPOINTS states it."""
    corners: Floats | None = None
    """Shape (2 × segments, 3) in line mode: where each segment starts and ends, where the file says."""


@dataclass(frozen=True, eq=False)
class BandData:
    """Eigenvalues on a list of k-points, in the order of the file."""

    kpoints: KPoints
    """Where."""
    eigenvalues: Floats
    """Shape (spin, k, band), eV; not necessarily sorted."""
    occupations: Floats
    """Shape (spin, k, band), 0 to 1 (a little beyond with tetrahedra)."""


@dataclass(frozen=True, eq=False)
class Projections:
    """Weight of atomic orbitals in the bands."""

    weights: Floats
    """Shape (spin, k, band, ion, orbital); under spin–orbit coupling the four "spins" are total, mx, my, mz."""
    orbitals: tuple[str, ...]
    """``s``, ``py``, …, ``x2-y2``, or ``s p d f``."""


@dataclass(frozen=True, eq=False)
class Dielectric:
    """A dielectric function as the file gives it."""

    kind: str
    """``density-density``, ``current-current``, … or empty where the file does not say."""
    energies: Floats
    """Shape (n,), eV."""
    real: Floats
    """Shape (n, 6): xx, yy, zz, xy, yz, zx."""
    imaginary: Floats
    """Shape (n, 6), likewise."""


@dataclass(frozen=True, eq=False)
class IonicStep:
    """One ionic step."""

    crystal: Crystal | None = None
    """Structure that the energy belongs to."""
    energy_free: float | None = None
    """TOTEN, the free energy F, eV."""
    energy_without_entropy: float | None = None
    """E, eV; None in files of VASP up to 6.0.8, which do not give it here."""
    energy_zero: float | None = None
    """E(σ→0), eV."""
    forces: Floats | None = None
    """Shape (atoms, 3), eV/Å; NaN where the program wrote none."""
    stress: Floats | None = None
    """Shape (3, 3), kB, in VASP's sign."""
    electronic_steps: int = 0
    """Self-consistency steps made."""
    electronic_energies: Floats = field(default_factory=lambda: np.zeros(0))
    """Shape (electronic steps,), free energy after each, eV."""
    detailed: tuple[int, ...] = ()
    """Electronic steps, from 0, whose energy is reported in full: the first, and the last of the ground state."""
    closed: bool = False
    """Whether the step stands whole in the file."""
    learned: bool = False
    """Whether energy and forces are those of a machine-learned force field (ML_LMLFF)."""

    @property
    def complete(self) -> bool:
        """Whether the step's final energy was written."""
        return self.energy_zero is not None


@dataclass(frozen=True, eq=False)
class Vasprun:
    """All that was read of one calculation, from vasprun.xml or from what stands in for it."""

    header: Header = Header()
    """Program, version, start."""
    incar: Settings = field(default_factory=dict)
    """What was asked for."""
    parameters: Settings = field(default_factory=dict)
    """What was effective, by VASP's own names (ENMAX for ENCUT)."""
    atoms: Atoms | None = None
    """Atoms and data sets."""
    initial: Crystal | None = None
    """Structure at the start."""
    final: Crystal | None = None
    """Structure at the end, where the file reached it."""
    mobile: NDArray[np.bool_] | None = None
    """Shape (atoms, 3): which coordinates may move (selective dynamics), or None for all."""
    steps: tuple[IonicStep, ...] = ()
    """Ionic steps in order; the last may be incomplete."""
    kpoints: KPoints | None = None
    """Of the calculation itself."""
    bands: BandData | None = None
    """Eigenvalues of the last step that has them."""
    bands_opt: BandData | None = None
    """Eigenvalues on the points of KPOINTS_OPT, apart."""
    dos: Dos | None = None
    """Density of states of the last step that has one."""
    dos_opt: Dos | None = None
    """Density of states on the points of KPOINTS_OPT."""
    projections: Projections | None = None
    """Where asked for and in the file."""
    dielectric: tuple[Dielectric, ...] = ()
    """Dielectric functions in the file's order."""
    born_charges: Floats | None = None
    """Shape (atoms, 3, 3), e; first index of each tensor the field's direction."""
    files: tuple[str, ...] = ()
    """Names of the files that this was read from, the first being the main one."""
    closed: bool = False
    """Whether the file ends with its closing tag (OUTCAR: its timing report)."""
    reached_accuracy: bool = False
    """Whether the program itself says that the relaxation met its criterion; only OUTCAR holds that."""
    earlier_runs: int = 0
    """Runs that stand before this one in the same file."""
    defects: tuple[str, ...] = ()
    """Where the file breaks off or contradicts its format, in words."""

    @property
    def complete(self) -> bool:
        """Whether the program wrote the file to its end and nothing in it is damaged."""
        return self.closed and not self.defects

    @property
    def crystal(self) -> Crystal | None:
        """The last structure in the file."""
        if self.final is not None:
            return self.final
        moved = [step.crystal for step in self.steps if step.crystal is not None]
        return moved[-1] if moved else self.initial

    @property
    def last_complete_step(self) -> IonicStep | None:
        """The last ionic step whose energy was written."""
        return next((step for step in reversed(self.steps) if step.complete), None)
