"""Custodian's corrections, classed: what changes only the numerical path is kept, what changes physics is undone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler

from kalloy.workflows.execution.policy import Policy

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk or quota."""
_INPUTS = ("INCAR", "KPOINTS", "POSCAR")
_DENSITIES = ("CHGCAR", "WAVECAR")


@dataclass
class Guard:
    """What all handlers of one attempt share: when they may look, which cures are kept, and what became of them."""

    path_tags: Collection[str]
    """INCAR tags that cures may change."""
    is_running: Callable[[], bool] = lambda: False
    """Whether the engine runs."""
    is_over: Callable[[], bool] = lambda: False
    """Whether the job's time is over, so that nothing may be started again."""
    is_sound: Callable[[], bool] = lambda: False
    """Whether the engine has left what was asked for, so that there is nothing to cure."""
    lacks_electrons: Callable[[], bool] = lambda: True
    """Whether it ended in order with electrons that are not converged."""
    corrections: list[dict[str, Any]] = field(default_factory=list)
    """One record a correction, for the end record."""
    is_cured: bool = False
    """Whether this run of the engine has been corrected: one cure at a time."""
    handlers: dict[str, Any] = field(default_factory=dict)
    """custodian's own by name; each counts its cures, so there is one of a kind."""

    @property
    def refused(self) -> list[str]:
        """Changes of physics that were undone, in words."""
        return [change for c in self.corrections if c["class"] == "physics" for change in c["changes"]]


def guarded_handlers(policy: Policy, engine: str, guard: Guard) -> list[Guarded]:
    """custodian's handlers for an engine: those that watch it, then those that look at what it left."""
    watched = [Guarded(name, errors, guard, True) for name, errors in policy.watched(engine).items()]
    return watched + [Guarded(name, errors, guard, False) for name, errors in policy.final(engine).items()]


