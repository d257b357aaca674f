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
