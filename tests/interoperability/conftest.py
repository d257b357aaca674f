"""Two small calculations of the free engine, for all who read its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers import environments
from kalloy.parsers.result import read_result
from tests.engine.conftest import GAMMA2, KBR, child, done, write_job


@pytest.fixture(scope="session")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps of a relaxation: KBr strained and displaced, so that no force and no stress is zero by symmetry."""
    poscar = KBR.replace("3.35 3.35 0.0", "3.32 3.38 0.1").replace("0.5 0.5 0.5", "0.49 0.5 0.52")
    tags = {"IBRION": "2", "ISIF": "3", "NSW": "2", "EDIFFG": "-0.001", "LORBIT": "11"}
    return done(write_job(tmp_path_factory.mktemp("interoperability") / "moved", tags, GAMMA2, poscar))


@pytest.fixture(scope="session")
def bands(moved: Path) -> Path:
    """Bands along two lines that meet, at the geometry and in the density of the last step."""
    crystal = read_result(moved).crystal
    assert crystal is not None
    lines = "path\n3\nLine_mode\nReciprocal\n0 0 0 ! GAMMA\n0.5 0 0.5 ! X\n\n0.5 0 0.5 ! X\n0.5 0 0 ! L\n"
    return child(moved, "bands", {"LORBIT": "11"}, lines, crystal.to_pymatgen().to(fmt="poscar"))


@pytest.fixture(scope="session")
def python_of() -> Callable[[str], Path]:
    """The Python of a peer's environment, or a skip."""

    def found(peer: str) -> Path:
        if (python := environments.python_of(peer)) is None:
            pytest.skip(f"no environment of {peer}: python benchmarks/peers/environments.py {peer}")
        return python

    return found
