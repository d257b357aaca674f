"""The POTCAR library: not named, misnamed, the wrong release, without what the campaign takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import SETTINGS

from kalloy.workflows.doctor.finding import Finding, Mark
from kalloy.workflows.doctor.potcars import library, settings_file
from kalloy.workflows.inputs.potcar_library import VARIABLE

DATASETS = ["Cs_sv", "Pb_d", "Br", "K_sv"]


def looked(asked: str | None = "PBE_54", datasets: list[str] = DATASETS, needed: bool = True) -> list[Finding]:
    return list(library(asked, datasets, needed))


def test_none_is_named() -> None:
    (found,) = looked()
    assert (found.mark, found.words) == (Mark.FAILURE, "none is named: VASP cannot start")
    assert found.mend is not None
    assert VARIABLE in found.mend
    assert looked(needed=False)[0].mark is Mark.OK


def test_a_whole_library(potcar_library: Path) -> None:
    library, datasets = looked()
    assert (library.mark, datasets.mark) == (Mark.OK, Mark.OK)
    assert "PBE_54 of PBE_54, 9 datasets in" in library.words
    assert library.words.endswith("from the environment")


def test_named_in_pymatgens_settings(potcar_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setitem(SETTINGS, VARIABLE, str(potcar_library))
    assert looked()[0].words.endswith("from .pmgrc.yaml")


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    (found,) = looked()
    assert found.mark is Mark.FAILURE
    assert "is no folder" in found.words
    assert "from the environment" in found.words


def test_another_release_than_asked(potcar_library: Path) -> None:
    (found,) = looked("PBE_64")
    assert found.mark is Mark.FAILURE
    assert found.words.startswith("no PBE_64 in the POTCAR library: it holds PBE_54")


def test_several_releases_and_none_asked(potcar_library: Path, standin_potcars: object) -> None:
    standin_potcars.write_library(potcar_library / "potpaw_PBE.64")  # type: ignore[attr-defined]
    (found,) = looked(None)
    assert "several releases (PBE_54, PBE_64)" in found.words
    first, _ = looked("PBE_54")
    assert "PBE_54 of PBE_54, PBE_64" in first.words


def test_datasets_that_are_missing_or_broken(potcar_library: Path) -> None:
    broken = next(potcar_library.rglob("*Br*"))
    broken = broken if broken.is_file() else next(p for p in broken.iterdir())
    broken.write_bytes(b"no dataset")
    found = looked(datasets=["Cs_sv", "Br", "Cs_pv"])
    assert [f.mark for f in found] == [Mark.OK, Mark.FAILURE, Mark.FAILURE]
    by_name = {f.subject: f for f in found}
    assert "Cs_sv" in (by_name["POTCAR Cs_pv"].mend or "")  # the nearest one is named
    assert "POTCAR Br" in by_name


def test_an_empty_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "potpaw_PBE.54").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert "holds no dataset" in looked()[0].words


@pytest.mark.parametrize("content", [": [", "- a list", b"\xff\xfe"])
def test_settings_that_pymatgen_would_drop(content: str | bytes, own_home: Path) -> None:
    path = own_home / ".pmgrc.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = settings_file({}, own_home)
    assert found is not None
    assert found.mark is Mark.FAILURE
    assert looked()[0] == found


def test_the_settings_file_that_pymatgen_reads(own_home: Path, tmp_path: Path) -> None:
    """PMG_CONFIG_FILE, then ~/.config/.pmgrc.yaml, then ~/.pmgrc.yaml: the first that is there."""
    (own_home / ".pmgrc.yaml").write_text(": [")
    assert settings_file({}, own_home) is not None
    (own_home / ".config/.pmgrc.yaml").write_text(f"{VARIABLE}: /x\n")
    assert settings_file({}, own_home) is None
    (tmp_path / "mine.yaml").write_text(": [")
    assert settings_file({"PMG_CONFIG_FILE": str(tmp_path / "mine.yaml")}, own_home) is not None
