"""No tag is ignored in silence: obeyed, idle with a reason, or refused by name with nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.errors import VaspInputError
from kalloy.workflows.gpaw_engine.main import main
from kalloy.workflows.gpaw_engine.settings import Freedom, Settings, read_settings
from kalloy.workflows.gpaw_engine.tags import ACCEPTED, IDLE, OBEYED, idle_tags

Job = Callable[..., Path]


def test_vasp_defaults() -> None:
    assert read_settings({"ENCUT": 300}, 2) == Settings(
        system="unknown system",
        encut=300.0,
        reach=1.5,
        ediff=1e-4,
        nelm=60,
        nelmin=2,
        nbands=None,
        amix=None,
        ismear=1,
        sigma=0.2,
        spins=1,
        magmoms=None,
        isym=2,
        symprec=1e-5,
        steps=0,
        freedom=Freedom.IONS,
        ediffg=1e-3,
        fixed_density=False,
        continues=False,
        lorbit=0,
        nedos=301,
        emin=None,
        emax=None,
        optics=False,
        cshift=0.1,
        omegamax=None,
        spinors=False,
        keep_density=True,
        keep_waves=True,
    )


def test_every_tag_has_one_meaning() -> None:
    assert not OBEYED & set(IDLE)
    assert not OBEYED & set(ACCEPTED)
    assert not set(IDLE) & set(ACCEPTED)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("GGA", "PS"),
        ("LHFCALC", True),
        ("LDAU", True),
        ("METAGGA", "R2scan"),
        ("IVDW", 11),
        ("LSORBIT", True),
        ("LOPTICS", True),
        ("ALGO", "GW0"),
        ("LASPH", False),
        ("NUPDOWN", 1),
        ("PSTRESS", 5),
        ("ICHARG", 1.5),
        ("ICHARG", 12),
        ("ICHARG", 0),
        ("ISTART", 4),
        ("ISMEAR", -4),
        ("ISMEAR", -5),
        ("ISIF", 9),
        ("LORBIT", 2),
        ("NSW", -3),
        ("NBANDS", 0),
        ("EDIFF", -1e-5),
        ("SIGMA", 0),
        ("NELM", True),
        ("LWAVE", "maybe"),
        ("ML_LMLFF", True),
        ("IMAGES", 4),
        ("PREC", "Wild"),
        ("ISPIN", 3),
    ],
)
def test_refused_by_name(tag: str, value: object) -> None:
    with pytest.raises(VaspInputError, match=rf"\b{tag}\b"):
        read_settings({"ENCUT": 300, tag: value}, 2)


@pytest.mark.parametrize(
    ("tags", "continues"),
    [
        ({}, False),
        ({"ICHARG": 1}, True),
        ({"ISTART": 1}, True),
        ({"ISTART": 1, "ICHARG": 0}, True),
        ({"ISTART": 0}, False),
    ],
)
def test_what_begins_with_the_restart_file(tags: dict[str, int], continues: bool) -> None:
    assert read_settings({"ENCUT": 300, **tags}, 2).continues is continues


def test_custodians_cures_are_understood() -> None:
    """What its handlers for unconverged electrons set, one after the other."""
    mixing = {"ISTART": 1, "ALGO": "Normal", "NELMDL": -6, "BMIX": 0.001, "AMIX_MAG": 0.8, "BMIX_MAG": 0.001}
    for cure in ({"ALGO": "Fast"}, {"ALGO": "All", "ISEARCH": 1}, mixing, {"AMIN": 0.01}, {"IBRION": 1}):
        read_settings({"ENCUT": 300, **cure}, 2)


def test_misspelt_tag_gets_its_right_name() -> None:
    with pytest.raises(VaspInputError, match="did you mean 'EDIFFG'"):
        read_settings({"ENCUT": 300, "EDIFFFG": -0.1}, 2)


def test_encut_has_no_default_without_potcar() -> None:
    with pytest.raises(VaspInputError, match="ENCUT"):
        read_settings({}, 2)


def test_relaxation_needs_ibrion_because_vasps_default_is_dynamics() -> None:
    with pytest.raises(VaspInputError, match="IBRION"):
        read_settings({"ENCUT": 300, "NSW": 5}, 2)


def test_moments_are_counted() -> None:
    with pytest.raises(VaspInputError, match="3 moments for 2 atoms"):
        read_settings({"ENCUT": 300, "ISPIN": 2, "MAGMOM": [1, 1, 1]}, 2)
    assert read_settings({"ENCUT": 300, "ISPIN": 2, "MAGMOM": [1, -1]}, 2).magmoms == (1.0, -1.0)


def test_idle_tags_come_with_reasons() -> None:
    incar = {"ENCUT": 300, "NCORE": 4, "KPAR": 2, "LREAL": False, "ALGO": "Fast", "LMAXMIX": 4}
    assert list(idle_tags(incar)) == ["NCORE", "KPAR", "LREAL", "ALGO", "LMAXMIX"]
    assert all(idle_tags(incar).values())


@pytest.mark.parametrize(
    ("isif", "ions", "shape", "volume"),
    [(2, True, False, False), (3, True, True, True), (4, True, True, False), (7, False, False, True)],
)
def test_isif(isif: int, ions: bool, shape: bool, volume: bool) -> None:
    freedom = Freedom(isif)
    assert (freedom.ions, freedom.shape, freedom.volume) == (ions, shape, volume)


@pytest.mark.parametrize(
    ("incar", "word"),
    [
        ({"LDAU": ".TRUE."}, "LDAU"),
        ({"NCORES": "4"}, "NCORE"),
        ({"ICHARG": "11"}, "gpaw.gpw"),
        ({"ISMEAR": "-7"}, "ISMEAR"),
    ],
)
def test_program_refuses_in_one_sentence_and_writes_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], incar: dict[str, str], word: str
) -> None:
    folder = job(incar)
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main([]) == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.startswith("kalloy-gpaw: ")
    assert said.count("\n") == 1
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("missing", ["INCAR", "KPOINTS", "POSCAR"])
def test_missing_file(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    folder = job()
    (folder / missing).unlink()
    monkeypatch.chdir(folder)
    assert main([]) == 2
    assert f"there is no {missing}" in capsys.readouterr().err


def test_a_second_file_of_k_points(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = job()
    (folder / "KPOINTS_OPT").write_text((folder / "KPOINTS").read_text())
    monkeypatch.chdir(folder)
    assert main([]) == 2
    assert "KPOINTS_OPT cannot be honoured" in capsys.readouterr().err


def test_tag_given_twice(job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = job()
    with (folder / "INCAR").open("a") as file:
        file.write("ENCUT = 500 # again\n")
    monkeypatch.chdir(folder)
    assert main([]) == 2
    assert "ENCUT is given twice" in capsys.readouterr().err


def test_left_handed_cell_and_selective_dynamics(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = job()
    text = (folder / "POSCAR").read_text()
    monkeypatch.chdir(folder)
    (folder / "POSCAR").write_text(text.replace("0.0 3.35 3.35\n3.35 0.0 3.35", "3.35 0.0 3.35\n0.0 3.35 3.35"))
    assert main([]) == 2
    assert "triple product" in capsys.readouterr().err
    fixed = text.replace("Direct", "Selective dynamics\nDirect").replace("0.0 0.0 0.0\n", "0.0 0.0 0.0 F F F\n")
    (folder / "POSCAR").write_text(fixed.replace("0.5 0.5 0.5\n", "0.5 0.5 0.5 T T T\n"))
    assert main([]) == 2
    assert "selective dynamics" in capsys.readouterr().err


def test_missing_gpaw_is_one_sentence(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.chdir(job())
    monkeypatch.setitem(sys.modules, "gpaw", None)
    assert main([]) == 2
    said = capsys.readouterr().err
    assert "GPAW" in said
    assert "pip install" in said
    assert said.count("\n") == 1
