"""What tests of every room share."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
STANDIN = Path(__file__).resolve().parent / "standin_engine.py"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real VASP calculations and crystals that a plain clone does not hold."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no shared/ folder beside this clone: its real VASP files are not part of the repository")
    return folder


@pytest.fixture(scope="session")
def kalloy() -> str:
    """The installed command."""
    beside = Path(sys.executable).parent / "kalloy"
    found = str(beside) if beside.is_file() else shutil.which("kalloy")
    assert found, "kalloy is not installed beside this Python"
    return found


@pytest.fixture(scope="session")
def standin() -> str:
    """The command of the stand-in engine."""
    return f"{sys.executable} {STANDIN}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what runs the free engine where GPAW is not installed."""
    if importlib.util.find_spec("gpaw") is None:
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(pytest.mark.skip(reason="needs GPAW: pip install 'kalloy[gpaw]'"))
