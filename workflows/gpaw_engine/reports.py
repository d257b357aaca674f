"""All files that a calculation writes, fed step by step."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ase import Atoms

from kalloy.workflows.gpaw_engine.dos import density_of_states
from kalloy.workflows.gpaw_engine.eigenval import write_doscar, write_eigenval, write_ibzkpt
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.optics import DielectricFunction
from kalloy.workflows.gpaw_engine.oszicar import OszicarWriter
from kalloy.workflows.gpaw_engine.outcar import OutcarWriter
from kalloy.workflows.gpaw_engine.parameters import approximations, parameters
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep, States
from kalloy.workflows.gpaw_engine.symmetry import Irreducible
from kalloy.workflows.gpaw_engine.vasprun_writer import VasprunWriter
from kalloy.workflows.gpaw_engine.xml import Array


class Reports:
    """vasprun.xml, OUTCAR, OSZICAR and standard output grow with each step; CONTCAR is renewed with each geometry."""

    def __init__(self, job: Job, electrons: int) -> None:
        self.job, self.electrons = job, electrons
        self.vasprun = VasprunWriter(job.folder / "vasprun.xml")
        self.outcar = OutcarWriter(job.folder / "OUTCAR", job, electrons)
        self.oszicar = OszicarWriter(job.folder / "OSZICAR", sys.stdout)
        self.geometries = 0

    def begin(
        self,
        points: Array,
        weights: Array,
        zone_points: int,
        bands: int,
        grid: tuple[int, int, int],
        dropped: int,
        irreducible: Irreducible | None,
    ) -> None:
        """What is known before the first step.

        Parameters
        ----------
        points, weights : the k-points reported, with weights of sum one.
        zone_points : k-points before reduction.
        bands, grid : NBANDS, and the points of the real-space grid.
        dropped : operations of the crystal that the mesh breaks.
        irreducible : the reduced mesh, where the k-points are one.
        """
        groups = parameters(self.job, bands, self.electrons, grid)
        self.vasprun.begin(self.job, points, weights, groups)
        self.outcar.begin(groups, points, weights, zone_points, approximations(dropped, self.job.settings))
        self.oszicar.say(f" gpaw: {len(points)} k-points, {bands} bands, {self.electrons} electrons")
        if irreducible is not None:
            write_ibzkpt(self.job.folder / "IBZKPT", irreducible)

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
        if step.converged:
            self.oszicar.point(step)
            self.outcar.point(step)

    def ionic(self, step: IonicStep) -> None:
        """One geometry."""
        self.geometries += 1
        if self.job.settings.optics:
            self.vasprun.electronic(step.electronic[-1])
        self.vasprun.ionic(step)
        self.outcar.ionic(step)
        self.oszicar.ionic(self.geometries, step, self.job.settings.spins)
        write_contcar(self.job.folder / "CONTCAR", self.job, step.atoms)

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
        dos = density_of_states(states, self.job.settings)
        write_eigenval(folder / "EIGENVAL", atoms, title, states)
        write_doscar(folder / "DOSCAR", atoms, title, states, dos)
        self.vasprun.spectra(states, dos)
        if optics is not None:
            self.vasprun.optics(optics)
            self.outcar.optics(optics)
        self.vasprun.close_step()
        self.outcar.states(states)
        self.outcar.end()
        self.oszicar.close()
        self.vasprun.end(atoms)

    def abort(self) -> None:
        """LABORT: say so, and leave the files as they are, truncated."""
        self.outcar.stopped("hard")
        self.oszicar.say(" hard stop encountered!  aborting job ...")


def write_contcar(path: Path, job: Job, atoms: Atoms) -> None:
    """The geometry in POSCAR's order, renewed at a stroke so that a kill leaves the old one or the new one."""
    lines = [job.comment or "unknown system", "   1.00000000000000"]
    lines += ["  " + "".join(f"{x:22.16f}" for x in row) for row in atoms.cell]
    lines.append("  " + "".join(f"{symbol:>5s}" for symbol, _ in job.groups))
    lines.append("  " + "".join(f"{count:5d}" for _, count in job.groups))
    lines.append("Direct")
    lines += ["".join(f"{x:20.16f}" for x in row) for row in atoms.get_scaled_positions(wrap=True)]
    new = path.with_name(path.name + ".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(new, path)
