"""The program as custodian runs it: VaspJob, handlers that look on, validators, and a cure that is accepted."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine
Job = Callable[..., Path]
GAMMA = "mesh\n0\nGamma\n1 1 1\n"


def _under_custodian(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    from custodian import Custodian
    from custodian.vasp.handlers import (
        FrozenJobErrorHandler,
        NonConvergingErrorHandler,
        PositiveEnergyErrorHandler,
        PotimErrorHandler,
        UnconvergedErrorHandler,
        VaspErrorHandler,
        WalltimeHandler,
    )
    from custodian.vasp.jobs import VaspJob
    from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator

    monkeypatch.chdir(folder)
    handlers = [
        VaspErrorHandler(),
        UnconvergedErrorHandler(),
        NonConvergingErrorHandler(),
        PotimErrorHandler(),
        PositiveEnergyErrorHandler(),
        FrozenJobErrorHandler(),
        WalltimeHandler(wall_time=3600),
    ]
    command = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
    job = VaspJob(command, auto_npar=False, final=True)
    validators = [VasprunXMLValidator(), VaspFilesValidator()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report: list[dict[str, object]] = Custodian(
            handlers, [job], validators, max_errors=3, monitor_freq=1, polling_time_step=1
        ).run()
    return report


def test_a_sound_run_needs_no_correction(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job({"NSW": "0"}, GAMMA)
    report = _under_custodian(folder, monkeypatch)
    assert [entry["corrections"] for entry in report] == [[]]
    assert (folder / "vasp.out").read_text().count("PCG:") >= 3
    assert not (folder / "std_err.txt").read_text()


@pytest.mark.slow
def test_unconverged_electrons_do_not_pass_for_done(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Custodian sees from vasprun.xml that NELM was reached. Its cure, another ALGO, is accepted and does not help."""
    from custodian.custodian import CustodianError

    folder = job({"NSW": "0", "NELM": "4", "ALGO": "VeryFast"}, GAMMA)
    with pytest.raises(CustodianError):
        _under_custodian(folder, monkeypatch)
    log = json.loads((folder / "custodian.json").read_text())
    cures = [correction["actions"][0]["action"]["_set"] for correction in log[0]["corrections"]]
    assert cures[0] == {"ALGO": "Fast"}
    assert "NELM is reached" in (folder / "OUTCAR").read_text()
    assert not (folder / "std_err.txt").read_text()


# -- cures that help -----------------------------------------------------------------------


