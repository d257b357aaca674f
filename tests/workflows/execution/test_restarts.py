"""A relaxation of the cell is begun anew until it settles, in one attempt, and may be killed anywhere on the way."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pymatgen.io.vasp.inputs import Poscar

from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution import restarts
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.files import write_text
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt

PRESET = """
dated: "2026-11-24"
parent: laptop
summary: with restarts
relax_restarts: {until_steps: 2, at_most: 3}
"""


@pytest.fixture
def restarting(campaign: Campaign) -> Campaign:
    (campaign.root / "mine.yaml").write_text(PRESET)
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace('"laptop"', '"mine.yaml"'))
    return Campaign(campaign.root)


def relax(campaign: Campaign, after: Attempt | None = None) -> Attempt:
    return write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX, after=after)


def test_runs_go_on_from_contcar_until_one_is_short(restarting: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_STEPS", "5,3,2")
    attempt = relax(restarting)
    start = (attempt.folder / "POSCAR").read_text()
    assert execute(attempt.folder) is Outcome.DONE
    assert attempt.end
    runs = [(r["ionic_steps"], r.get("folder"), r["exit"]) for r in attempt.end["runs"]]
    assert runs == [(5, "run1", 0), (3, "run2", 0), (2, None, 0)]
    first, second = attempt.folder / "run1", attempt.folder / "run2"
    assert (first / "POSCAR").read_text() == start == (attempt.folder / "POSCAR.orig").read_text()
    assert (second / "POSCAR").read_text() == (first / "CONTCAR").read_text()
    assert (attempt.folder / "POSCAR").read_text() == (second / "CONTCAR").read_text()
    for folder in (first, second, attempt.folder):  # nothing is lost, and each run is a plain folder of its own
        names = {p.name for p in folder.iterdir()}
        assert names >= {"INCAR", "KPOINTS", "POSCAR", "CONTCAR", "OUTCAR", "OSZICAR", "vasprun.xml", "vasp.out"}
        assert (folder / "OSZICAR").read_text().count("F=") == {first: 5, second: 3}.get(folder, 2)


def test_what_does_not_settle_is_unconverged_and_goes_on(restarting: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_STEPS", "4")
    attempt = relax(restarting)
    assert execute(attempt.folder) is Outcome.FAILED
    assert attempt.end
    assert attempt.end["cause_class"] == "unconverged"
    assert "restart 3 took 4 ionic steps, and 2 at most are wanted" in attempt.end["cause"]
    assert attempt.end["goes_on"]
    assert len(attempt.end["runs"]) == 4
    again = relax(restarting, after=attempt)
    assert volume(again.folder / "POSCAR") == pytest.approx(volume(attempt.folder / "CONTCAR"))


def test_a_cell_that_stays_needs_no_restart(restarting: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_STEPS", "4")
    spec = restarting.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("[[step]]", "[calculation.incar.relax]\nISIF = 2\n\n[[step]]", 1))
    attempt = relax(Campaign(restarting.root))
    assert execute(attempt.folder) is Outcome.DONE
    assert not (attempt.folder / "run1").exists()


def test_a_run_that_fails_is_not_begun_anew(restarting: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_UNCONVERGED", "K1/c2/relax")
    attempt = relax(restarting)
    assert execute(attempt.folder) is Outcome.FAILED
    assert not (attempt.folder / "run1").exists()


class Killed(BaseException):
    """As a signal would end it: nothing catches it."""


def dying(n: int, call: Callable[..., object], calls: list[int]) -> Callable[..., object]:
    def call_or_die(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == n:
            raise Killed
        return call(*arguments)

    return call_or_die


def test_killed_while_a_run_is_put_away_a_new_attempt_goes_on(
    restarting: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write and every move is a place to die; no file is lost, and the structure is where it had come to."""
    monkeypatch.setenv("STANDIN_STEPS", "2")
    ran = relax(restarting)
    assert execute(ran.folder) is Outcome.DONE
    outputs = {name: (ran.folder / name).read_text() for name in ("vasprun.xml", "OUTCAR", "OSZICAR", "CONTCAR")}
    whole, n = False, 0
    while not whole:
        n += 1
        attempt = Attempt(restarting.root / f"killed-{n}/relax/a01")
        shutil.copytree(ran.folder, attempt.folder)
        calls: list[int] = []
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(restarts, "write_text", dying(n, write_text, calls))
            patch.setattr(Path, "rename", dying(n, Path.rename, calls))
            restarts.put_away(attempt.folder)
            whole = True
        for name, text in outputs.items():
            assert [p for p in attempt.folder.rglob(name) if p.read_text() == text], (n, name)
        again = relax(restarting, after=attempt)
        assert again.written["after"]["goes_on_from"] == "CONTCAR"
        assert volume(again.folder / "POSCAR") == pytest.approx(volume(ran.folder / "CONTCAR"))
    assert n > len(outputs) + 4


def test_killed_in_a_later_run_a_new_attempt_goes_on(
    restarting: Campaign, monkeypatch: pytest.MonkeyPatch, kalloy: str
) -> None:
    attempt = relax(restarting)
    environment = os.environ | {"STANDIN_STEPS": "3,9", "STANDIN_SECONDS": "0.3"}
    process = subprocess.Popen([kalloy, "execute", str(attempt.folder)], env=environment, start_new_session=True)
    patience = time.monotonic() + 120
    while not (attempt.folder / "run1/vasprun.xml").is_file() or not (attempt.folder / "OSZICAR").is_file():
        assert time.monotonic() < patience
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert attempt.end is None
    reached = volume(attempt.folder / "POSCAR")
    assert reached == pytest.approx(volume(attempt.folder / "run1/CONTCAR"))
    # The engine was writing CONTCAR when it was killed: then POSCAR has what the first run reached.
    (attempt.folder / "CONTCAR").write_text((attempt.folder / "CONTCAR").read_text()[:-9])
    again = relax(restarting, after=attempt)
    assert again.written["after"] == {"attempt": "a01", "goes_on_from": "POSCAR"}
    assert volume(again.folder / "POSCAR") == pytest.approx(reached)
    monkeypatch.setenv("STANDIN_STEPS", "2")
    assert execute(again.folder) is Outcome.DONE


def volume(path: Path) -> float:
    return float(Poscar.from_file(path, check_for_potcar=False).structure.volume)
