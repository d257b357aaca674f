"""One calculation from its first step to its last file."""

from __future__ import annotations

import os
from dataclasses import replace

from ase import Atoms

from kalloy.workflows.gpaw_engine.calculator import Calculator
from kalloy.workflows.gpaw_engine.files.reports import Header, Reports, reports_of
from kalloy.workflows.gpaw_engine.fixed_density import FixedDensity
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.kpoints import Lines
from kalloy.workflows.gpaw_engine.memory import estimate, require
from kalloy.workflows.gpaw_engine.relaxation import is_relaxed, relax
from kalloy.workflows.gpaw_engine.restart import RESTART
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep
from kalloy.workflows.gpaw_engine.stopcar import Aborted, Stopcar
from kalloy.workflows.gpaw_engine.weightless import with_weightless
from kalloy.workflows.gpaw_engine.workers import on_this_machine, require_points, world

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
    assert not isinstance(job.kpoints, Lines)
    settings, stopcar = job.settings, Stopcar(job.folder)
    calculator = Calculator(settings, job.atoms, job.kpoints, job.folder / LOG, restarts=job.folder)
    header = _header(calculator)
    reports = reports_of(job, calculator.electrons)
    reports.begin(header)

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
    states = with_weightless(calculator, calculator.states(projected=settings.lorbit > 0), settings.lorbit > 0)
    if settings.keep_density or settings.keep_waves:
        calculator.save(job.folder / RESTART)
    reports.finish(states, steps[-1].atoms, relaxed, stopped)


def _header(calculator: Calculator) -> Header:
    """What is known before the first step.

    Raises
    ------
    VaspInputError : the calculation will not fit into this machine's memory.
    """
    sampling, counted = calculator.sampling, calculator.sampling.counted.points
    memory = estimate(
        calculator.atoms,
        calculator.settings.encut,
        calculator.grid,
        calculator.bands,
        len(counted),
        calculator.settings.spins,
        len(counted) == 1 and not counted.any(),
        calculator.parallel,
    )
    require(memory, on_this_machine(memory.processes, os.environ))
    return Header(
        points=sampling.points,
        weights=sampling.weights,
        zone_points=sampling.zone_points,
        bands=calculator.bands,
        grid=calculator.grid,
        dropped=sampling.dropped,
        operations=len(sampling.operations),
        irreducible=sampling.irreducible,
        start=calculator.start.words,
        groups=calculator.parallel,
        memory=memory,
    )


def _run_fixed_density(job: Job) -> None:
    calculator = FixedDensity(job, job.folder / LOG)
    require_points(calculator.distinct_points)
    header = _header_of_bands(calculator)
    reports = reports_of(job, calculator.electrons)
    reports.begin(header)
    watch = _Watcher(reports, Stopcar(job.folder))
    step = calculator.converge(watch.point)
    for number, electronic in enumerate(step.electronic, start=1):
        reports.electronic(number, electronic)
    reports.ionic(step)
    states = calculator.states(projected=job.settings.lorbit > 0)
    optics = calculator.dielectric_function(states) if job.settings.optics else None
    reports.finish(states, job.atoms, relaxed=False, stopped=None, optics=optics)


def _header_of_bands(calculator: FixedDensity) -> Header:
    """What is known before the first k-point of a kept density; only two k-points' wave functions are held at a time,
    but all of them where matrix elements are wanted. Each process has the density and all projections.

    Raises
    ------
    VaspInputError : the calculation will not fit into this machine's memory.
    """
    settings, count = calculator.settings, len(calculator.points)
    alone = estimate(
        calculator.job.atoms,
        settings.encut,
        calculator.grid,
        calculator.bands // (2 if settings.spinors else 1),
        count,
        settings.spins,
        gamma_only=count == 1 and not calculator.points.any(),
        held=None if settings.optics else min(count, 2),
    )
    memory = replace(alone, processes=world().size)
    require(memory, on_this_machine(memory.processes, os.environ))
    return Header(
        points=calculator.points,
        weights=calculator.weights,
        zone_points=calculator.zone_points,
        bands=calculator.bands,
        grid=calculator.grid,
        dropped=calculator.dropped,
        operations=len(calculator.operations),
        irreducible=calculator.irreducible,
        start=f"the density is that of {RESTART}, and is kept",
        groups={"kpt": memory.processes, "domain": 1},
        memory=memory,
    )


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
