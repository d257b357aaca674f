"""Results in other programs' formats: an ASE database, extended XYZ, CIFs of the best, tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage

if TYPE_CHECKING:
    from ase import Atoms

    from kalloy.workflows.screening.columns import Results
    from kalloy.workflows.screening.ranked import Ranked
    from kalloy.workflows.screening.ranking import Ranking


def frames(campaign: Campaign, ranking: Ranking, results: Results) -> Iterator[tuple[Ranked, Atoms]]:
    """Every member with a static energy: its structure with energy (eV), forces (eV/Å) and stress (eV/Å3) in ASE's
    sign, read from the static run's own files."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.units import GPa

    from kalloy.parsers.result import read_result

    for row in ranking.rows:
        static = results.get((row.member, Stage.STATIC))
        if static is None or not static.is_usable:
            continue
        read = read_result(campaign.root / static.folder)
        if read.crystal is None:
            continue
        atoms = read.crystal.to_ase()
        # VASP's stress is −ASE's, in kB: a tenth of a GPa.
        stress = None if read.stress is None else -read.stress * 0.1 * GPa
        atoms.calc = SinglePointCalculator(
            atoms, energy=read.energy, forces=read.forces, stress=None if stress is None else _voigt(stress)
        )
        yield row, atoms


def _voigt(stress: Any) -> list[float]:
    return [float(stress[i][j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]


def facts(row: Ranked) -> dict[str, Any]:
    """What is known of a member as flat key–value pairs; keys without a value are left out."""
    return {k: v for k, v in row.to_json().items() if isinstance(v, str | int | float) and v != ""}


def write_ase_db(path: Path, shown: Iterator[tuple[Ranked, Atoms]]) -> int:
    """An ``ase.db`` (SQLite): ``ase db FILE rank=1`` finds the winner. Returns the number of rows."""
    from ase.db import connect

    count = 0
    with connect(path, append=False) as database:
        for row, atoms in shown:
            # ase.db refuses keys that are its own columns, and words that look like numbers.
            pairs = {("static_energy_eV" if k == "energy_eV" else k): v for k, v in facts(row).items()}
            pairs = {k: v for k, v in pairs.items() if k not in ("formula", "place")}
            database.write(atoms, key_value_pairs=pairs)
            count += 1
    return count


def write_extxyz(path: Path, shown: Iterator[tuple[Ranked, Atoms]]) -> int:
    """One extended XYZ file, one frame a member, what is known of it in the comment. Returns the number of frames."""
    from ase.io import write

    pictures = []
    for row, atoms in shown:
        atoms.info.update({k: v for k, v in facts(row).items() if k != "energy_eV"})
        pictures.append(atoms)
    write(path, pictures, format="extxyz")
    return len(pictures)


def write_cifs(folder: Path, ranking: Ranking, shown: Iterator[tuple[Ranked, Atoms]], best: int) -> int:
    """CIFs of the host and the ``best`` lowest configurations of each content, symmetry found anew by spglib.

    Returns
    -------
    How many were written.
    """
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.cif import CifWriter

    wanted = {r.member for r in ranking.rows if r.rank is None or r.rank <= best}
    count = 0
    for row, atoms in shown:
        if row.member in wanted:
            atoms.calc = None
            text = str(CifWriter(AseAtomsAdaptor.get_structure(atoms), symprec=0.01))
            path = folder / f"{row.member.replace('/', '-')}.cif"
            path.write_text(f"# {row.member}, kalloy\n{text}", encoding="utf-8")
            count += 1
    return count
