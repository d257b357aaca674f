"""One calculation as it was asked for: the folder's inputs, read and checked before anything runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from kalloy.errors import VaspInputError, brief
from kalloy.workflows.gpaw_engine.kpoints import AnyMesh, Lines, Mesh, PointList, read_kpoints
from kalloy.workflows.gpaw_engine.settings import Settings, read_settings
from kalloy.workflows.gpaw_engine.tags import idle_tags


@dataclass(frozen=True, eq=False)
class Job:
    """The inputs of one folder."""

    folder: Path
    """Where the calculation is done."""
    incar: dict[str, Any]
    """Tags as written, in the order of the file."""
    settings: Settings
    """What they mean."""
    kpoints: AnyMesh | PointList | Lines
    """What KPOINTS asks for."""
    atoms: Atoms
    """What POSCAR holds, in its order."""
    comment: str
    """The first line of POSCAR."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Runs of one element in POSCAR's order: VASP's types of atoms."""
        runs: list[tuple[str, int]] = []
        for symbol in self.atoms.get_chemical_symbols():
            if runs and runs[-1][0] == symbol:
                runs[-1] = (symbol, runs[-1][1] + 1)
            else:
                runs.append((symbol, 1))
        return runs

    @property
    def idle(self) -> dict[str, str]:
        """Tags that are there but change nothing, each with its reason."""
        return idle_tags(self.incar)


def read_job(folder: Path) -> Job:
    """Read INCAR, KPOINTS and POSCAR of a folder.

    Raises
    ------
    VaspInputError : a file is missing or cannot be read, or asks for what this engine cannot honour.
    """
    for name in ("INCAR", "KPOINTS", "POSCAR"):
        if not (folder / name).is_file():
            raise VaspInputError(f"there is no {name}", where=str(folder), mend=f"write {name} first")
    if (folder / "KPOINTS_OPT").exists():
        raise VaspInputError(
            "KPOINTS_OPT cannot be honoured by kalloy-gpaw",
            where=str(folder),
            mend="compute the bands on lines in a calculation of their own, with ICHARG = 11",
        )
    atoms, comment = _read_poscar(folder / "POSCAR")
    incar = _read_incar(folder / "INCAR")
    settings = read_settings(incar, len(atoms))
    kpoints = read_kpoints(folder / "KPOINTS")
    _check(settings, kpoints, folder)
    return Job(folder, incar, settings, kpoints, atoms, comment)


def _read_incar(path: Path) -> dict[str, Any]:
    from pymatgen.io.vasp.inputs import Incar

    try:
        incar = dict(Incar.from_file(path))
    except ValueError as error:
        raise VaspInputError(f"cannot be read ({error})", where=path.name) from error
    tags = _names(path)
    twice = [tag for tag, times in Counter(tags).items() if times > 1]
    if twice:
        raise VaspInputError(f"{twice[0]} is given twice", where=path.name, mend="keep one of the two")
    return {tag.upper(): _flat(incar[tag]) for tag in incar}


def _flat(value: Any) -> Any:
    """Lists of lists, as pymatgen reads the moments of spinors, as one list."""
    if isinstance(value, list) and any(isinstance(part, list) for part in value):
        return [number for part in value for number in part]
    return value


def _names(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    parts = (part for line in text.splitlines() for part in line.split("#")[0].split("!")[0].split(";"))
    return [part.split("=")[0].strip().upper() for part in parts if "=" in part]


def _read_poscar(path: Path) -> tuple[Atoms, str]:
    from pymatgen.io.vasp.inputs import Poscar

    try:
        poscar = Poscar.from_file(path, check_for_potcar=False)
        structure = poscar.structure
        symbols = [site.specie.symbol for site in structure]
        atoms = Atoms(symbols, scaled_positions=structure.frac_coords, cell=structure.lattice.matrix, pbc=True)
    except Exception as error:  # pymatgen raises whatever its depths do
        raise VaspInputError(f"cannot be read ({brief(error) or type(error).__name__})", where=path.name) from error
    if poscar.selective_dynamics is not None and not np.all(poscar.selective_dynamics):
        raise VaspInputError(
            "selective dynamics cannot be honoured by kalloy-gpaw", where=path.name, mend="free all atoms"
        )
    if not (np.isfinite(atoms.cell[:]).all() and np.isfinite(atoms.positions).all()):
        raise VaspInputError("holds numbers that are not finite", where=path.name)
    if np.linalg.det(atoms.cell[:]) < 0:
        raise VaspInputError(
            "the triple product of the lattice vectors is negative", where=path.name, mend="exchange two of them"
        )
    return atoms, str(poscar.comment)


def _check(settings: Settings, kpoints: AnyMesh | PointList | Lines, folder: Path) -> None:
    if settings.ismear == -5 and not isinstance(kpoints, Mesh):
        raise VaspInputError(
            "ISMEAR = -5 divides a mesh of subdivisions into tetrahedra, and KPOINTS holds something else",
            where="INCAR",
            mend="choose ISMEAR = 0 and SIGMA, or write a mesh",
        )
    if settings.fixed_density:
        if settings.relaxes:
            raise VaspInputError("ICHARG = 11 keeps the density and NSW moves the ions", where="INCAR", mend="NSW = 0")
        if not (folder / "gpaw.gpw").is_file():
            raise VaspInputError(
                "ICHARG = 11 needs the density of an earlier calculation, and there is no gpaw.gpw",
                where="INCAR",
                mend="copy gpaw.gpw from a calculation with LCHARG = .TRUE.",
            )
    elif isinstance(kpoints, Lines):
        raise VaspInputError(
            "a self-consistent calculation needs a mesh or a list with weights, for lines fill no zone",
            where="KPOINTS",
            mend="write a mesh, or set ICHARG = 11 and copy gpaw.gpw from an earlier calculation",
        )
