"""Which files of a calculation's folder to believe: vasprun.xml first, then what stands in for it or fills its gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kalloy.errors import ParseError
from kalloy.parsers.doscar import read_doscar
from kalloy.parsers.eigenval import read_eigenval
from kalloy.parsers.model import Vasprun
from kalloy.parsers.opening import SUFFIXES
from kalloy.parsers.oszicar import read_oszicar
from kalloy.parsers.outcar import read_outcar
from kalloy.parsers.poscar import read_poscar, read_with_flags
from kalloy.parsers.vaspout import read_vaspout
from kalloy.parsers.vasprun import read_vasprun

_WHOLE: tuple[tuple[str, Callable[[Path], Vasprun]], ...] = (
    ("vasprun.xml", read_vasprun),
    ("vaspout.h5", read_vaspout),
    ("OUTCAR", read_outcar),
)
"""Files that tell a calculation's story by themselves, the best first."""
_READERS = dict(_WHOLE) | {"EIGENVAL": read_eigenval, "OSZICAR": read_oszicar}


def find_file(folder: Path, name: str) -> Path | None:
    """A file of that name in the folder, plain or compressed."""
    candidates = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((c for c in candidates if c.is_file()), None)


def read_folder(folder: Path) -> Vasprun:
    """Read a calculation's folder.

    A whole vasprun.xml is read alone. Where it is missing, broken, or lacks energies or bands, they are taken from
    the other files, which ``files`` then names.

    Raises
    ------
    ParseError
        If no file in it can be read.
    """
    reasons: list[str] = []
    run = _first_readable(folder, reasons)
    if run is None:
        run = Vasprun(defects=tuple(reasons))
    elif reasons:
        run = replace(run, defects=(*reasons, *run.defects))
    run = _with_flags(_complement(run, folder), folder)
    if not run.files:
        what = "; ".join(reasons) or "it holds no output of VASP (vasprun.xml, OUTCAR, …)"
        raise ParseError(f"cannot be read: {what}", where=str(folder))
    return run


def read_file(file: Path) -> Vasprun:
    """Read one file by its name: an OUTCAR, a vaspout.h5, or else a vasprun.xml.

    Raises
    ------
    ParseError
        If it cannot be read.
    """
    for name, reader in _READERS.items():
        if file.name.startswith(name):
            return reader(file)
    if ".h5" in file.name:
        return read_vaspout(file)
    return read_outcar(file) if "OUTCAR" in file.name else read_vasprun(file)


def _first_readable(folder: Path, reasons: list[str]) -> Vasprun | None:
    for name, reader in _WHOLE:
        file = find_file(folder, name)
        if file is None:
            continue
        try:
            return reader(file)
        except ParseError as error:
            reasons.append(f"{file.name} {error.what}" + (f"; {error.mend}" if error.mend else ""))
    return None


def _complement(run: Vasprun, folder: Path) -> Vasprun:
    """Fill what is missing from the other files, each read only if it can give something that is."""
    if run.complete and run.bands is not None and run.last_complete_step is not None:
        return run
    for name in ("OUTCAR", "EIGENVAL", "OSZICAR"):
        file = find_file(folder, name)
        if file is None or file.name in run.files or not _gives(name, run):
            continue
        try:
            run = _filled(run, _READERS[name](file))
        except ParseError:
            continue  # it cannot help; why the main file is incomplete has been said
    return _with_structure(_with_dos(run, folder), folder)


def _gives(name: str, run: Vasprun) -> bool:
    """Whether a file of that name can give what a run lacks."""
    lacks_energy = run.last_complete_step is None or not run.complete
    return {
        "OUTCAR": run.bands is None or lacks_energy,
        "EIGENVAL": run.bands is None,
        "OSZICAR": run.last_complete_step is None,
    }[name]


def _filled(run: Vasprun, other: Vasprun) -> Vasprun:
    """A run with its gaps filled from another file of the same calculation."""
    if run.atoms and other.atoms and run.atoms.species != other.atoms.species:
        return replace(run, defects=(*run.defects, f"{other.files[0]} is of other atoms and was left aside"))
    changes: dict[str, object] = {}
    if run.bands is None and other.bands is not None:
        changes |= {"bands": other.bands, "kpoints": other.kpoints}
    if sum(s.complete for s in other.steps) > sum(s.complete for s in run.steps):
        changes["steps"] = other.steps
    for name in ("atoms", "initial"):
        if getattr(run, name) is None and getattr(other, name) is not None:
            changes[name] = getattr(other, name)
    missing = {k: v for k, v in other.parameters.items() if k not in run.parameters}
    if missing and (changes or not run.parameters):
        changes["parameters"] = {**run.parameters, **missing}
    if not changes:
        return run
    if run.header.program is None:
        changes["header"] = other.header
    if not run.files:
        changes["defects"] = (*run.defects, *other.defects)
    return replace(run, **changes, files=(*run.files, *other.files))  # type: ignore[arg-type]


def _with_dos(run: Vasprun, folder: Path) -> Vasprun:
    file = find_file(folder, "DOSCAR")
    if run.dos is not None or file is None:
        return run
    try:
        dos = read_doscar(file, run.atoms.species if run.atoms else ())
    except ParseError:
        return run
    defects = run.defects if run.files else (*run.defects, "DOSCAR does not say whether the calculation ended")
    return replace(run, dos=dos, files=(*run.files, file.name), defects=defects)


def _with_structure(run: Vasprun, folder: Path) -> Vasprun:
    """The structure of CONTCAR or POSCAR where no output gives one."""
    if run.crystal is not None or not run.files:
        return run
    for name, field in (("CONTCAR", "final"), ("POSCAR", "initial")):
        file = find_file(folder, name)
        if file is None:
            continue
        try:
            crystal = read_poscar(file)
        except ParseError:
            continue
        return replace(run, **{field: crystal}, files=(*run.files, file.name))  # type: ignore[arg-type]
    return run


def _with_flags(run: Vasprun, folder: Path) -> Vasprun:
    """Which coordinates may move, where the main file does not tell: only vasprun.xml does."""
    if run.mobile is not None or not run.files or run.files[0].startswith("vasprun"):
        return run
    for name in ("POSCAR", "CONTCAR"):
        file = find_file(folder, name)
        if file is None:
            continue
        try:
            crystal, mobile = read_with_flags(file)
        except ParseError:
            continue
        if mobile is not None and (run.atoms is None or crystal.species == run.atoms.species):
            files = run.files if file.name in run.files else (*run.files, file.name)
            return replace(run, mobile=mobile, files=files)
    return run
