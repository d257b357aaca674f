"""k-points one after another in a density that is kept: each starts from the wave functions of the one before it.

Periodic parts of neighbouring Bloch functions are nearly alike, so that a path takes two or three iterations a k-point
where atomic orbitals take eight; and only one k-point's wave functions are held at a time.

Several processes (MPI) walk side by side, each along its contiguous part of the list in a copy of the density. They
keep step: after each iteration all know all, so that they report, stop and fail together; at the end each has all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Ha
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.calculator import energies_of
from kalloy.workflows.gpaw_engine.states import ElectronicStep
from kalloy.workflows.gpaw_engine.workers import alone, everyones, is_writer, parts, world

Array = NDArray[np.float64]

NOISE = 0.05
"""Norm of what is added to each band that need not converge: what all bands before it lack by symmetry enters so."""


@dataclass(frozen=True)
class PointStep:
    """One iteration of the bands at one k-point."""

    point: int
    """Which one, from zero, in the order of the walk."""
    points: int
    """How many there are."""
    number: int
    """Iteration, from one."""
    error: float
    """eV² a valence electron: the squared norms of the residuals of the bands that must converge, summed."""
    goal: float
    """What the error has to fall below."""
    seconds: float
    """CPU time."""
    eigenvalues: tuple[Array, ...]
    """Of each spin channel, shape (bands,), Hartree."""
    converged: bool
    """Was it the last?"""


@dataclass(frozen=True)
class Effort:
    """How far the bands of one k-point are brought."""

    bands: int
    """How many must converge: the lowest."""
    tolerance: float
    """eV² a valence electron."""
    least: int
    """Iterations that are made at least."""
    most: int
    """Iterations that are allowed."""


class NotConvergedError(Exception):
    """The iterations that are allowed did not suffice at a k-point."""

    def __init__(self, point: Array) -> None:
        self.point = point
        super().__init__(f"the bands at k-point {point} did not converge")


class KPointWalk:
    """The bands at a list of k-points in the potential of a finished GPAW calculation.

    Parameters
    ----------
    parent : GPAW calculation whose density and potential are kept; this process has them whole.
    changes : GPAW parameters of the new one: k-points, bands, smearing, symmetry, convergence.
    keep_waves : hold all wave functions to the end, for optical matrix elements; else projections alone.
    """

    def __init__(self, parent: Any, *, txt: Path, effort: Effort, keep_waves: bool, **changes: Any) -> None:
        from gpaw.dft import Parameters
        from gpaw.new.logger import Logger

        old = parent.params.todict()
        for name in ("h", "parallel"):
            old.pop(name, None)
        self.parent, self.effort, self.keep_waves = parent, effort, keep_waves
        self.log = Logger(txt if is_writer() else None, alone())
        self.settings = {**old, **changes, "gpts": parent.dft.density.nt_sR.desc.size}
        self.params = Parameters(**self.settings)
        self.builder = self.params.dft_component_builder(parent.atoms, log=self.log)
        self.electrons = float(self.builder.nelectrons)
        self.waves = self._no_waves_yet()
        self.density, self.potential = self._kept()
        self.loop = self.builder.create_scf_loop()
        self._ways: list[list[PointStep]] = [[] for _ in self._by_point()]
        self._parts = parts(len(self._ways), world().size)

    def steps(self) -> Iterator[PointStep]:
        """Converge one k-point after another; each process tells the iterations of all, in the same order.

        Raises
        ------
        NotConvergedError : where the iterations that are allowed do not suffice at some k-point.
        """
        mine = self._own_steps()
        while True:
            outcomes = everyones(_next_or_failure(mine))
            for outcome in outcomes:
                if isinstance(outcome, _Failure):
                    raise NotConvergedError(outcome.point)
            steps = [outcome for outcome in outcomes if outcome is not None]
            if not steps:
                break
            for step in steps:
                self._ways[step.point].append(step)
                yield step
        self._share_states()

    def _own_steps(self) -> Iterator[PointStep]:
        """Converge this process's part of the list."""
        before: list[Any] | None = None
        points = self._by_point()
        for point in self._parts[world().rank]:
            here = points[point]
            self._start(here, before)
            yield from self._converge(point, here)
            if before is not None and not self.keep_waves:
                self._forget(before)
            before = here
        if before is not None and not self.keep_waves:
            self._forget(before)

    def _share_states(self) -> None:
        """Eigenvalues and projections of all k-points to all processes; wave functions too where they are held."""
        from gpaw.mpi import broadcast

        if world().size == 1:
            return
        points = self._by_point()
        for owner, part in enumerate(self._parts):
            for wfs in (wfs for point in part for wfs in points[point]):
                is_own = owner == world().rank
                found = (wfs.eig_n, wfs.P_ani.data, wfs.psit_nX.data) if is_own else None
                eigenvalues, projections, waves = broadcast(found, owner, comm=world())
                if is_own:
                    continue
                wfs.eig_n = eigenvalues
                wfs._P_ani = wfs.pt_aiX.empty(wfs.psit_nX.dims, wfs.psit_nX.comm)
                wfs._P_ani.data[:] = projections
                if waves is None:
                    wfs._pt_aiX = None
                else:
                    wfs.psit_nX = wfs.psit_nX.desc.from_data(waves)

    def rounds(self) -> Iterator[ElectronicStep]:
        """The way of all k-points together: in each round those with fewer iterations stand as they ended."""
        waves, dft = self.waves, self.parent.dft
        count = max(len(way) for way in self._ways)
        for number in range(count):
            stands = [way[min(number, len(way) - 1)] for way in self._ways]
            for here, stand in zip(self._by_point(), stands, strict=True):
                for wfs, eigenvalues in zip(here, stand.eigenvalues, strict=True):
                    wfs.eig_n[:] = eigenvalues
            band, entropy, extrapolation = waves.calculate_occs(self.loop.occ_calc, self.electrons)
            dft.energies.set(band=band, entropy=entropy, extrapolation=extrapolation)
            error = sum(s.error * here[0].weight for s, here in zip(stands, self._by_point(), strict=True))
            seconds = sum(way[number].seconds for way in self._ways if number < len(way))
            yield ElectronicStep(
                energies=energies_of(dft.energies),
                band_energy=band * Ha,
                residual=float(np.sqrt(error * self.electrons)),
                density_change=None,
                seconds=seconds,
            )

    def calculator(self) -> Any:
        """A GPAW calculation that holds the states."""
        from gpaw.new.ase_interface import ASECalculator
        from gpaw.new.calculation import DFT

        dft = DFT.from_components(
            self.parent.atoms,
            self.waves,
            self.density,
            self.potential,
            self.builder.setups,
            self.loop,
            self.builder.create_potential_calculator(),
            self.log,
            params=self.params,
            energies=self.parent.dft.energies,
            converge=False,
        )
        return ASECalculator(self.params, log=self.log, dft=dft, atoms=self.parent.atoms)

    # -- one k-point -------------------------------------------------------------

    def _converge(self, point: int, here: list[Any]) -> Iterator[PointStep]:
        solver = self.builder.create_eigensolver(self.loop.hamiltonian)
        dft, alone = self.parent.dft, self._alone(here)
        for number in range(1, self.effort.most + 1):
            start = time.process_time()
            _, error, _ = solver.iterate(
                alone, self.density, self.potential, self.loop.hamiltonian, dft.pot_calc, dft.energies
            )
            error *= Ha**2 / self.electrons / here[0].weight
            converged = bool(error < self.effort.tolerance and number >= self.effort.least)
            if converged:
                self._diagonalize(alone, solver.scalapack_parameters)
            seconds, eigenvalues = time.process_time() - start, tuple(np.array(wfs.eig_n) for wfs in here)
            yield PointStep(
                point,
                len(self._ways),
                number,
                float(error),
                self.effort.tolerance,
                seconds,
                eigenvalues,
                converged,
            )
            if converged:
                return
        raise NotConvergedError(here[0].kpt_c)

    def _diagonalize(self, alone: Any, layout: Any) -> None:
        """Rotate the bands to eigenstates among themselves, so that eigenvalues err by the squared residuals alone."""
        fixed = self.potential.vt_sR, self.potential.dedtaut_sR, alone, self.density.D_asii
        for wfs in alone:
            wfs.subspace_diagonalize(
                partial(self.loop.hamiltonian.apply, *fixed),
                self.potential.deltaH,
                psit2_nX=wfs.psit_nX.new(),
                scalapack_parameters=layout,
            )

    def _start(self, here: list[Any], before: list[Any] | None) -> None:
        """Give the bands at a k-point something to begin with."""
        if before is None:
            for wfs, source in zip(here, self._from_atomic_orbitals(here[0].kpt_c), strict=True):
                wfs.psit_nX = source.psit_nX
            return
        for wfs, source in zip(here, before, strict=True):
            wfs.psit_nX = carried(source.psit_nX, wfs.psit_nX.desc, self.builder.grid.size_c)
            add_noise(wfs.psit_nX, self.effort.bands - wfs.n1, seed=wfs.k)

    def _from_atomic_orbitals(self, point: Array) -> list[Any]:
        """Bands at one k-point from the atoms' orbitals, as GPAW begins."""
        from gpaw.dft import Parameters

        alone = {**self.settings, "kpts": np.array([point]), "symmetry": "off"}
        alone["mode"] = {"name": "pw", **self.params.mode.todict(), "force_complex_dtype": not self._is_real}
        builder = Parameters(**alone).dft_component_builder(self.parent.atoms, log=self.log)
        return list(builder.create_ibz_wave_functions(builder.create_basis_set(), self.potential))

    @property
    def _is_real(self) -> bool:
        return bool(np.issubdtype(self.builder.dtype, np.floating))

    def _forget(self, there: list[Any]) -> None:
        """Drop the wave functions of a k-point; projections and eigenvalues stay."""
        for wfs in there:
            assert wfs.P_ani is not None
            wfs.psit_nX = self._nothing(wfs.psit_nX.desc)
            wfs._pt_aiX = None

    def _alone(self, here: list[Any]) -> Any:
        """A zone of this one k-point."""
        from gpaw.new.brillouin import IBZ, BZPoints
        from gpaw.new.pwfd.ibzwfs import PWFDIBZWaveFunctions

        first, comms = np.zeros(1, dtype=int), self.builder.communicators
        return PWFDIBZWaveFunctions(
            IBZ(self.builder.ibz.symmetries, BZPoints([here[0].kpt_c]), first, first, np.ones(1)),
            ncomponents=self.builder.ncomponents,
            wfs_u=here,
            kpt_band_comm=comms["b"],
            comm=comms["K"],
        )

    # -- all k-points ------------------------------------------------------------

    def _by_point(self) -> list[list[Any]]:
        """The bands: a list a k-point, one for each spin."""
        found: dict[int, list[Any]] = {}
        for wfs in self.waves:
            found.setdefault(wfs.k, []).append(wfs)
        return list(found.values())

    def _no_waves_yet(self) -> Any:
        from gpaw.new.pwfd.ibzwfs import PWFDIBZWaveFunctions
        from gpaw.new.pwfd.wave_functions import PWFDWaveFunctions

        builder, comms = self.builder, self.builder.communicators

        def bands(spin: int, q: int, k: int, kpt_c: Array, weight: float) -> Any:
            return PWFDWaveFunctions(
                self._nothing(builder.wf_desc.new(kpt=kpt_c)),
                spin=spin,
                q=q,
                k=k,
                weight=weight,
                setups=builder.setups,
                relpos_ac=builder.relpos_ac,
                atomdist=builder.atomdist,
                domain_band_comm=comms["K"],
                ncomponents=builder.ncomponents,
            )

        waves = PWFDIBZWaveFunctions.create(
            ibz=builder.ibz,
            ncomponents=builder.ncomponents,
            create_wfs_func=bands,
            kpt_comm=comms["k"],
            kpt_band_comm=comms["D"],
            comm=comms["w"],
        )
        waves.fermi_levels = self.parent.dft.ibzwfs.fermi_levels
        return waves

    def _kept(self) -> tuple[Any, Any]:
        """Density and potential of the parent, for this process alone."""
        dft, builder = self.parent.dft, self.builder
        here, there = dft.ibzwfs.kpt_band_comm, builder.communicators["D"]
        grid, atoms = builder.grid, builder.atomdist
        return (
            dft.density.redist(grid, builder.interpolation_desc, atoms, here, there),
            dft.potential.redist(grid, builder.electrostatic_potential_desc, atoms, here, there),
        )

    def _nothing(self, plane_waves: Any) -> Any:
        """Bands without coefficients."""
        from gpaw.core.arrays import XArrayWithNoData

        builder = self.builder
        return XArrayWithNoData(
            comm=builder.communicators["b"], dims=(builder.nbands,), desc=plane_waves, xp=builder.xp
        )


