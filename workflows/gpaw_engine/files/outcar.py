"""OUTCAR: the lines that people and programs look for, in VASP's words, each with its true value."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.workflows.gpaw_engine.files.header import Header
from kalloy.workflows.gpaw_engine.files.vasprun import PRESSURE, tidy
from kalloy.workflows.gpaw_engine.files.xml import Array
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.memory import resident
from kalloy.workflows.gpaw_engine.optics import DielectricFunction
from kalloy.workflows.gpaw_engine.setups import dataset
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep, States

RULE = " " + "-" * 104 + "\n"


class OutcarWriter:
    """One OUTCAR, written as the calculation goes."""

    def __init__(self, path: Path, job: Job, electrons: int) -> None:
        self.file = path.open("w")
        self.job, self.electrons = job, electrons
        self._start = time.time()
        self._number = 1

    def begin(self, parameters: Mapping[str, Mapping[str, Any]], header: Header, notes: list[str]) -> None:
        """The header: data, settings, what is idle, what is approximated, memory, k-points."""
        import gpaw

        write = self.file.write
        write(
            f" gpaw {gpaw.__version__} run by kalloy-gpaw, which speaks VASP's files\n\n"
            f" running on {header.processes:4d} total cores\n"
            f" distrk:  each k-point on {header.groups['domain']:4d} cores, {header.groups['kpt']:4d} groups\n\n"
        )
        datasets = [dataset(symbol) for symbol, _ in self.job.groups]
        # Twice, as in VASP: ASE takes the elements from the first half of these lines.
        self.file.writelines(f" POTCAR:    {data.title}\n" for data in datasets)
        write(RULE)
        for data in datasets:
            write(f" POTCAR:    {data.title}\n   TITEL  = {data.title}\n   ZVAL   = {data.valence:8.3f}\n")
        write(RULE + "\n Dimension of arrays:\n")
        flat = {tag: value for group in parameters.values() for tag, value in group.items()}
        write(
            f"   k-points           NKPTS = {len(header.points):6d}"
            f"   k-points in BZ     NKDIM = {header.zone_points:6d}"
            f"   number of bands    NBANDS= {flat['NBANDS']:6d}\n"
            f"   number of dos      NEDOS = {flat['NEDOS']:6d}   number of ions     NIONS = {len(self.job.atoms):6d}\n"
            f"   total plane-waves  NPLWV = {flat['NGX'] * flat['NGY'] * flat['NGZ']:6d}\n"
        )
        write(
            f"   ions per type =            {' '.join(f'{n:4d}' for _, n in self.job.groups)}\n\n Settings in force:\n"
        )
        for tag, value in flat.items():
            write(f"   {tag:<6s} = {_shown(value)}\n")
        self._list("Tags of INCAR that change nothing here", [f"{t}: {why}" for t, why in self.job.idle.items()])
        self._list("Otherwise than in VASP", notes)
        self._list("Symmetry", [f"{header.operations} operations of crystal and k-points are used", header.start])
        if header.memory is not None:
            self._list("Memory, estimated", header.memory.lines())
        write("\n k-points in reciprocal lattice and weights:\n")
        self.file.writelines(
            f" {p[0]:12.8f}{p[1]:12.8f}{p[2]:12.8f}{w:14.8f}\n"
            for p, w in zip(header.points, header.weights, strict=True)
        )
        write("\n")
        self.file.flush()

    def electronic(self, number: int, step: ElectronicStep) -> None:
        """One electronic step."""
        head = f"--------------------------------------- Iteration {self._number:6d}({number:4d})  "
        self.file.write(
            f"\n{head:-<104s}\n\n      LOOP:  cpu time {step.seconds:9.4f}: real time {step.elapsed:9.4f}\n"
        )
        self.file.write(f"  free energy    TOTEN  = {step.energies.free:18.8f} eV\n")
        self.file.flush()

    def point(self, step: PointStep) -> None:
        """A k-point of a kept density has converged."""
        self.file.write(f" k-point {step.point + 1} of {step.points} converged in {step.number} iterations\n")
        self.file.flush()

    def ionic(self, step: IonicStep) -> None:
        """What one geometry gave."""
        write = self.file.write
        reached = "EDIFF is reached" if step.converged else "NELM is reached, electrons are not converged"
        write(f"\n------------------------ aborting loop because {reached} ".ljust(105, "-") + "\n\n")
        if not self.job.settings.fixed_density:  # whose level is known when its states are filled, and stands there
            self._fermi_level(step.fermi_level)
        magnetization = f"{step.moment:14.7f}" if self.job.settings.spins == 2 else ""
        write(f" number of electron {self.electrons:14.7f} magnetization {magnetization}\n\n")
        if step.stress is not None:
            self._stress(step, step.stress)
        self._cell(step)
        if step.forces is not None:
            self._forces(step, step.forces)
        self._energy(step)
        write(f"\n     LOOP+:  cpu time {step.seconds:9.4f}: real time {step.wall_seconds:9.4f}\n")
        self._number += 1
        self.file.flush()

    def reached_accuracy(self) -> None:
        """EDIFFG is met."""
        self.file.write("\n reached required accuracy - stopping structural energy minimisation\n")

    def stopped(self, kind: str) -> None:
        """STOPCAR was found: ``soft`` after an ionic step, ``hard`` after an electronic one."""
        self.file.write(f"\n {kind} stop encountered!  aborting job ...\n")
        self.file.flush()

    def states(self, states: States) -> None:
        """Eigenvalues and occupations."""
        write = self.file.write
        write("\n")
        self._fermi_level(states.fermi_level)
        for s in range(states.spins):
            if states.spins == 2:
                write(f" spin component {s + 1}\n\n")
            for k, point in enumerate(states.points):
                write(f" k-point {k + 1:5d} : {point[0]:10.4f}{point[1]:10.4f}{point[2]:10.4f}\n")
                write("  band No.  band energies     occupation \n")
                rows = zip(states.eigenvalues[s, k], states.full * tidy(states.occupations[s, k]), strict=True)
                self.file.writelines(f" {n:6d} {e:12.4f} {f:12.5f}\n" for n, (e, f) in enumerate(rows, start=1))
                write("\n")
        charges = charges_in_spheres(states)
        if charges is not None:
            self._table("total charge", charges.sum(axis=0) if states.spins == 2 else charges[0])
            if states.spins == 2:
                self._table("magnetization (x)", charges[0] - charges[1])

    def optics(self, optics: DielectricFunction) -> None:
        """The dielectric function, both parts."""
        for name, part in (("IMAGINARY", optics.epsilon.imag), ("REAL", optics.epsilon.real)):
            self.file.write(
                f"  frequency dependent {name:>10s} DIELECTRIC FUNCTION (independent particle, no local field effects) "
                "density-density\n     E(ev)      X         Y         Z        XY        YZ        ZX\n"
                f"{'-' * 98}\n"
            )
            for energy, row in zip(optics.energies, part, strict=True):
                self.file.write(f"{energy:12.6f}" + "".join(f"{x:12.6f}" for x in row) + "\n")
            self.file.write("\n\n")

    def end(self) -> None:
        """Timing; its presence tells readers that the run came to its end."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.file.write(
            "\n\n General timing and accounting informations for this job:\n"
            " ========================================================\n\n"
            f"                  Total CPU time used (sec): {used.ru_utime + used.ru_stime:12.3f}\n"
            f"                            User time (sec): {used.ru_utime:12.3f}\n"
            f"                          System time (sec): {used.ru_stime:12.3f}\n"
            f"                         Elapsed time (sec): {time.time() - self._start:12.3f}\n\n"
            f"                   Maximum memory used (kb): {resident() / 1024:12.0f}.\n"
        )
        self.file.close()

    # -- parts -----------------------------------------------------------------

    def _list(self, title: str, lines: list[str]) -> None:
        if lines:
            self.file.write(f"\n {title}:\n" + "".join(f"   {line}\n" for line in lines))

    def _fermi_level(self, level: float) -> None:
        self.file.write(f" E-fermi : {level:8.4f}     XC(G=0):   0.0000     alpha+bet :  0.0000\n\n")

    def _table(self, title: str, charges: Array) -> None:
        """Electrons in the spheres by angular momentum, an ion a line."""
        rows = np.vstack([charges, charges.sum(axis=0)])
        self.file.write(f"\n {title}\n\n# of ion       s       p       d       tot\n{'-' * 42}\n")
        for a, row in enumerate(rows):
            name = f"{'-' * 50}\ntot  " if a == len(charges) else f"{a + 1:5d}"
            self.file.write(f"{name}     " + "".join(f"{x:8.3f}" for x in (*row, row.sum())) + "\n")
        self.file.write("\n")

    def _stress(self, step: IonicStep, stress: Array) -> None:
        kilobar = stress * PRESSURE
        energy = -stress * step.atoms.get_volume()
        self.file.write("  FORCE on cell =-STRESS in cart. coord.  units (eV):\n")
        self.file.write("  Direction    XX          YY          ZZ          XY          YZ          ZX\n")
        for name, tensor in (("Total ", energy), ("in kB ", kilobar)):
            parts = (tensor[0, 0], tensor[1, 1], tensor[2, 2], tensor[0, 1], tensor[1, 2], tensor[2, 0])
            self.file.write(f"  {name}" + "".join(f"{x:12.5f}" for x in parts) + "\n")
        pressure = np.trace(kilobar) / 3
        self.file.write(f"  external pressure = {pressure:11.2f} kB  Pullay stress = {0:8.2f} kB\n\n")

    def _cell(self, step: IonicStep) -> None:
        cell = step.atoms.cell
        self.file.write(f" VOLUME and BASIS-vectors are now :\n  energy-cutoff  : {self.job.settings.encut:11.2f}\n")
        self.file.write(f"  volume of cell : {step.atoms.get_volume():11.2f}\n")
        self.file.write("      direct lattice vectors                 reciprocal lattice vectors\n")
        for row in np.hstack([np.array(cell), np.array(cell.reciprocal())]):
            self.file.write(" ".join(f"{x:12.9f}" for x in row) + "\n")
        self.file.write("\n")

    def _forces(self, step: IonicStep, forces: Array) -> None:
        line = " " + "-" * 83 + "\n"
        self.file.write(" POSITION                                       TOTAL-FORCE (eV/Angst)\n" + line)
        for row in np.hstack([step.atoms.get_positions(), forces]):
            self.file.write(
                "".join(f"{x:13.5f}" for x in row[:3]) + "   " + "".join(f"{x:14.6f}" for x in row[3:]) + "\n"
            )
        drift = forces.sum(axis=0)
        self.file.write(line + "    total drift:                      " + "".join(f"{x:14.6f}" for x in drift) + "\n\n")

    def _energy(self, step: IonicStep) -> None:
        e = step.energies
        self.file.write(
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n"
            "  ---------------------------------------------------\n"
            f"  free  energy   TOTEN  = {e.free:18.8f} eV\n\n"
            f"  energy  without entropy= {e.without_entropy:18.8f}  energy(sigma->0) = {e.extrapolated:18.8f}\n"
        )


def charges_in_spheres(states: States) -> Array | None:
    """Shape (spins, atoms, 3): electrons inside each sphere in s, p and d states; None without projections."""
    parts = states.averaged if states.averaged is not None else states.projections
    if parts is None:
        return None
    filled = states.full * np.einsum("k,skn->skn", states.weights, states.occupations)
    orbitals = np.einsum("skn,sknal->sal", filled, parts[: states.spins])
    by_momentum = np.split(orbitals, [1, 4], axis=2) if parts.shape[-1] == 9 else np.split(orbitals, 3, axis=2)
    return np.stack([part.sum(axis=2) for part in by_momentum], axis=2)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "     T" if value else "     F"
    if isinstance(value, tuple):
        return " ".join(f"{x:8.4f}" for x in value)
    return f"{value:12.6g}" if isinstance(value, float) else f"{value:>6}"
