"""Custodian's corrections, classed: what changes only the numerical path is kept, what changes physics is undone."""

from __future__ import annotations

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
        answer: dict[str, Any] = correct(directory=directory)
        touched = physics_changes(before, _snapshot(folder))
        if touched:
            _restore(folder, before)
            return {"errors": answer.get("errors", []), "actions": None, "refused": touched}
        return answer

    handler.correct = guarded
    return handler


def physics_changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What differs between two sets of input files and is physics: INCAR tags by name, KPOINTS as a whole.

    POSCAR is none of it: corrections only ever continue from CONTCAR.
    """
    old, new = _tags(before.get("INCAR", "")), _tags(after.get("INCAR", ""))
    changed = sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n) and n not in NUMERICAL_PATH)
    lines = [f"{name}: {old.get(name, 'unset')} → {new.get(name, 'unset')}" for name in changed]
    if before.get("KPOINTS", "").split() != after.get("KPOINTS", "").split():
        lines.append("KPOINTS: another mesh")
    return lines


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
