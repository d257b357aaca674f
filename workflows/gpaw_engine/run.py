"""One calculation from its first step to its last file."""

from __future__ import annotations

from ase import Atoms

from kalloy.workflows.gpaw_engine.calculator import RESTART, Calculator
from kalloy.workflows.gpaw_engine.fixed_density import FixedDensity
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.kpoints import AnyMesh
from kalloy.workflows.gpaw_engine.relaxation import is_relaxed, relax
from kalloy.workflows.gpaw_engine.reports import Reports
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep
from kalloy.workflows.gpaw_engine.stopcar import Aborted, Stopcar

LOG = "gpaw.txt"
"""GPAW's own log."""


def run(job: Job) -> None:
    """Do the calculation and write its files.

    Raises
    ------
    EngineError : where it cannot be brought to its end; vasprun.xml is left without its closing tag then.
    """
    try:
        if job.settings.fixed_density:
            _run_fixed_density(job)
        else:
            _run_self_consistent(job)
    except Aborted:
        return


def _run_self_consistent(job: Job) -> None:
    assert isinstance(job.kpoints, AnyMesh)
    settings, stopcar = job.settings, Stopcar(job.folder)
    calculator = Calculator(settings, job.atoms, job.kpoints, job.folder / LOG)
    reports = Reports(job, calculator.electrons)
    mesh = calculator.irreducible
    zone_points = len(mesh.members)
    reports.begin(mesh.points, mesh.weights, zone_points, calculator.bands, calculator.grid, calculator.dropped, mesh)

    def converge(atoms: Atoms) -> IonicStep:
        return calculator.converge(atoms, _Watcher(reports, stopcar))

    steps: list[IonicStep] = []
    if settings.relaxes:
        way = relax(job.atoms, settings, lambda: calculator.operations, converge, lambda: stopcar.wants_stop)
    else:
        way = iter([converge(job.atoms)])
    for step in way:
        steps.append(step)
        reports.ionic(step)
    relaxed = settings.relaxes and is_relaxed(steps, settings)
    stopped = "soft" if settings.relaxes and not relaxed and len(steps) < settings.steps else None
    states = calculator.states(projected=settings.lorbit > 0)
    if settings.keep_density or settings.keep_waves:
        calculator.save(job.folder / RESTART)
    reports.finish(states, steps[-1].atoms, relaxed, stopped)


def _run_fixed_density(job: Job) -> None:
    calculator = FixedDensity(job, job.folder / LOG)
    reports = Reports(job, calculator.electrons)
    reports.begin(
        calculator.points,
        calculator.weights,
        calculator.zone_points,
        calculator.bands,
        calculator.grid,
        calculator.dropped,
        calculator.irreducible,
    )
    watch = _Watcher(reports, Stopcar(job.folder))
    step = calculator.converge(watch.point)
    for number, electronic in enumerate(step.electronic, start=1):
        reports.electronic(number, electronic)
    reports.ionic(step)
    states = calculator.states(projected=job.settings.lorbit > 0)
    optics = calculator.dielectric_function(states) if job.settings.optics else None
    reports.finish(states, job.atoms, relaxed=False, stopped=None, optics=optics)


class _Watcher:
    """Reports each step of the electrons, and ends the calculation where LABORT asks for it."""

    def __init__(self, reports: Reports, stopcar: Stopcar) -> None:
        self.reports, self.stopcar = reports, stopcar

    def __call__(self, number: int, step: ElectronicStep) -> None:
        self.reports.electronic(number, step)
        self._obey()

    def point(self, step: PointStep) -> None:
        """One iteration at one k-point of a kept density."""
        self.reports.point(step)
        self._obey()

    def _obey(self) -> None:
        if self.stopcar.wants_abort:
            self.reports.abort()
            raise Aborted