def _run_with(
    folder: Path, handlers: list[object], monkeypatch: pytest.MonkeyPatch, most: int = 4
) -> list[dict[str, list[dict[str, object]]]]:
    from custodian import Custodian
    from custodian.vasp.jobs import VaspJob
    from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator

    monkeypatch.chdir(folder)
    monkeypatch.delenv("CUSTODIAN_WALLTIME_START", raising=False)
    command = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
    job = VaspJob(command, auto_npar=False, backup=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Custodian(
            handlers,
            [job],
            [VasprunXMLValidator(), VaspFilesValidator()],
            max_errors=most,
            monitor_freq=1,
            polling_time_step=0.3,
        ).run()


QUICK = {"ENCUT": "100", "EDIFF": "1E-5"}


def _vasprun(folder: Path) -> object:
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Vasprun(folder / "vasprun.xml", parse_potcar_file=False)


def test_an_unfinished_relaxation_is_carried_on_to_its_end(job: Job, monkeypatch: pytest.MonkeyPatch, kbr: str) -> None:
    """UnconvergedErrorHandler: CONTCAR becomes POSCAR, until EDIFFG is met."""
    from custodian.vasp.handlers import UnconvergedErrorHandler

    tags = {**QUICK, "IBRION": "2", "ISIF": "2", "NSW": "3", "EDIFFG": "-0.1"}
    folder = job(tags, GAMMA, kbr.replace("0.5 0.5 0.5", "0.48 0.48 0.48"))
    (report,) = _run_with(folder, [UnconvergedErrorHandler()], monkeypatch)
    assert report["corrections"]
    assert {c["errors"][0] for c in report["corrections"]} == {"Unconverged"}  # type: ignore[index]
    assert _vasprun(folder).converged  # type: ignore[attr-defined]
    assert "IBRION = 1" in (folder / "INCAR").read_text()


def test_electrons_go_on_from_where_nelm_stopped_them(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """UnconvergedErrorHandler's last resort sets ISTART = 1: with LWAVE the next run begins where this one ended."""
    from custodian.vasp.handlers import UnconvergedErrorHandler

    folder = job({**QUICK, "NSW": "0", "NELM": "5", "ALGO": "All", "LWAVE": ".TRUE."}, GAMMA)
    (report,) = _run_with(folder, [UnconvergedErrorHandler()], monkeypatch)
    assert report["corrections"]
    assert "self-consistency begins with gpaw.gpw" in (folder / "vasp.out").read_text()
    assert _vasprun(folder).converged  # type: ignore[attr-defined]


def test_walltime_ends_a_relaxation_in_order(job: Job, monkeypatch: pytest.MonkeyPatch, kbr: str) -> None:
    """WalltimeHandler writes STOPCAR; the engine ends after the ionic step, with whole files."""
    from custodian.vasp.handlers import WalltimeHandler

    tags = {**QUICK, "IBRION": "2", "ISIF": "2", "NSW": "90", "EDIFFG": "-1E-9"}
    folder = job(tags, GAMMA, kbr.replace("0.5 0.5 0.5", "0.46 0.47 0.48"))
    (report,) = _run_with(folder, [WalltimeHandler(wall_time=3600, buffer_time=3600)], monkeypatch)
    assert report["corrections"][0]["errors"] == ["Walltime reached"]
    assert "soft stop encountered" in (folder / "OUTCAR").read_text()
    steps = _vasprun(folder).ionic_steps  # type: ignore[attr-defined]
    assert 1 <= len(steps) < 90


def test_a_checkpointed_relaxation_goes_on_from_its_last_geometry(
    job: Job, monkeypatch: pytest.MonkeyPatch, kbr: str
) -> None:
    """StoppedRunHandler archives a stopped run and starts the next from CONTCAR (its mark stays, so it never ends)."""
    from custodian.custodian import CustodianError
    from custodian.vasp.handlers import StoppedRunHandler
    from pymatgen.core import Structure

    tags = {**QUICK, "IBRION": "2", "ISIF": "2", "NSW": "90", "EDIFFG": "-1E-9"}
    folder = job(tags, GAMMA, kbr.replace("0.5 0.5 0.5", "0.46 0.47 0.48"))
    start = Structure.from_file(folder / "POSCAR")
    (folder / "STOPCAR").write_text("LSTOP = .TRUE.")
    (folder / "chkpt.yaml").write_text('Index: 0\nTime: "now"')
    with pytest.raises(CustodianError):
        _run_with(folder, [StoppedRunHandler()], monkeypatch, most=2)
    assert (folder / "vasp.chk.0.tar.gz").is_file()
    assert Structure.from_file(folder / "POSCAR") != start


def test_an_endless_self_consistency_is_ended(job: Job, monkeypatch: pytest.MonkeyPatch, kbr: str) -> None:
    """NonConvergingErrorHandler ends a relaxation whose every step runs into NELM; its cures are understood."""
    from custodian.custodian import CustodianError
    from custodian.vasp.handlers import NonConvergingErrorHandler

    tags = {**QUICK, "IBRION": "2", "ISIF": "2", "NSW": "90", "EDIFFG": "-1E-9", "NELM": "3", "ALGO": "All"}
    folder = job(tags, GAMMA, kbr.replace("0.5 0.5 0.5", "0.46 0.47 0.48"))
    with pytest.raises(CustodianError):
        _run_with(folder, [NonConvergingErrorHandler(nionic_steps=2)], monkeypatch, most=2)
    log = json.loads((folder / "custodian.json").read_text())
    assert log[0]["corrections"][0]["actions"][0]["action"]["_set"] == {
        "ALGO": "Normal",
        "AMIX": 0.1,
        "BMIX": 0.01,
        "ICHARG": 2,
    }
    assert not (folder / "std_err.txt").read_text()
