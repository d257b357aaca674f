"""All files that a calculation writes, fed step by step."""

from __future__ import annotations

import sys

from ase import Atoms

from kalloy.workflows.gpaw_engine.dos import density_of_states
from kalloy.workflows.gpaw_engine.files.eigenval import write_doscar, write_eigenval, write_ibzkpt
from kalloy.workflows.gpaw_engine.files.header import Header, opening
from kalloy.workflows.gpaw_engine.files.oszicar import OszicarWriter
from kalloy.workflows.gpaw_engine.files.outcar import OutcarWriter
from kalloy.workflows.gpaw_engine.files.parameters import approximations, parameters
from kalloy.workflows.gpaw_engine.files.procar import write_procar
from kalloy.workflows.gpaw_engine.files.trajectory import XdatcarWriter, write_contcar
from kalloy.workflows.gpaw_engine.files.vasprun import VasprunWriter
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.optics import DielectricFunction
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep, States
from kalloy.workflows.gpaw_engine.workers import is_writer

__all__ = ["Header", "Reports", "reports_of"]


def reports_of(job: Job, electrons: int) -> Reports:
    """Reports that write on the first process; the others' are silent."""
    return (Reports if is_writer() else Silence)(job, electrons)


class Reports:
    """vasprun.xml, OUTCAR, OSZICAR, XDATCAR and standard output grow with each step; CONTCAR is renewed."""

    def __init__(self, job: Job, electrons: int) -> None:
        self.job, self.electrons = job, electrons
        self.vasprun = VasprunWriter(job.folder / "vasprun.xml")
        self.outcar = OutcarWriter(job.folder / "OUTCAR", job, electrons)
        self.oszicar = OszicarWriter(job.folder / "OSZICAR", sys.stdout)
        self.xdatcar = XdatcarWriter(job.folder / "XDATCAR", job)
        self.geometries = 0

    def begin(self, header: Header) -> None:
        """What is known before the first step."""
        groups = parameters(self.job, header.bands, self.electrons, header.grid)
        notes = approximations(header.dropped, self.job)
        self.vasprun.begin(self.job, header.points, header.weights, groups, notes)
        self.outcar.begin(groups, header, notes)
        for line in opening(self.job, header, self.electrons):
            self.oszicar.say(line)
        if header.irreducible is not None:
            write_ibzkpt(self.job.folder / "IBZKPT", header.irreducible)

    def electronic(self, number: int, step: ElectronicStep) -> None:
        """One electronic step; the first of a new geometry closes the one before.

        With LOPTICS all of them stand for the one exact diagonalisation that VASP does there, NELM = 1 or not:
        vasprun.xml, by which convergence is judged, has the last alone.
        """
        if number == 1 and self.geometries:
            self.vasprun.close_step()
        if not self.job.settings.optics:
            self.vasprun.electronic(step)
        self.outcar.electronic(number, step)
        self.oszicar.electronic(number, step)

    def point(self, step: PointStep) -> None:
        """One iteration at one k-point of a kept density: a line tells how far the run is."""
        self.oszicar.point(step)
        if step.converged:
            self.outcar.point(step)

    def ionic(self, step: IonicStep) -> None:
        """One geometry."""
        self.geometries += 1
        if self.job.settings.optics:
            self.vasprun.electronic(step.electronic[-1])
        self.vasprun.ionic(step)
        self.outcar.ionic(step)
        self.oszicar.ionic(self.geometries, step, self.job.settings.spins)
        self.xdatcar.ionic(step.atoms)
        # As in VASP a relaxation goes on from CONTCAR: it holds the next geometry until EDIFFG is met.
        write_contcar(self.job.folder / "CONTCAR", self.job, step.following or step.atoms)

    def finish(
        self,
        states: States,
        atoms: Atoms,
        relaxed: bool,
        stopped: str | None,
        optics: DielectricFunction | None = None,
    ) -> None:
        """Spectra of the last geometry, and the ends of all files.

        Parameters
        ----------
        relaxed : was EDIFFG met?
        stopped : ``soft`` where STOPCAR ended a relaxation before that.
        """
        folder, title = self.job.folder, self.job.settings.system
        if relaxed:
            self.outcar.reached_accuracy()
            self.oszicar.say(" reached required accuracy - stopping structural energy minimisation")
        if stopped:
            self.outcar.stopped(stopped)
            self.oszicar.say(f" {stopped} stop encountered!  aborting job ...")
        if self.job.settings.lorbit == 10:
            states = states.by_momentum()
        dos = density_of_states(states, self.job.settings)
        write_eigenval(folder / "EIGENVAL", atoms, title, states)
        write_doscar(folder / "DOSCAR", atoms, title, states, dos)
        write_procar(folder / "PROCAR", states)
        self.vasprun.spectra(states, dos)
        if optics is not None:
            self.vasprun.optics(optics)
            self.outcar.optics(optics)
        self.vasprun.close_step()
        self.outcar.states(states)
        self.outcar.end()
        self.oszicar.close()
        self.xdatcar.close()
        self.vasprun.end(atoms)

    def abort(self) -> None:
        """LABORT: say so, and leave the files as they are, truncated."""
        self.outcar.stopped("hard")
        self.oszicar.say(" hard stop encountered!  aborting job ...")


class Silence(Reports):
    """Reports of a process that writes nothing."""

    def __init__(self, job: Job, electrons: int) -> None:
        pass

    def begin(self, header: Header) -> None:
        """Nothing."""

    def electronic(self, number: int, step: ElectronicStep) -> None:
        """Nothing."""

    def point(self, step: PointStep) -> None:
        """Nothing."""

    def ionic(self, step: IonicStep) -> None:
        """Nothing."""

    def finish(self, *_: object, **__: object) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""
