"""Make the calculations of this folder anew with the free engine: ``python tests/parsers/data/remake.py FOLDER``.

A few minutes of one core. Each ends as a folder of gzipped outputs; another GPAW's may differ in last digits.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
KEPT = ("CONTCAR", "KPOINTS")
ZIPPED = ("vasprun.xml", "OUTCAR", "OSZICAR", "EIGENVAL")
PBE = {"GGA": "PE", "PREC": "Normal", "ENCUT": "150", "EDIFF": "1E-6", "ISMEAR": "0", "SIGMA": "0.05", "NSW": "0"}
KBR = "KBr\n1.0\n0 3.35 3.35\n3.35 0 3.35\n3.35 3.35 0\nK Br\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
IRON = "Fe\n2.83\n-0.5 0.5 0.5\n0.5 -0.5 0.5\n0.5 0.5 -0.5\nFe\n1\nDirect\n0 0 0\n"
GAMMA2 = "mesh\n0\nGamma\n2 2 2\n"


@dataclass(frozen=True)
class Recipe:
    """One calculation."""

    name: str
    tags: dict[str, str]
    kpoints: str = GAMMA2
    poscar: str = KBR
    parent: str | None = None
    """Whose density is kept."""
    kill_after: int | None = None
    """Ionic steps after which it is killed."""
    more: tuple[str, ...] = field(default=())
    """Files kept beside the usual ones."""


LIST = "list\n5\nReciprocal\n0 0 0 1\n0.5 0 0 4\n0.5 0.5 0 3\n0.25 0 0.25 0\n0.125 0 0.125 0\n"
RECIPES = (
    Recipe(
        "Fe/static",
        {"ISPIN": "2", "MAGMOM": "2.5", "ISMEAR": "1", "SIGMA": "0.2", "ENCUT": "250", "LORBIT": "11", "NEDOS": "301"},
        "mesh\n0\nGamma\n6 6 6\n",
        IRON,
        more=("PROCAR",),
    ),
    Recipe("KBr/parent", {"LCHARG": ".TRUE."}),
    Recipe(
        "KBr/optics",
        {"ICHARG": "11", "LOPTICS": ".TRUE.", "NBANDS": "20", "NEDOS": "201", "OMEGAMAX": "30", "CSHIFT": "0.2"},
        parent="KBr/parent",
    ),
    Recipe(
        "KBr/soc",
        {"ICHARG": "11", "LSORBIT": ".TRUE.", "LORBIT": "11", "NBANDS": "24", "MAGMOM": "6*0", "NEDOS": "101"},
        parent="KBr/parent",
    ),
    Recipe("KBr/list", {"LORBIT": "11", "NEDOS": "101"}, LIST),
    Recipe(
        "KBr/killed",
        {"IBRION": "2", "ISIF": "3", "NSW": "40", "EDIFFG": "-1E-9"},
        poscar=KBR.replace("0.5 0.5 0.5", "0.48 0.48 0.48"),
        kill_after=3,
        more=("XDATCAR",),
    ),
)


def compute(recipe: Recipe, scratch: Path) -> Path:
    """Run one calculation."""
    folder = scratch / recipe.name
    folder.mkdir(parents=True)
    tags = {**PBE, **recipe.tags}
    (folder / "INCAR").write_text("".join(f"{tag} = {value}\n" for tag, value in tags.items()))
    (folder / "KPOINTS").write_text(recipe.kpoints)
    (folder / "POSCAR").write_text(recipe.poscar)
    if recipe.parent:
        shutil.copy(scratch / recipe.parent / "gpaw.gpw", folder)
    _run(folder, None if recipe.kill_after is None else lambda: _steps(folder) >= (recipe.kill_after or 0))
    return folder


def _steps(folder: Path) -> int:
    path = folder / "OSZICAR"
    return path.read_text().count(" F= ") if path.is_file() else 0


def _run(folder: Path, is_enough: Callable[[], bool] | None) -> None:
    with (folder / "vasp.out").open("wb") as out:
        process = subprocess.Popen(PROGRAM, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    while process.poll() is None:
        if is_enough is not None and is_enough():
            process.kill()
        time.sleep(0.05)
    if process.returncode and is_enough is None:
        sys.exit((folder / "vasp.out").read_text())


def keep(recipe: Recipe, folder: Path, target: Path) -> None:
    """Trim: what is read, compressed without times of its own."""
    target.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        shutil.copy(folder / name, target / name)
    for name in (*ZIPPED, *recipe.more):
        if (folder / name).is_file():
            (target / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 9, mtime=0))


def main() -> None:
    """All of them, into a folder."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        for recipe in RECIPES:
            folder = compute(recipe, Path(scratch))
            if not recipe.name.endswith("parent"):
                keep(recipe, folder, target / recipe.name)
                sizes = sum(f.stat().st_size for f in (target / recipe.name).iterdir())
                print(f"{recipe.name}: {sizes / 1000:.0f} kB")


if __name__ == "__main__":
    main()
