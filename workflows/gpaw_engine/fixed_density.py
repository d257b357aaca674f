"""Eigenvalues in a density that is kept (ICHARG = 11): densities of states on other meshes, band structures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import EngineError, VaspInputError
from kalloy.workflows.gpaw_engine.calculator import (
    convergence,
    default_bands,
    gpaw_symmetry,
    read_states,
    smearing,
    valence_electrons,
)
from kalloy.workflows.gpaw_engine.filling import fermi_level, fraction_below
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import Effort, KPointWalk, NotConvergedError, PointStep
from kalloy.workflows.gpaw_engine.kpoints import AnyMesh, Lines, Mesh, PointList
from kalloy.workflows.gpaw_engine.optics import DielectricFunction, dielectric_function
from kalloy.workflows.gpaw_engine.restart import RESTART, mismatch
from kalloy.workflows.gpaw_engine.sampling import usable_operations
from kalloy.workflows.gpaw_engine.spin_orbit import spinor_states
from kalloy.workflows.gpaw_engine.states import IonicStep, States
from kalloy.workflows.gpaw_engine.symmetry import Irreducible, no_operations, on_grid, reduce_mesh
from kalloy.workflows.gpaw_engine.tetrahedra import Tetrahedra
from kalloy.workflows.gpaw_engine.workers import alone

Array = NDArray[np.float64]


VASP_NELM = 60


class FixedDensity:
    """The states of a crystal on any k-points, in the potential that an earlier calculation left behind."""

    def __init__(self, job: Job, log: Path) -> None:
        from gpaw import GPAW

        self.job, self.settings, self.log = job, job.settings, log
        self.parent = GPAW(job.folder / RESTART, txt=None, communicator=alone())
        _check_parent(self.parent, job)
        self.electrons = valence_electrons(job.atoms)
        self.bands = job.settings.nbands or default_bands(self.electrons, len(job.atoms), job.settings.spins)
        if job.settings.spinors:  # of which a scalar state makes two
            self.bands += self.bands % 2 if job.settings.nbands else self.bands
        n1, n2, n3 = self.parent.get_number_of_grid_points()
        self.grid = (int(n1), int(n2), int(n3))
        self.dropped = 0
        self._choose_points(job.kpoints)
        self._calc: Any = None

    def _choose_points(self, kpoints: AnyMesh | PointList | Lines) -> None:
        """Settle the list that is reported (``points``, ``weights``) and what of it is computed."""
        if isinstance(kpoints, AnyMesh):
            moments = self.settings.magmoms
            operations, self.dropped = usable_operations(
                self.settings, self.job.atoms, kpoints, None if moments is None else np.array(moments)
            )
            usable = on_grid(operations, self.grid)
            if self.settings.optics:  # GPAW's response knows no operations with a translation
                usable &= ~operations.translations.any(axis=1)
            self.operations = operations.subset(usable)
            irreducible = reduce_mesh(kpoints.points(), self.operations)
            self.irreducible: Irreducible | None = irreducible
            self.points, self.weights = irreducible.points, irreducible.weights
            self._computed, self._place = kpoints.points(), np.arange(len(self.points))
            self._kept, self._kept_weights = self.points, self.weights
            return
        self.irreducible = None
        self.operations = no_operations(len(self.job.atoms), time_reversal=False)
        self.points = kpoints.points() if isinstance(kpoints, Lines) else kpoints.points
        weights = np.ones(len(self.points)) if isinstance(kpoints, Lines) else kpoints.weights
        self.weights = weights / weights.sum()
        # Where two lines meet the same point is listed twice; it is computed once.
        self._kept, self._place = _distinct(self.points)
        self._computed = self._kept
        self._kept_weights = np.full(len(self._kept), 1 / len(self._kept))

    def converge(self, watch: Callable[[PointStep], None]) -> IonicStep:
        """Converge the eigenvalues k-point by k-point; energies are those of the kept density.

        Parameters
        ----------
        watch : called after each iteration at each k-point.

        Raises
        ------
        EngineError : where NELM steps do not suffice: a band structure half converged serves nobody.
        """
        start = time.process_time()
        tolerance = convergence(self.settings, self.electrons)["eigenstates"]
        walk = KPointWalk(
            self.parent,
            txt=self.log,
            effort=Effort(self._converged_bands, tolerance, self.settings.nelmin, self._steps_allowed),
            keep_waves=self.settings.optics,
            kpts=self._computed[::-1],
            nbands=self._scalar_bands + self._spare_bands,
            occupations=smearing(self.settings),
            symmetry=gpaw_symmetry(self.operations),
            convergence={"bands": self._converged_bands, "eigenstates": tolerance},
        )
        try:
            for step in walk.steps():
                watch(step)
        except NotConvergedError as error:
            raise EngineError(
                f"the bands at k-point {np.round(error.point, 6)} did not converge in {self._steps_allowed} steps",
                where=str(self.job.folder),
                mend="raise NELM, or NBANDS so that more bands lie above those that must converge",
            ) from error
        steps = tuple(walk.rounds())
        self._calc = walk.calculator()
        return IonicStep(
            atoms=self.job.atoms.copy(),
            electronic=steps,
            converged=True,
            energies=steps[-1].energies,
            forces=None,
            stress=None,
            fermi_level=self._calc.get_fermi_level(),
            moment=0.0,
            seconds=time.process_time() - start,
        )

    @property
    def zone_points(self) -> int:
        """k-points before reduction."""
        return len(self.points) if self.irreducible is None else len(self.irreducible.members)

    @property
    def distinct_points(self) -> int:
        """k-points that are computed: a list may name one twice."""
        return len(self._kept)

    @property
    def _steps_allowed(self) -> int:
        """NELM; where VASP would diagonalise exactly in one step (LOPTICS) iteration takes VASP's default at least."""
        return max(self.settings.nelm, VASP_NELM) if self.settings.optics else self.settings.nelm

    @property
    def _scalar_bands(self) -> int:
        return self.bands // 2 if self.settings.spinors else self.bands

    @property
    def _spare_bands(self) -> int:
        """Bands beyond those asked for, which are not reported: the highest that are computed converge slowly."""
        return max(self._scalar_bands // (10 if self._every_band_counts else 16), 4)

    @property
    def _every_band_counts(self) -> bool:
        return self.settings.optics or self.settings.spinors

    @property
    def _converged_bands(self) -> int:
        """Bands whose residuals count: full ones and the lower half of the empty ones; the rest follow."""
        if self._every_band_counts:
            return self._scalar_bands
        full = self.electrons // 2
        return full + max((self.bands - full) // 2, 1)

    def states(self, projected: bool) -> States:
        """Eigenvalues and occupations on the points of KPOINTS, in its order.

        Lists and lines are filled by the weights that KPOINTS gives them, as in VASP; lines have equal ones.
        """
        kept = self._kept_states(projected)
        eigenvalues, level = kept.eigenvalues[:, self._place], kept.fermi_level
        occupations = kept.occupations[:, self._place]
        tetrahedra = None
        if self.settings.ismear == -5:
            assert self.irreducible is not None
            assert isinstance(self.job.kpoints, Mesh)
            reciprocal = np.array(self.job.atoms.cell.reciprocal())
            tetrahedra = Tetrahedra(self.job.kpoints.divisions, self.irreducible.members, reciprocal)
            level = tetrahedra.fermi_level(eigenvalues, self.electrons, kept.full)
            occupations = tetrahedra.occupations(eigenvalues, level, self.weights)
        elif self.irreducible is None or kept.spinors:
            level = fermi_level(eigenvalues, self.weights, self.electrons, self.settings, kept.full)
            occupations = fraction_below(eigenvalues - level, self.settings)
        return States(
            points=self.points,
            weights=self.weights,
            eigenvalues=eigenvalues,
            occupations=occupations,
            fermi_level=level,
            projections=None if kept.projections is None else kept.projections[:, self._place],
            averaged=None if kept.averaged is None else kept.averaged[:, self._place],
            spinors=kept.spinors,
            tetrahedra=tetrahedra,
        )

    def _kept_states(self, projected: bool) -> States:
        """The states as they were computed, each k-point once: spin-orbit coupling added, spare bands left out."""
        scalar = read_states(
            self._calc,
            self._kept,
            self._kept_weights,
            self.operations if projected and not self.settings.spinors else None,
        )
        if not self.settings.spinors:
            return scalar.lowest(self.bands)
        members = self.irreducible.members if self.irreducible is not None else None
        eigenvalues, parts, averaged = spinor_states(self._calc, self._scalar_bands, self._kept, members, projected)
        return replace(
            scalar,
            eigenvalues=eigenvalues,
            occupations=np.zeros_like(eigenvalues),
            projections=parts,
            averaged=averaged,
            spinors=True,
        ).lowest(self.bands)

    def dielectric_function(self, states: States) -> DielectricFunction:
        """ε of the states that were asked for."""
        return dielectric_function(self._calc, states, self.settings, self.bands)


def _check_parent(parent: Any, job: Job) -> None:
    """Refuse a restart file of another crystal, cut-off or number of spins."""
    why = mismatch(parent, job.settings, job.atoms)
    if why:
        mend = "take POSCAR, ENCUT and ISPIN of the calculation that left it, or copy gpaw.gpw from another one"
        raise VaspInputError(f"{RESTART} {why}", where="ICHARG = 11", mend=mend)


def _distinct(points: Array) -> tuple[Array, NDArray[np.int64]]:
    """The different points in their order, and for each point its place among them."""
    places: dict[tuple[float, ...], int] = {}
    index = [places.setdefault(tuple(np.round(p, 10)), len(places)) for p in points]
    firsts = [index.index(i) for i in range(len(places))]
    return points[firsts], np.array(index)