class Guarded(ErrorHandler):
    """One of custodian's handlers behind the guard: imported when first asked, its corrections classed.

    Parameters
    ----------
    name : of custodian's class.
    errors : those that it may cure; None for all that it knows.
    watches : whether it looks while the engine runs, or at what the engine left.
    """

    def __init__(self, name: str, errors: list[str] | None, guard: Guard, watches: bool) -> None:
        self.name, self.errors, self.guard, self.is_monitor = name, errors, guard, watches

    def as_dict(self) -> dict[str, Any]:
        """For custodian's log."""
        return {"handler": self.name, "errors": self.errors}

    @property
    def handler(self) -> Any:
        """custodian's own. Its import takes seconds, so a short sound run never pays for it."""
        if self.name not in self.guard.handlers:
            from custodian.vasp import handlers

            self.guard.handlers[self.name] = getattr(handlers, self.name)()
        return self.guard.handlers[self.name]

    def check(self, directory: str = "./") -> bool:
        """Whether there is something to cure that may be cured."""
        guard = self.guard
        if guard.is_running() is not self.is_monitor or guard.is_cured or guard.is_over():
            return False
        if not self.is_monitor and (guard.is_sound() or (self._is_for_electrons and not guard.lacks_electrons())):
            return False
        if self.is_monitor and not self.handler.is_monitor:
            return False
        try:
            found = bool(self.handler.check(directory=directory))
        except Exception as error:  # a file that is not there yet, or cut off: no error of the engine's
            _raise_if_full(error)
            print(f"kalloy: {self.name} could not look: {type(error).__name__}: {error}", file=sys.stderr)
            return False
        if found and self.errors is not None:
            self.handler.errors &= set(self.errors)
            found = bool(self.handler.errors)
        return found

    @property
    def _is_for_electrons(self) -> bool:
        # Its cure of unconverged ions, IBRION = 1 far from the minimum, is a poor one: a next attempt goes on instead.
        return self.name == "UnconvergedErrorHandler"

    def correct(self, directory: str = "./") -> dict[str, Any]:
        """custodian's cure; undone, and without actions, where it would change physics."""
        folder = Path(directory)
        before = _snapshot(folder)
        with _kept(folder):
            answer = self._cure(directory)
            changes = input_changes(before, _snapshot(folder), _text(folder / "CONTCAR"))
            physics = [change.text for change in changes if not change.is_path(self.guard.path_tags)]
            kept = bool(answer.get("actions")) and not physics
            if kept:
                for name in _DENSITIES:
                    (folder / f".kept.{name}").unlink(missing_ok=True)
            else:
                _restore(folder, before)
                answer["actions"] = None
        self.guard.is_cured = True
        self.guard.corrections.append(
            {
                "handler": self.name,
                "errors": sorted(answer.get("errors") or []),
                "class": "physics" if physics else "numerical path" if kept else "none",
                "changes": physics or [change.text for change in changes],
                "kept": kept,
            }
        )
        return answer

    def _cure(self, directory: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.handler.correct(directory=directory)
        except Exception as error:  # custodian's cures read files that a broken run may lack
            _raise_if_full(error)
            print(f"kalloy: {self.name} found no cure: {type(error).__name__}: {error}", file=sys.stderr)
            return {"errors": list(getattr(self.handler, "errors", [])), "actions": None}
        return answer


def _raise_if_full(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno in FULL:
        raise error


@dataclass(frozen=True)
class Change:
    """One difference between two sets of input files."""

    name: str
    """An INCAR tag, or ``KPOINTS``, ``POSCAR``."""
    text: str
    """``ALGO: Normal → All``."""
    starts_only: bool = False
    """Whether it changes only where a run begins: POSCAR taken from CONTCAR, ICHARG among the values below 10."""

    def is_path(self, path_tags: Collection[str]) -> bool:
        """Whether it leaves the physics as it was asked for."""
        return self.starts_only or self.name in path_tags


def input_changes(before: dict[str, str], after: dict[str, str], contcar: str = "") -> list[Change]:
    """What differs between two sets of input files: INCAR tags by name, KPOINTS and POSCAR as wholes.

    Parameters
    ----------
    contcar : of the relaxation so far.
    """
    old, new = _tags(before.get("INCAR", "")), _tags(after.get("INCAR", ""))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    changes = [_tag_change(name, old.get(name), new.get(name)) for name in changed]
    if before.get("KPOINTS", "").split() != after.get("KPOINTS", "").split():
        changes.append(Change("KPOINTS", "KPOINTS: another mesh"))
    if after.get("POSCAR", "").split() != before.get("POSCAR", "").split():
        goes_on = bool(contcar) and after.get("POSCAR", "").split() == contcar.split()
        changes.append(Change("POSCAR", f"POSCAR: {'from CONTCAR' if goes_on else 'another structure'}", goes_on))
    return changes


def _tag_change(name: str, old: Any, new: Any) -> Change:
    text = f"{name}: {'unset' if old is None else old} → {'unset' if new is None else new}"
    starts = name == "ICHARG" and all(isinstance(v, int) and v < 10 for v in (old or 0, new or 0))
    return Change(name, text, starts)


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Charge density and wave functions that a correction deletes come back, unless the block let them go."""
    for name in _DENSITIES:
        if (folder / name).is_file():
            (folder / f".kept.{name}").unlink(missing_ok=True)
            os.link(folder / name, folder / f".kept.{name}")
    try:
        yield
    finally:
        for name in _DENSITIES:
            kept = folder / f".kept.{name}"
            if kept.is_file():
                kept.replace(folder / name)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _tags(text: str) -> dict[str, Any]:
    from pymatgen.io.vasp.inputs import Incar

    return {name.upper(): value for name, value in Incar.from_str(text).items()}


def _snapshot(folder: Path) -> dict[str, str]:
    return {n: (folder / n).read_text(encoding="utf-8") for n in _INPUTS if (folder / n).is_file()}


def _restore(folder: Path, files: dict[str, str]) -> None:
    for name in _INPUTS:
        if name in files:
            if _text(folder / name) != files[name]:
                (folder / name).write_text(files[name], encoding="utf-8")
        else:
            (folder / name).unlink(missing_ok=True)
