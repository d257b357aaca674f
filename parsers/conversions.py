"""At the edge: kalloy's neutral data as pymatgen's and ASE's objects. Their packages are imported only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kalloy.parsers.bands import Bands
from kalloy.parsers.dos import Dos
from kalloy.parsers.result import Result
from kalloy.structures.crystal import Crystal

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.electronic_structure.bandstructure import BandStructure
    from pymatgen.electronic_structure.dos import CompleteDos

KBAR = 6.241509074e-4
"""1 kB in eV/Å3."""


def fermi_energy(result: Result) -> float:
    """An energy that separates filled from empty states: mid-gap, or a metal's own Fermi energy.

    Raises
    ------
    ValueError
        If neither is known.
    """
    if result.gap.vbm is not None and result.gap.cbm is not None:
        return (result.gap.vbm.energy + result.gap.cbm.energy) / 2
    if result.dos is not None and result.dos.efermi is not None:
        return result.dos.efermi
    raise ValueError("neither a gap nor a Fermi energy is known")


def to_pymatgen_bands(bands: Bands, crystal: Crystal, efermi: float) -> BandStructure:
    """A pymatgen ``BandStructureSymmLine`` for a labelled path, else a ``BandStructure``.

    Parameters
    ----------
    efermi : eV; take mid-gap (``fermi_energy``), for pymatgen decides by it what is filled.
    """
    from pymatgen.electronic_structure.bandstructure import BandStructure, BandStructureSymmLine
    from pymatgen.electronic_structure.core import Spin

    lattice = crystal.to_pymatgen().lattice.reciprocal_lattice
    energies = {spin: e.T for spin, e in zip((Spin.up, Spin.down), bands.sorted(), strict=False)}
    labels = _labels(bands)
    if bands.source == "path" and labels:
        return BandStructureSymmLine(bands.kpoints, energies, lattice, efermi, labels, structure=crystal.to_pymatgen())
    return BandStructure(bands.kpoints, energies, lattice, efermi, structure=crystal.to_pymatgen())


def _labels(bands: Bands) -> dict[str, list[float]]:
    """Coordinates by label; pymatgen needs every end of a segment named."""
    labels: dict[str, list[float]] = {}
    for segment in bands.segments:
        for name, k in zip(segment.labels, (segment.start, segment.stop - 1), strict=True):
            if not name:
                return {}
            labels.setdefault(name, bands.kpoints[k].tolist())
    return labels


def to_pymatgen_dos(dos: Dos, crystal: Crystal, efermi: float) -> CompleteDos:
    """A pymatgen ``CompleteDos`` (under spin–orbit coupling the total part alone).

    Raises
    ------
    ValueError
        If nothing is projected, or only shells, which pymatgen does not take.
    """
    from pymatgen.electronic_structure.core import Orbital, Spin
    from pymatgen.electronic_structure.dos import CompleteDos
    from pymatgen.electronic_structure.dos import Dos as PymatgenDos

    if dos.projected is None:
        raise ValueError("this density of states is not projected on ions")
    names = {"x2-y2": "dx2", "fy3x2": "f_3", "fxyz": "f_2", "fyz2": "f_1"} | {
        "fz3": "f0",
        "fxz2": "f1",
        "fzx2": "f2",
        "fx3": "f3",
    }
    try:
        orbitals = [Orbital[names.get(name, name)] for name in dos.orbitals]
    except KeyError as error:
        raise ValueError(f"pymatgen has no orbital {error.args[0]}") from None
    spins = (Spin.up,) if dos.noncollinear or len(dos.total) == 1 else (Spin.up, Spin.down)
    structure = crystal.to_pymatgen()
    total = PymatgenDos(efermi, dos.energies, dict(zip(spins, dos.total, strict=False)))
    projected = {
        site: {
            orbital: {spin: dos.projected[ion, s, o] for s, spin in enumerate(spins)}
            for o, orbital in enumerate(orbitals)
        }
        for ion, site in enumerate(structure)
    }
    return CompleteDos(structure, total, projected)


def to_ase(result: Result) -> Atoms:
    """The last structure as ASE ``Atoms``, with energy (σ→0), free energy, forces and stress of the last whole step.

    Raises
    ------
    ValueError
        If there is no structure.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    step = result.last_step
    crystal = (step.crystal if step else None) or result.crystal
    if crystal is None:
        raise ValueError("there is no structure")
    atoms = crystal.to_ase()
    if step is None:
        return atoms
    found = {"energy": step.energy_zero, "free_energy": step.energy_free, "forces": step.forces}
    if step.stress is not None:
        # VASP's sign is the opposite of ASE's; Voigt order xx yy zz yz xz xy.
        s = -np.asarray(step.stress) * KBAR
        found["stress"] = np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in found.items() if v is not None})
    return atoms
