"""k-points that must wait for the structure: a path checked against the final cell, and lists with zero weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.files import hash_of, write_text
from kalloy.workflows.inputs.kpoints import list_text
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.preset import LineSettings
from kalloy.workflows.inputs.reduction import irreducible_points


def asked_lines(settings: LineSettings, mesh: Mesh | None, path: BandPath, comment: str) -> dict[str, Any]:
    """What an attempt's record must hold so that its k-points can be completed from the record alone."""
    asked: dict[str, Any] = {"path": path.to_json()}
    if settings.as_ == "zero-weight":
        assert mesh is not None
        asked["list"] = {
            "mesh": {"matrix": [list(row) for row in mesh.matrix], "halves": list(mesh.halves)},
            "line_points": settings.line_points,
            "comment": f"{comment}, irreducible",
        }
    return asked


def complete_kpoints(folder: Path, asked: dict[str, Any], member: str) -> dict[str, Any] | None:
    """Check the path against the POSCAR that is there now, and write the list of points where one is asked for.

    Parameters
    ----------
    asked : as `asked_lines` made it.

    Returns
    -------
    What to record; None where nothing was written.

    Raises
    ------
    CampaignError
        Where the path is not this structure's (see `BandPath.require_same_directions`).
    """
    crystal = _structure(folder)
    path = BandPath.from_json(asked["path"])
    path.require_same_directions(crystal.lattice, member)
    if (wanted := asked.get("list")) is None:
        return None
    raw = wanted["mesh"]
    mesh = Mesh.of(raw["matrix"], raw["halves"])
    found = irreducible_points(mesh, crystal, _tags(folder))
    write_text(folder / "KPOINTS", list_text(found, path, wanted["line_points"], wanted["comment"]))
    return {
        "what": "k-points",
        "file": "KPOINTS",
        "sha256": hash_of(folder / "KPOINTS"),
        "irreducible": len(found.points),
        "of": mesh.count,
        "weightless": len(path.segments) * wanted["line_points"],
    }


def _structure(folder: Path) -> Crystal:
    from pymatgen.io.vasp.inputs import Poscar

    try:
        return Crystal.from_pymatgen(Poscar.from_file(folder / "POSCAR", check_for_potcar=False).structure)
    except (OSError, ValueError, IndexError) as error:
        raise CampaignError(f"POSCAR cannot be read ({error})", where=str(folder)) from None


def _tags(folder: Path) -> dict[str, Any]:
    from pymatgen.io.vasp.inputs import Incar

    return dict(Incar.from_file(folder / "INCAR"))
