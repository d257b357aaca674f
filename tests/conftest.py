"""What tests of every room share."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent
# Examples are not timed: machines are slow at times, and that is no fault.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

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


@pytest.fixture(autouse=True)
def _no_library_of_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no POTCAR library but their own, whatever this machine or its .pmgrc.yaml names."""
    from pymatgen.core import SETTINGS

    for name in ("PMG_VASP_PSP_DIR", "PMG_DEFAULT_FUNCTIONAL", "PMG_VASP_PSP_SUB_DIRS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delitem(SETTINGS, name, raising=False)


@pytest.fixture(scope="session")
def standin_potcars() -> ModuleType:
    """The module that writes libraries of stand-in POTCARs."""
    spec = importlib.util.spec_from_file_location("standin_potcars", STANDIN.with_name("standin_potcars.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def potcar_library(tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of stand-in POTCARs, named in PMG_VASP_PSP_DIR: right headers, made-up numbers, nothing of VASP's."""
    root = tmp_path / "potcars"
    standin_potcars.write_library(root / "potpaw_PBE.54")
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(root))
    return root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what runs the free engine or CHGNet where that is not installed."""
    for marker, package, extra in (("engine", "gpaw", "gpaw"), ("chgnet", "chgnet", "chgnet")):
        if importlib.util.find_spec(package) is None:
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"needs {package}: pip install '.[{extra}]'"))
