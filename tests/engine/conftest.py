"""Tiny calculations for the free engine: a few seconds each, run once for all tests that look at them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A module's calculations are run once, in one process, not once in each."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


KBR = """KBr
1.0
0.0 3.35 3.35
3.35 0.0 3.35
3.35 3.35 0.0
K Br
1 1
Direct
0.0 0.0 0.0
0.5 0.5 0.5
"""
"""Rock salt, primitive cell, near the minimum of its energy."""

PBE = {
    "GGA": "PE",
    "PREC": "Normal",
    "ENCUT": "150",
    "EDIFF": "1E-5",
    "ALGO": "Normal",
    "LASPH": ".TRUE.",
    "LREAL": ".FALSE.",
    "ISPIN": "1",
    "ISMEAR": "0",
    "SIGMA": "0.05",
    "LWAVE": ".FALSE.",
    "LCHARG": ".TRUE.",
}
"""Tags that all small calculations share."""

GAMMA2 = "mesh\n0\nGamma\n2 2 2\n0 0 0\n"

Job = Callable[..., Path]


def write_job(folder: Path, incar: dict[str, str], kpoints: str = GAMMA2, poscar: str = KBR) -> Path:
    """A calculation's folder; tags with the value "" are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = {**PBE, **incar}
    (folder / "INCAR").write_text("".join(f"{tag} = {value}\n" for tag, value in tags.items() if value != ""))
    (folder / "KPOINTS").write_text(kpoints)
    (folder / "POSCAR").write_text(poscar)
    return folder


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program itself, as a user's shell would start it."""
    return subprocess.run(
        [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )


@pytest.fixture(scope="session")
def run_engine() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The program, started in a folder."""
    return _run


@pytest.fixture(scope="session")
def kbr() -> str:
    """POSCAR of the small crystal of most tests."""
    return KBR


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    """Write a calculation into any folder."""
    return write_job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Write a calculation into this test's own folder."""

    def write(
        incar: dict[str, str] | None = None, kpoints: str = GAMMA2, poscar: str = KBR, name: str = "calculation"
    ) -> Path:
        return write_job(tmp_path / name, incar or {}, kpoints, poscar)

    return write


def done(folder: Path) -> Path:
    """A calculation that has been run."""
    run = _run(folder)
    assert run.returncode == 0, run.stderr
    (folder / "vasp.out").write_text(run.stdout)
    return folder


@pytest.fixture(scope="session")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rock-salt KBr at fixed geometry, with projections; leaves gpaw.gpw."""
    folder = tmp_path_factory.mktemp("engine") / "static"
    return done(write_job(folder, {"NSW": "0", "LORBIT": "11", "LMAXMIX": "4", "NCORE": "4"}))


def child(parent: Path, name: str, incar: dict[str, str], kpoints: str, poscar: str = KBR) -> Path:
    """A calculation that has been run in the density of another."""
    folder = write_job(parent.parent / name, {"NSW": "0", "ICHARG": "11", **incar}, kpoints, poscar)
    (folder / "gpaw.gpw").write_bytes((parent / "gpaw.gpw").read_bytes())
    return done(folder)


@pytest.fixture(scope="session")
def dos(static: Path) -> Path:
    """Density of states of ``static`` on a finer mesh."""
    tags = {"LORBIT": "11", "NEDOS": "1001", "EMIN": "-35", "EMAX": "20", "SIGMA": "0.1"}
    return child(static, "dos", tags, "mesh\n0\nMonkhorst-Pack\n3 3 3\n0 0 0\n")


@pytest.fixture(scope="session")
def bands(static: Path) -> Path:
    """Bands of ``static`` along two lines that meet, through points of its mesh."""
    lines = "path\n3\nLine_mode\nReciprocal\n0 0 0 \\Gamma\n0.5 0 0.5 X\n\n0.5 0 0.5 X\n0.5 0 0 L\n"
    return child(static, "bands", {"LORBIT": "11"}, lines)


@pytest.fixture(scope="session")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """KBr from a compressed, distorted start to its minimum: ions and cell."""
    poscar = KBR.replace("3.35 3.35 0.0", "3.32 3.32 0.0").replace("0.5 0.5 0.5", "0.49 0.49 0.49")
    tags = {"ENCUT": "200", "EDIFF": "1E-4", "IBRION": "2", "ISIF": "3", "NSW": "25", "EDIFFG": "-0.03"}
    folder = tmp_path_factory.mktemp("engine") / "relax"
    return done(write_job(folder, tags, GAMMA2, poscar))


@pytest.fixture(scope="session")
def optics(static: Path) -> Path:
    """Dielectric function of ``static`` on its own mesh."""
    tags = {"LOPTICS": ".TRUE.", "ALGO": "Exact", "NELM": "1", "NBANDS": "20", "NEDOS": "401", "OMEGAMAX": "40"}
    return child(static, "optics", {**tags, "CSHIFT": "0.2", "EDIFF": "1E-4"}, GAMMA2)


@pytest.fixture(scope="session")
def soc(static: Path) -> Path:
    """Spin-orbit coupling in the density of ``static``."""
    tags = {"LSORBIT": ".TRUE.", "LORBIT": "11", "NBANDS": "24", "MAGMOM": "6*0", "SAXIS": "0 0 1", "EDIFF": "1E-7"}
    return child(static, "soc", {**tags, "NEDOS": "401"}, GAMMA2)


@pytest.fixture(scope="session")
def tetrahedra(static: Path) -> Path:
    """Density of states of ``static`` by tetrahedra."""
    tags = {"LORBIT": "11", "NEDOS": "2001", "EMIN": "-35", "EMAX": "20", "ISMEAR": "-5"}
    return child(static, "tetrahedra", tags, "mesh\n0\nGamma\n4 4 4\n0 0 0\n")
