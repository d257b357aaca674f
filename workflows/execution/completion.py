"""A stage is completed when it starts: what it takes from its parents is copied in, and recorded with hashes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError
from kalloy.workflows.attempt import TAKEN, Attempt, Outcome, attempts, now
from kalloy.workflows.execution.derived import take_bands, take_window
from kalloy.workflows.files import hash_of, replacing, write_json, write_text
from kalloy.workflows.inputs.point_list import complete_kpoints
from kalloy.workflows.inputs.potcar import has_only_spec
from kalloy.workflows.inputs.stage import Takes

DENSITY_FILES = {"vasp": "CHGCAR", "gpaw": "gpaw.gpw"}
"""Each engine's own charge density: never one under the other's name."""


def complete(attempt: Attempt) -> None:
    """Take from the parents what the attempt's record says; nothing where that is done already.

    Depends on the attempt's folder and its parents' alone, so that it runs on a compute node or by hand.

    Raises
    ------
    CampaignError
        Where a parent is not done, or lacks what is to be taken.
    """
    if (attempt.folder / TAKEN).is_file():
        return
    require_parents(attempt)  # all of them, before anything is taken from the first
    written = attempt.written
    taken = []
    for record in written["parents"]:
        parent = finished_parent(attempt, record["member"], record["stage"])
        source = f"{record['stage']}/{parent.folder.name}"
        if record["member"] != written["member"]:
            source = f"{record['member']}/{source}"
        taken += [{"what": what, "from": source, **_take(attempt, parent, Takes(what))} for what in record["takes"]]
        # Of the parent with the same atoms: another's datasets are for other elements.
        if "structure" in record["takes"] and has_only_spec(attempt.folder) and (parent.folder / "POTCAR").is_file():
            copied = _copy(parent.folder / "POTCAR", attempt.folder / "POTCAR")
            taken.append({"what": "POTCAR", "from": source, **copied})
    if "kpoints" in written and (listed := complete_kpoints(attempt.folder, written["kpoints"], written["member"])):
        taken.append(listed)
    write_json(attempt.folder / TAKEN, {"schema": 1, "completed": now(), "taken": taken})


def require_parents(attempt: Attempt) -> None:
    """Raise `CampaignError` where a parent is not done, before anything of the attempt is touched."""
    for parent in attempt.written["parents"]:
        finished_parent(attempt, parent["member"], parent["stage"])


def finished_parent(attempt: Attempt, member: str, stage: str) -> Attempt:
    """The newest attempt of a parent calculation that is done, of this member or of another."""
    own: str = attempt.written["member"]
    # A member's own folder may be a link to another disk, so that its own stages are looked for beside each other.
    folder = attempt.folder.parents[1] / stage
    if member != own:
        folder = attempt.folder.parents[2 + own.count("/")] / member / stage
    done = [a for a in attempts(folder) if (end := a.end) and end["outcome"] == Outcome.DONE]
    if not done:
        raise CampaignError(
            f"parent '{member}/{stage}' is not done", where=str(attempt.folder), mend=f"run {folder} first"
        )
    return done[-1]


def _take(attempt: Attempt, parent: Attempt, what: Takes) -> dict[str, Any]:
    if what is Takes.ENERGY_WINDOW:
        return take_window(attempt, parent)
    if what is Takes.BANDS:
        return take_bands(attempt, parent)
    if what is Takes.CELL:
        return _take_cell(attempt, parent)
    if what is Takes.STRUCTURE:
        return _copy(parent.folder / "CONTCAR", attempt.folder / "POSCAR")
    return _take_density(attempt, parent)


def _take_density(attempt: Attempt, parent: Attempt) -> dict[str, Any]:
    """The parent's charge density: a copy, or where the preset says so and nothing writes to it, a link."""
    name = DENSITY_FILES[attempt.written["engine"]]
    source, target = parent.folder / name, attempt.folder / name
    if attempt.written["charge_density"] == "copy":
        return _copy(source, target)
    if writer := _density_writer(attempt):
        return {**_copy(source, target), "not_linked": f"{writer} writes {name}, through a link the parent's own"}
    _require_left(source)
    link = os.path.relpath(source.resolve(), target.parent.resolve())
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(link)
    part.replace(target)
    return {"file": name, "sha256": hash_of(target), "link": link}


def _density_writer(attempt: Attempt) -> str | None:
    """The tag by which the engine writes the file that it reads the charge density from."""
    from pymatgen.io.vasp.inputs import Incar

    incar = Incar.from_file(attempt.folder / "INCAR")
    tags = ("LCHARG", "LWAVE") if attempt.written["engine"] == "gpaw" else ("LCHARG",)
    return next((tag for tag in tags if incar.get(tag, True) is not False), None)


def _require_left(source: Path) -> None:
    if not source.is_file() or not source.stat().st_size:
        raise CampaignError(f"parent left no {source.name}", where=str(source), mend="run the parent stage again")


def _copy(source: Path, target: Path) -> dict[str, Any]:
    """A copy, for an engine that opens a linked file to write would destroy its parent's."""
    _require_left(source)
    with replacing(target) as part:
        shutil.copyfile(source, part)
    return {"file": target.name, "sha256": hash_of(target)}


def _take_cell(attempt: Attempt, parent: Attempt) -> dict[str, Any]:
    """The parent's lattice under the POSCAR's own fractional coordinates."""
    from pymatgen.core import Structure
    from pymatgen.io.vasp.inputs import Poscar

    own, other = (
        Poscar.from_file(path, check_for_potcar=False).structure
        for path in (attempt.folder / "POSCAR", parent.folder / "CONTCAR")
    )
    moved = Structure(other.lattice, own.species, own.frac_coords)
    comment = f"{attempt.written['member']}: cell of {parent.written['member']}"
    text = Poscar(moved, comment=comment).get_str(significant_figures=16)
    write_text(attempt.folder / "POSCAR", text)
    return {"file": "POSCAR", "sha256": hash_of(attempt.folder / "POSCAR")}
