"""vasprun.xml, written as the calculation goes: what a kill leaves is a truncated file, never a complete one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.units import GPa

from kalloy.workflows.gpaw_engine.dos import DensityOfStates
from kalloy.workflows.gpaw_engine.files.xml import Array, item, numbers, structure, varray
from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoints import GeneratedMesh, Lines, Mesh
from kalloy.workflows.gpaw_engine.optics import DielectricFunction
from kalloy.workflows.gpaw_engine.projections import ORBITALS
from kalloy.workflows.gpaw_engine.setups import dataset
from kalloy.workflows.gpaw_engine.states import ElectronicStep, Energies, IonicStep, States

PRESSURE = -10 / GPa
"""kB per eV/Å3, with VASP's sign: a compressed cell has positive stress."""


class VasprunWriter:
    """One vasprun.xml; every method writes what has become known and flushes."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="iso-8859-1", errors="xmlcharrefreplace")
        self._inside = False

    def begin(
        self,
        job: Job,
        points: Array,
        weights: Array,
        parameters: Mapping[str, Mapping[str, Any]],
        notes: Sequence[str] = (),
    ) -> None:
        """Everything that is known before the first step.

        Parameters
        ----------
        notes : what is done otherwise than in VASP.
        """
        self.file.write('<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n')
        self._generator(notes)
        self._incar(job)
        self._kpoints(job, points, weights)
        self._parameters(parameters)
        self._atoms(job)
        structure(self.file, " ", job.atoms, "initialpos")
        self.file.flush()

    def electronic(self, step: ElectronicStep) -> None:
        """One electronic step; the first after an ionic step opens the next ``<calculation>``."""
        if not self._inside:
            self.file.write(" <calculation>\n")
            self._inside = True
        self.file.write(f'  <scstep>\n   <time name="total">{step.seconds:8.2f}{step.elapsed:8.2f}</time>\n')
        self.file.write("   <energy>\n")
        self._energies("    ", step.energies)
        self.file.write("   </energy>\n  </scstep>\n")
        self.file.flush()

    def ionic(self, step: IonicStep) -> None:
        """What follows from self-consistency at one geometry; ``<calculation>`` stays open for spectra."""
        structure(self.file, "  ", step.atoms)
        if step.forces is not None:
            varray(self.file, "  ", "forces", step.forces)
        if step.stress is not None:
            varray(self.file, "  ", "stress", step.stress * PRESSURE)
        self.file.write("  <energy>\n")
        self._energies("   ", step.energies)
        self.file.write("  </energy>\n")
        self.file.write(f'  <time name="totalsc">{step.seconds:8.2f}{step.wall_seconds:8.2f}</time>\n')
        self.file.flush()

    def close_step(self) -> None:
        """End ``<calculation>``."""
        self.file.write(" </calculation>\n")
        self._inside = False
        self.file.flush()

    def spectra(self, states: States, dos: DensityOfStates) -> None:
        """Eigenvalues, densities of states and projections of the last geometry."""
        self._eigenvalues("  ", states)
        self._dos(states, dos)
        if states.projections is not None:
            self._projected(states, states.projections)
        self.file.flush()

    def optics(self, optics: DielectricFunction) -> None:
        """The dielectric function inside ``<calculation>``."""
        self.file.write('  <dielectricfunction comment="density-density">\n')
        for name, part in (("imag", optics.epsilon.imag), ("real", optics.epsilon.real)):
            self.file.write(f'   <{name}>\n    <array>\n     <dimension dim="1">gridpoints</dimension>\n')
            self.file.writelines(
                f"     <field>{field}</field>\n" for field in ("energy", "xx", "yy", "zz", "xy", "yz", "zx")
            )
            self.file.write("     <set>\n")
            for energy, row in zip(optics.energies, part, strict=True):
                self.file.write(f"      <r>{energy:10.4f} {' '.join(f'{x:10.4f}' for x in row)} </r>\n")
            self.file.write(f"     </set>\n    </array>\n   </{name}>\n")
        self.file.write("  </dielectricfunction>\n")
        self.file.flush()

    def end(self, atoms: Atoms) -> None:
        """The final structure and the closing tag."""
        structure(self.file, " ", atoms, "finalpos")
        self.file.write("</modeling>\n")
        self.file.close()

    # -- parts -----------------------------------------------------------------

    def _generator(self, notes: Sequence[str]) -> None:
        import gpaw

        now = datetime.now()
        self.file.write(" <generator>\n")
        for name, value in (
            ("program", "gpaw"),
            ("version", gpaw.__version__),
            ("subversion", "PAW, PBE, plane waves"),
            ("platform", sys.platform),
            ("date", f"{now:%Y %m %d}"),
            ("time", f"{now:%H:%M:%S}"),
        ):
            item(self.file, "  ", name, value)
        for number, note in enumerate(notes, start=1):
            item(self.file, "  ", f"difference{number}", note)
        self.file.write(" </generator>\n")

    def _incar(self, job: Job) -> None:
        self.file.write(" <incar>\n")
        for tag, value in job.incar.items():
            item(self.file, "  ", tag, value)
        self.file.write(" </incar>\n")

    def _kpoints(self, job: Job, points: Array, weights: Array) -> None:
        kpoints, file = job.kpoints, self.file
        file.write(" <kpoints>\n")
        if isinstance(kpoints, Mesh):
            file.write(f'  <generation param="{"Gamma" if kpoints.gamma_centred else "Monkhorst-Pack"}">\n')
            item(file, "   ", "divisions", kpoints.divisions)
            item(file, "   ", "usershift", kpoints.shift)
            for i, n in enumerate(kpoints.divisions):
                item(file, "   ", f"genvec{i + 1}", tuple((np.eye(3)[i] / n).tolist()))
            item(file, "   ", "shift", tuple((kpoints.offset - np.array(kpoints.shift)).tolist()))
            file.write("  </generation>\n")
        elif isinstance(kpoints, GeneratedMesh):
            file.write('  <generation param="Reciprocal">\n')
            for i, vector in enumerate(kpoints.vectors.tolist()):
                item(file, "   ", f"genvec{i + 1}", tuple(vector))
            item(file, "   ", "shift", kpoints.shift)
            file.write("  </generation>\n")
        elif isinstance(kpoints, Lines):
            file.write('  <generation param="listgenerated">\n')
            file.write(f'   <i name="divisions" type="int">{kpoints.per_segment:8d} </i>\n')
            file.writelines(f"   <v>{numbers(end)} </v>\n" for end in kpoints.ends)
            file.write("  </generation>\n")
        varray(file, "  ", "kpointlist", points)
        varray(file, "  ", "weights", weights[:, None])
        file.write(" </kpoints>\n")

    def _parameters(self, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        self.file.write(" <parameters>\n")
        for group, tags in parameters.items():
            self.file.write(f'  <separator name="{group}" >\n')
            for tag, value in tags.items():
                item(self.file, "   ", tag, value)
            self.file.write("  </separator>\n")
        self.file.write(" </parameters>\n")

    def _atoms(self, job: Job) -> None:
        file, groups = self.file, job.groups
        file.write(f" <atominfo>\n  <atoms>{len(job.atoms):8d} </atoms>\n  <types>{len(groups):8d} </types>\n")
        file.write('  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n')
        file.write('   <field type="string">element</field>\n   <field type="int">atomtype</field>\n   <set>\n')
        for kind, (symbol, count) in enumerate(groups, start=1):
            file.write(f"    <rc><c>{symbol:2s}</c><c>{kind:4d}</c></rc>\n" * count)
        file.write('   </set>\n  </array>\n  <array name="atomtypes" >\n   <dimension dim="1">type</dimension>\n')
        file.write('   <field type="int">atomspertype</field>\n   <field type="string">element</field>\n')
        file.write("   <field>mass</field>\n   <field>valence</field>\n")
        file.write('   <field type="string">pseudopotential</field>\n   <set>\n')
        for symbol, count in groups:
            data, mass = dataset(symbol), atomic_masses[atomic_numbers[symbol]]
            file.write(f"    <rc><c>{count:4d}</c><c>{symbol:2s}</c><c>{mass:16.8f}</c>")
            file.write(f"<c>{data.valence:16.8f}</c><c>{data.title}</c></rc>\n")
        file.write("   </set>\n  </array>\n </atominfo>\n")

    def _energies(self, indent: str, energies: Energies) -> None:
        for name, value in (
            ("e_fr_energy", energies.free),
            ("e_wo_entrp", energies.without_entropy),
            ("e_0_energy", energies.extrapolated),
        ):
            self.file.write(f'{indent}<i name="{name}">{value:16.8f} </i>\n')

    def _eigenvalues(self, indent: str, states: States) -> None:
        file = self.file
        file.write(f"{indent}<eigenvalues>\n{indent} <array>\n")
        for dim, name in enumerate(("band", "kpoint", "spin"), start=1):
            file.write(f'{indent}  <dimension dim="{dim}">{name}</dimension>\n')
        file.write(f"{indent}  <field>eigene</field>\n{indent}  <field>occ</field>\n{indent}  <set>\n")
        for s in range(states.spins):
            file.write(f'{indent}   <set comment="spin {s + 1}">\n')
            for k in range(len(states.points)):
                file.write(f'{indent}    <set comment="kpoint {k + 1}">\n')
                rows = zip(states.eigenvalues[s, k], tidy(states.occupations[s, k]), strict=True)
                file.writelines(f"{indent}     <r>{e:12.6f} {f:12.8f} </r>\n" for e, f in rows)
                file.write(f"{indent}    </set>\n")
            file.write(f"{indent}   </set>\n")
        file.write(f"{indent}  </set>\n{indent} </array>\n{indent}</eigenvalues>\n")

    def _dos(self, states: States, dos: DensityOfStates) -> None:
        file = self.file
        file.write(f'  <dos>\n   <i name="efermi">{states.fermi_level:16.8f} </i>\n   <total>\n    <array>\n')
        file.write('     <dimension dim="1">gridpoints</dimension>\n     <dimension dim="2">spin</dimension>\n')
        file.write(
            "     <field>energy</field>\n     <field>total</field>\n     <field>integrated</field>\n     <set>\n"
        )
        # As in VASP, spinors have four: the states and moments along x, y, z, of which there are none.
        moments = ((0, 3 if states.spinors else 0), (0, 0))
        totals, sums = (np.pad(x, moments) for x in (dos.total, dos.integrated))
        for s, (total, integrated) in enumerate(zip(totals, sums, strict=True)):
            file.write(f'      <set comment="spin {s + 1}">\n')
            rows = zip(dos.energies, total, integrated, strict=True)
            file.writelines(f"       <r>{e:10.4f} {d:12.6f} {n:12.6f} </r>\n" for e, d, n in rows)
            file.write("      </set>\n")
        file.write("     </set>\n    </array>\n   </total>\n")
        if dos.projected is not None:
            self._partial(dos, dos.projected)
        file.write("  </dos>\n")

    def _partial(self, dos: DensityOfStates, projected: Array) -> None:
        file = self.file
        file.write('   <partial>\n    <array>\n     <dimension dim="1">gridpoints</dimension>\n')
        file.write('     <dimension dim="2">spin</dimension>\n     <dimension dim="3">ion</dimension>\n')
        file.write("     <field>energy</field>\n")
        file.writelines(f"     <field>{name:>5s}</field>\n" for name in orbital_names(projected))
        file.write("     <set>\n")
        for a, ion in enumerate(projected):
            file.write(f'      <set comment="ion {a + 1}">\n')
            for s, table in enumerate(ion):
                file.write(f'       <set comment="spin {s + 1}">\n')
                for energy, row in zip(dos.energies, table, strict=True):
                    file.write(f"        <r>{energy:10.4f} {' '.join(f'{x:9.5f}' for x in row)} </r>\n")
                file.write("       </set>\n")
            file.write("      </set>\n")
        file.write("     </set>\n    </array>\n   </partial>\n")

    def _projected(self, states: States, projections: Array) -> None:
        file = self.file
        file.write("  <projected>\n")
        self._eigenvalues("   ", states)
        file.write("   <array>\n")
        for dim, name in enumerate(("ion", "band", "kpoint", "spin"), start=1):
            file.write(f'    <dimension dim="{dim}">{name}</dimension>\n')
        file.writelines(f"    <field>{name:>5s}</field>\n" for name in orbital_names(projections))
        file.write("    <set>\n")
        for s, channel in enumerate(projections):
            file.write(f'     <set comment="spin{s + 1}">\n')
            for k, point in enumerate(channel):
                file.write(f'      <set comment="kpoint {k + 1}">\n')
                for n, band in enumerate(point):
                    file.write(f'       <set comment="band {n + 1}">\n')
                    file.writelines(f"        <r>{' '.join(f'{x:8.4f}' for x in row)} </r>\n" for row in band)
                    file.write("       </set>\n")
                file.write("      </set>\n")
            file.write("     </set>\n")
        file.write("    </set>\n   </array>\n  </projected>\n")


def orbital_names(projections: Array) -> tuple[str, ...]:
    """Column names of a table of projections: nine orbitals, or s, p and d."""
    return ORBITALS if projections.shape[-1] == len(ORBITALS) else ("s", "p", "d")


def tidy(occupations: Array) -> Array:
    """Occupations without the far tails of the smearing, which readers take for fractional filling."""
    near = np.round(occupations)
    return np.where(np.abs(occupations - near) < 1e-6, near, occupations)
