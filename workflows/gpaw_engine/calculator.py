"""GPAW behind VASP's words: one object that converges a geometry, and tells its energies, forces and eigenvalues."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Ha
from numpy.typing import NDArray

from kalloy.errors import EngineError, VaspInputError
from kalloy.workflows.gpaw_engine.kpoints import AnyMesh, PointList
from kalloy.workflows.gpaw_engine.projections import project
from kalloy.workflows.gpaw_engine.pulay import pulay_stress
from kalloy.workflows.gpaw_engine.restart import FROM_ATOMS, Start, choose_start, continued
from kalloy.workflows.gpaw_engine.sampling import Sampling, sample
from kalloy.workflows.gpaw_engine.settings import Settings
from kalloy.workflows.gpaw_engine.setups import dataset
from kalloy.workflows.gpaw_engine.states import ElectronicStep, Energies, IonicStep, States
from kalloy.workflows.gpaw_engine.symmetry import Operations, on_grid
from kalloy.workflows.gpaw_engine.workers import divide, same

Array = NDArray[np.float64]
Watcher = Callable[[int, ElectronicStep], None]


def valence_electrons(atoms: Atoms) -> int:
    """Electrons in the cell that the PAW data of GPAW treat as valence."""
    return sum(dataset(symbol).valence for symbol in atoms.get_chemical_symbols())


def default_bands(electrons: int, atoms: int, spins: int) -> int:
    """VASP's default for NBANDS, with room for half of the moments where there are two channels."""
    empty = max(atoms // 2, 3)
    bands = max((electrons + 2) // 2 + empty, ceil(0.6 * electrons))
    return bands + (atoms + 1) // 2 if spins == 2 else bands


def number_of_bands(settings: Settings, electrons: int, atoms: int) -> int:
    """NBANDS, or VASP's default.

    Raises
    ------
    VaspInputError : fewer than the electrons fill.
    """
    bands = settings.nbands or default_bands(electrons, atoms, settings.spins)
    if 2 * bands < electrons:
        raise VaspInputError(
            f"NBANDS = {bands} holds {2 * bands} electrons, and the cell has {electrons}",
            where="INCAR",
            mend=f"leave NBANDS out, or set {default_bands(electrons, atoms, settings.spins)}",
        )
    return bands


def real_space_grid(atoms: Atoms, encut: float, reach: float) -> tuple[int, int, int]:
    """Points of the grid for densities and potentials, fixed by cell and cut-off alone.

    Parameters
    ----------
    reach : radius that the grid must hold, in radii of the sphere of plane waves: 2 is free of wrap-around
        (VASP's PREC = Accurate), 3/2 is PREC = Normal.

    Each number is a multiple of six, so that the grid is the same for all members of a set, whether or not they have
    translations by halves or thirds among their symmetries.
    """
    sphere = sqrt(encut / (0.5 * Ha * Bohr**2))
    lengths = atoms.cell.lengths()
    return tuple(_smooth(ceil(reach * sphere * a / np.pi - 1e-3)) for a in lengths)  # type: ignore[return-value]


def _smooth(least: int) -> int:
    """The smallest multiple of six from ``least`` on without prime factors above seven."""
    n = 6 * ceil(least / 6)
    while True:
        rest = n
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 6


def smearing(settings: Settings) -> dict[str, Any]:
    """GPAW's name for a smearing."""
    if settings.ismear == -5:  # the density is kept: what fills the states meanwhile changes nothing
        return {"name": "methfessel-paxton", "width": 0.01, "order": 0}
    if settings.ismear == -1:
        return {"name": "fermi-dirac", "width": settings.sigma}
    return {"name": "methfessel-paxton", "width": settings.sigma, "order": max(settings.ismear, 0)}


def convergence(settings: Settings, electrons: int, bands: int | None = None) -> dict[str, Any]:
    """Criteria of electronic convergence that follow from EDIFF.

    The energy of the cell must change by less than EDIFF between two steps, as in VASP. GPAW's other two criteria are
    tied to it: both errors enter the energy squared, the residuals' sum directly.
    """
    from gpaw.convergence_criteria import Energy

    criteria = {
        "energy": Energy(settings.ediff, n_old=2, relative=False),
        "eigenstates": settings.ediff / electrons,
        "density": min(1e-3, 0.03 * sqrt(settings.ediff)),
        "minimum iterations": settings.nelmin,
    }
    return criteria | ({"bands": bands} if bands else {})


class Calculator:
    """A crystal on a k-mesh or a list of k-points, self-consistent geometry by geometry."""

    def __init__(
        self, settings: Settings, atoms: Atoms, kpoints: AnyMesh | PointList, log: Path, restarts: Path | None = None
    ) -> None:
        """Settle what can be told before anything is computed.

        Parameters
        ----------
        restarts : folder whose restart file may be begun with.
        """
        self.settings, self.kpoints, self.log = settings, kpoints, log
        self.electrons = valence_electrons(atoms)
        self.bands = number_of_bands(settings, self.electrons, len(atoms))
        self.moments = self._initial_moments(atoms)
        self.atoms = atoms
        self.grid = real_space_grid(atoms, settings.encut, settings.reach)
        self._calc: Any = None
        self._settle(atoms)
        self.start = FROM_ATOMS
        if restarts:
            self.start = choose_start(restarts, settings, atoms, self.grid, self.parallel)

    def _initial_moments(self, atoms: Atoms) -> Array | None:
        if self.settings.spins == 1:
            return None
        return np.array(self.settings.magmoms if self.settings.magmoms is not None else [1.0] * len(atoms))

    def _settle(self, atoms: Atoms) -> None:
        """Symmetry, and what follows from it."""
        self.sampling: Sampling = sample(self.settings, atoms, self.kpoints, self.moments)
        self.grid = compatible_grid(self.operations, self.grid)
        self.parallel = divide(len(self.sampling.counted.points) * self.settings.spins)

    @property
    def operations(self) -> Operations:
        """The symmetry in force."""
        return self.sampling.operations

    @property
    def gpaw(self) -> Any:
        """GPAW's own calculator of the last geometry."""
        return self._calc

    def converge(self, atoms: Atoms, watch: Watcher) -> IonicStep:
        """Self-consistency at one geometry, then forces and stress.

        Where NELM steps do not suffice, what was reached is used, as in VASP; ``IonicStep.converged`` tells.

        Parameters
        ----------
        watch : called after each electronic step with its number, from one on.
        """
        start, began = time.process_time(), time.monotonic()
        steps, converged = [], True
        try:
            for step in self._iterate(atoms):
                steps.append(step)
                watch(len(steps), step)
        except _not_converged():
            converged = False
        calc = self._calc
        dft = calc.dft
        dft.calculate_energy()
        dft.magmoms()
        forces = dft.calculate_forces()
        stress = self._stress(atoms) if self.settings.freedom.stress else None
        return IonicStep(
            atoms=atoms.copy(),
            electronic=tuple(steps),
            converged=converged,
            energies=same(steps[-1].energies),
            forces=np.array(forces),
            stress=same(stress),
            fermi_level=calc.get_fermi_level(),
            moment=float(dft.results["magmom"]) if self.settings.spins == 2 else 0.0,
            seconds=time.process_time() - start,
            elapsed=time.monotonic() - began,
        )

    def _stress(self, atoms: Atoms) -> Array:
        """Shape (3, 3), eV/Å3: derivative by strain of the energy at constant ENCUT."""
        cell = np.array(atoms.cell)
        missing = pulay_stress(self._calc.dft, lambda tensor: self.operations.symmetric_tensor(cell, tensor))
        return _full(self._calc.get_stress(atoms)) + missing

    def _iterate(self, atoms: Atoms) -> Iterator[ElectronicStep]:
        from gpaw.new.symmetry import SymmetryBrokenError

        try:
            yield from self._iterate_here(atoms)
        except SymmetryBrokenError:
            # The step left the group that the calculation was set up with: start anew with what is left of it.
            self._settle(atoms)
            self._calc, self.start = None, FROM_ATOMS
            yield from self._iterate_here(atoms)

    def _iterate_here(self, atoms: Atoms) -> Iterator[ElectronicStep]:
        if self._calc is None:
            self._calc = self._new(atoms)
        yield from electronic_steps(self._calc.iconverge(atoms))

    def _new(self, atoms: Atoms) -> Any:
        from gpaw import GPAW

        if not self.start.is_restart:
            return GPAW(**self._keywords(), txt=self.log)
        calculation = continued(self.start.parent, atoms, self.log, self._keywords())
        self.start = Start(None, self.start.words)  # the parent's arrays are not needed any more
        return calculation

    def _mixer(self) -> dict[str, Any] | None:
        if self.settings.spins == 2 and self.settings.amix is None:
            return None
        return {"name": "pulay", "beta": self.settings.amix or 0.3}

    def _keywords(self) -> dict[str, Any]:
        from gpaw import PW

        return {
            "mode": PW(self.settings.encut),
            "xc": "PBE",
            "kpts": self.sampling.for_gpaw(),
            "gpts": self.grid,
            "nbands": self.bands,
            "maxiter": self.settings.nelm,
            "occupations": smearing(self.settings),
            "convergence": convergence(self.settings, self.electrons),
            "symmetry": gpaw_symmetry(self.operations),
            "spinpol": self.settings.spins == 2,
            "magmoms": self.moments,
            "mixer": self._mixer(),
            "parallel": self.parallel,
        }

    def states(self, projected: bool) -> States:
        """Eigenvalues and occupations of the last geometry, on the points that make the density."""
        operations = self.operations if projected else None
        return read_states(self._calc, self.sampling.counted.points, self.sampling.counted.weights, operations)

    def save(self, path: Path) -> None:
        """Write the restart file: with the density alone, or with the wave functions too (LWAVE)."""
        self._calc.write(path, mode="all" if self.settings.keep_waves else "")


def compatible_grid(operations: Operations, grid: tuple[int, int, int]) -> tuple[int, int, int]:
    """The grid made finer until every operation maps it on itself.

    Raises
    ------
    EngineError : where no grid near it does (an origin at no rational place).
    """
    for factor in (1, 2):
        for candidate in (grid, (max(grid),) * 3):
            fine = tuple(_smooth(n) if factor == 1 else 12 * ceil(n / 12) for n in candidate)
            if on_grid(operations, fine).all():  # type: ignore[arg-type]
                return fine  # type: ignore[return-value]
    raise EngineError(
        "the crystal's symmetries fit no real-space grid",
        mend="move the origin of POSCAR to a site of high symmetry, or set ISYM = 0",
    )


def gpaw_symmetry(operations: Operations) -> dict[str, Any]:
    """Operations as GPAW takes them."""
    return {
        "rotations": operations.rotations,
        "translations": operations.translations,
        "atommaps": operations.images,
        "symmorphic": not operations.translations.any(),
        "time_reversal": operations.time_reversal,
    }


def electronic_steps(contexts: Iterator[Any]) -> Iterator[ElectronicStep]:
    """GPAW's steps to self-consistency in neutral terms."""
    before, began = time.process_time(), time.monotonic()
    for context in contexts:
        now, clock = time.process_time(), time.monotonic()
        yield ElectronicStep(
            energies=energies_of(context.energies),
            band_energy=context.energies._energies["band"] * Ha,
            residual=float(np.sqrt(context.wfs.eigensolver.error)) * Ha,
            density_change=float(context.dens.error),
            seconds=now - before,
            elapsed=clock - began,
        )
        before, began = now, clock


def energies_of(parts: Any) -> Energies:
    """GPAW's energies of a cell in neutral terms."""
    return Energies(
        free=parts.total_free * Ha,
        entropy_term=parts._energies["entropy"] * Ha,
        extrapolated=parts.total_extrapolated * Ha,
    )


def read_states(calc: Any, points: Array, weights: Array, operations: Operations | None) -> States:
    """Eigenvalues of a converged GPAW calculation on ``points``, whose order is the reverse of GPAW's own.

    Parameters
    ----------
    operations : those that the points were reduced with, where projections are wanted; else None.
    """
    own = calc.get_ibz_k_points()[::-1]
    gap = own - points
    if own.shape != points.shape or np.abs(gap - np.round(gap)).max() > 1e-6:
        raise EngineError("GPAW's irreducible k-points are not those expected")
    eigenvalues = np.array(calc.eigenvalues())[:, ::-1]
    order = np.argsort(eigenvalues, axis=2, kind="stable")

    def sort(array: Array) -> Array:
        return np.take_along_axis(array, order.reshape(order.shape + (1,) * (array.ndim - 3)), axis=2)

    projections = None if operations is None else project(calc, operations)
    return States(
        points=points,
        weights=weights,
        eigenvalues=sort(eigenvalues),
        occupations=sort(np.array(calc.occupations())[:, ::-1]),
        fermi_level=calc.get_fermi_level(),
        projections=None if projections is None else sort(projections.states[:, ::-1]),
        averaged=None if projections is None else sort(projections.stars[:, ::-1]),
    )


def _full(voigt: Array) -> Array:
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def _not_converged() -> type[Exception]:
    from gpaw import KohnShamConvergenceError

    error: type[Exception] = KohnShamConvergenceError
    return error
