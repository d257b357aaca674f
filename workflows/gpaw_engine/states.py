"""What a calculation yields, free of GPAW's and VASP's formats."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.tetrahedra import Tetrahedra

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Energies:
    """The three energies of one electronic state of the cell, eV."""

    free: float
    """Energy minus the smearing's entropy term: the one that forces derive from."""
    entropy_term: float
    """-TS, what smearing takes from the energy (not above zero for Gaussian and Fermi smearing)."""
    extrapolated: float
    """Estimate for vanishing smearing."""

    @property
    def without_entropy(self) -> float:
        """The free energy without its entropy term."""
        return self.free - self.entropy_term


@dataclass(frozen=True)
class ElectronicStep:
    """One step towards self-consistency."""

    energies: Energies
    """At this step."""
    band_energy: float
    """Sum of occupied eigenvalues, eV."""
    residual: float
    """Norm of the residuals of the occupied states, eV; infinite where not known."""
    density_change: float | None
    """Integral of the absolute change of the density, electrons; None where the density is fixed."""
    seconds: float
    """CPU time of the step."""
    elapsed: float = 0.0
    """Wall time of the step, s."""


@dataclass(frozen=True, eq=False)
class IonicStep:
    """One geometry, its self-consistency and what follows from it."""

    atoms: Atoms
    """The geometry."""
    electronic: tuple[ElectronicStep, ...]
    """The way to self-consistency."""
    converged: bool
    """Did the electrons converge within NELM steps?"""
    energies: Energies
    """At the end of the way."""
    forces: Array | None
    """Shape (atoms, 3), eV/Å; None where the density is fixed."""
    stress: Array | None
    """Shape (3, 3), eV/Å3, positive under tension of the cell (ASE's sign); None where not computed."""
    fermi_level: float
    """eV."""
    moment: float
    """Total magnetic moment of the cell, Bohr magnetons."""
    seconds: float
    """CPU time of the whole step."""
    elapsed: float | None = None
    """Wall time of the whole step, s; None where only that of its electronic steps is known."""

    following: Atoms | None = None
    """Where a relaxation goes from here; None where it is at its end, or is none."""

    @property
    def wall_seconds(self) -> float:
        """Wall time, s."""
        return sum(step.elapsed for step in self.electronic) if self.elapsed is None else self.elapsed


@dataclass(frozen=True, eq=False)
class States:
    """Eigenvalues on a list of k-points."""

    points: Array
    """Shape (kpoints, 3), fractional."""
    weights: Array
    """Shape (kpoints,), sum 1 over those that count."""
    eigenvalues: Array
    """Shape (spins, kpoints, bands), eV, ascending."""
    occupations: Array
    """Shape (spins, kpoints, bands), in units of one filled state: 1 full, 0 empty."""
    fermi_level: float
    """eV."""
    projections: Array | None = None
    """Shape (spins, kpoints, bands, atoms, 9): s, py, pz, px, dxy, dyz, dz2, dxz, dx2-y2 inside the spheres. Of spinors
    the first axis is: density, and the moments along x, y, z."""

    averaged: Array | None = None
    """Same shape: the projections averaged over the star of each k-point, for densities of states."""
    spinors: bool = False
    """Whether a state holds one electron although there is one channel; projections then are total, mx, my, mz."""
    tetrahedra: Tetrahedra | None = None
    """The mesh divided, where ISMEAR = -5 integrates over it so."""

    @property
    def spins(self) -> int:
        """1 or 2."""
        return len(self.eigenvalues)

    @property
    def bands(self) -> int:
        """Bands at each k-point."""
        return int(self.eigenvalues.shape[2])

    def lowest(self, bands: int) -> States:
        """The same without the bands above."""

        def cut(array: Array | None) -> Array | None:
            return None if array is None else array[:, :, :bands]

        return replace(
            self,
            eigenvalues=self.eigenvalues[:, :, :bands],
            occupations=self.occupations[:, :, :bands],
            projections=cut(self.projections),
            averaged=cut(self.averaged),
        )

    def by_momentum(self) -> States:
        """The same with projections summed over the orbitals of s, p and d (LORBIT = 10)."""

        def summed(array: Array | None) -> Array | None:
            return None if array is None else np.add.reduceat(array, [0, 1, 4], axis=-1)

        return replace(self, projections=summed(self.projections), averaged=summed(self.averaged))

    @property
    def full(self) -> float:
        """Electrons that a filled state holds."""
        return 1.0 if self.spinors else 2.0 / self.spins

    @property
    def electrons(self) -> float:
        """Electrons in the cell by the occupations."""
        return float(self.full * np.einsum("k,skn->", self.weights, self.occupations))
