"""Custodian's corrections, classed: what changes only the numerical path is kept, what changes physics is undone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NUMERICAL_PATH = frozenset({
    "ALGO", "IALGO", "AMIX", "BMIX", "AMIX_MAG", "BMIX_MAG", "AMIN", "IMIX", "MAXMIX", "TIME", "NELM", "NELMDL",
    "NELMIN", "POTIM", "IBRION", "NCORE", "NPAR", "KPAR", "NSIM", "LPLANE", "LSCALAPACK", "LSCALU", "ISTART",
})  # fmt: skip
"""INCAR tags that change how a solution is found, not which."""

HANDLERS = {
    "vasp": ("VaspErrorHandler", "UnconvergedErrorHandler", "NonConvergingErrorHandler", "PotimErrorHandler"),
    # kalloy-gpaw honours none of the tags that custodian's cures set, so a cure could only repeat the failure.
    "gpaw": (),
}
"""custodian's handlers for each engine, by name."""

_INPUTS = ("INCAR", "KPOINTS", "POSCAR")
_DENSITIES = ("CHGCAR", "WAVECAR")


def guarded_handlers(engine: str) -> list[Any]:
    """custodian's handlers for an engine, each behind the guard."""
    from custodian.vasp import handlers

    return [_guard(getattr(handlers, name)()) for name in HANDLERS[engine]]


def _guard(handler: Any) -> Any:
    """The same handler; a correction of its that changes physics is undone and ends the attempt."""
    correct = handler.correct

    def guarded(directory: str = "./") -> dict[str, Any]:
        folder = Path(directory)
        before = _snapshot(folder)
        with _kept(folder):
            answer: dict[str, Any] = correct(directory=directory)
            touched = physics_changes(before, _snapshot(folder), _text(folder / "CONTCAR"))
            if touched:
                _restore(folder, before)
                return {"errors": answer.get("errors", []), "actions": None, "refused": touched}
            for name in _DENSITIES:
                (folder / f".kept.{name}").unlink(missing_ok=True)
        return answer

    handler.correct = guarded
    return handler


def physics_changes(before: dict[str, str], after: dict[str, str], contcar: str = "") -> list[str]:
    """What differs between two sets of input files and is physics: INCAR tags by name, KPOINTS and POSCAR as wholes.

    Parameters
    ----------
    contcar : to go on from it is the one change of POSCAR that is none.
    """
    old, new = _tags(before.get("INCAR", "")), _tags(after.get("INCAR", ""))
    changed = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n) and n not in NUMERICAL_PATH)
    lines = [f"{name}: {old.get(name, 'unset')} → {new.get(name, 'unset')}" for name in changed]
    if before.get("KPOINTS", "").split() != after.get("KPOINTS", "").split():
        lines.append("KPOINTS: another mesh")
    if after.get("POSCAR", "").split() not in (before.get("POSCAR", "").split(), contcar.split()):
        lines.append("POSCAR: another structure")
    return lines


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Charge density and wave functions that a correction deletes come back, unless the block let them go."""
    for name in _DENSITIES:
        if (folder / name).is_file():
            os.link(folder / name, folder / f".kept.{name}")
    yield
    for name in _DENSITIES:
        kept = folder / f".kept.{name}"
        if kept.is_file():
            kept.replace(folder / name)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _tags(text: str) -> dict[str, Any]:
    from pymatgen.io.vasp.inputs import Incar

    return dict(Incar.from_str(text))


def _snapshot(folder: Path) -> dict[str, str]:
    return {n: (folder / n).read_text(encoding="utf-8") for n in _INPUTS if (folder / n).is_file()}


def _restore(folder: Path, files: dict[str, str]) -> None:
    for name in _INPUTS:
        if name in files:
            (folder / name).write_text(files[name], encoding="utf-8")
        else:
            (folder / name).unlink(missing_ok=True)