@dataclass(frozen=True)
class _Failure:
    """The k-point at which a process ran out of iterations, for the others."""

    point: Array


def _next_or_failure(steps: Iterator[PointStep]) -> PointStep | _Failure | None:
    """The next iteration; None where all are done."""
    try:
        return next(steps, None)
    except NotConvergedError as error:
        return _Failure(error.point)


def carried(bands: Any, plane_waves: Any, grid: Any) -> Any:
    """The bands of one k-point as a start for another: the same periodic parts, in its plane waves.

    Parameters
    ----------
    bands : GPAW's array of plane-wave coefficients.
    plane_waves : the other k-point's.
    grid : shape (3,), points of a grid that holds both spheres.
    """
    shape = tuple(int(n) for n in grid)
    found = plane_waves.zeros(bands.dims, comm=bands.comm)
    box = np.zeros(shape, dtype=complex)
    old, new = bands.desc.indices(shape), plane_waves.indices(shape)
    for source, target in zip(bands.data, found.data, strict=True):
        box.flat[old] = source
        target[:] = box.flat[new]
    return found


def add_noise(bands: Any, first: int, seed: int) -> None:
    """Mix random plane waves of norm NOISE into the bands from ``first`` on, counted on this process."""
    noise = bands.new()
    noise.randomize(seed)
    high = slice(max(first, 0), None)
    norms = np.sqrt(noise.norm2())[high, None]
    bands.data[high] += NOISE * noise.data[high] / norms
