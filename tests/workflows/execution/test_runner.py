"""On the compute node: a stage takes what it needs from done parents, and leaves its end on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalloy.errors import CampaignError, EngineMissingError, InputError
from kalloy.workflows.attempt import Attempt, Outcome, claim
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.completion import complete
from kalloy.workflows.execution.engine import engine_command
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.files import hash_of, read_json
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt


def write(campaign: Campaign, stage: Stage) -> Attempt:
    return write_attempt(campaign, campaign.member("K1/c2"), stage)


def test_a_stage_is_never_completed_before_its_parents(campaign: Campaign) -> None:
    relax, static = write(campaign, Stage.RELAX), write(campaign, Stage.STATIC)
    with pytest.raises(CampaignError, match=r"parent 'K1/c2/relax' is not done"):
        complete(static)
    with pytest.raises(CampaignError, match=r"parent 'K1/c2/relax' is not done"):
        execute(static.folder)
    assert static.owner is None  # unclaimed: it may run once its parent is done
    assert relax.end is None


def test_the_chain_takes_structure_density_and_window(campaign: Campaign) -> None:
    relax, static, dos = (write(campaign, s) for s in (Stage.RELAX, Stage.STATIC, Stage.DOS))
    assert [execute(a.folder) for a in (relax, static, dos)] == [Outcome.DONE] * 3
    assert (static.folder / "POSCAR").read_bytes() == (relax.folder / "CONTCAR").read_bytes()
    assert (dos.folder / "gpaw.gpw").read_bytes() == (static.folder / "gpaw.gpw").read_bytes()
    taken = read_json(dos.folder / "taken.json")["taken"]
    assert [t["what"] for t in taken] == ["structure", "charge density", "energy window"]
    assert {t["from"] for t in taken} == {"static/a01"}
    assert taken[1]["sha256"] == hash_of(static.folder / "gpaw.gpw")
    incar = (dos.folder / "INCAR").read_text()
    assert incar.count("EMIN") == incar.count("EMAX") == 1
    assert taken[2]["EMIN"] == pytest.approx(taken[2]["vbm_eV"] - 6, abs=1e-3)
    before = incar
    complete(dos)  # twice changes nothing
    assert (dos.folder / "INCAR").read_text() == before
    ended = (relax.folder / "kalloy-end.json").read_text()
    assert execute(relax.folder) is Outcome.DONE  # what has ended is not run again
    assert (relax.folder / "kalloy-end.json").read_text() == ended


def test_a_potcar_put_into_a_first_stage_serves_the_later_ones(campaign: Campaign) -> None:
    relax, static = write(campaign, Stage.RELAX), write(campaign, Stage.STATIC)
    (relax.folder / "POTCAR").write_text("the user's own\n")
    (static.folder / "POTCAR.spec").write_text("Cs_sv\n")
    assert execute(relax.folder) is Outcome.DONE
    complete(static)
    assert (static.folder / "POTCAR").read_text() == "the user's own\n"
    taken = read_json(static.folder / "taken.json")["taken"]
    assert [(t["what"], t["from"]) for t in taken] == [("structure", "relax/a01"), ("POTCAR", "relax/a01")]


def test_a_claimed_attempt_is_left_alone(campaign: Campaign) -> None:
    relax = write(campaign, Stage.RELAX)
    assert claim(relax)
    assert execute(relax.folder) is None
    assert not (relax.folder / "OSZICAR").exists()


def test_an_engine_that_dies_is_failed_with_its_last_words(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FAIL", "K1/c2/relax")
    relax = write(campaign, Stage.RELAX)
    assert execute(relax.folder) is Outcome.FAILED
    assert relax.end is not None
    assert "told to fail (std_err.txt)" in relax.end["cause"]


def test_forces_left_at_nsw_are_unconverged(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_UNCONVERGED", "K1/c2/relax")
    relax = write(campaign, Stage.RELAX)
    assert execute(relax.folder) is Outcome.FAILED
    assert relax.end is not None
    assert relax.end["cause"].startswith("unconverged: ionic")


def test_a_relaxation_goes_on_from_a_complete_contcar_only(campaign: Campaign) -> None:
    first = write(campaign, Stage.RELAX)
    (first.folder / "CONTCAR").write_text("cut off\n1.0\n 3 0")
    member = campaign.member("K1/c2")
    second = write_attempt(campaign, member, Stage.RELAX, after=first)
    assert second.written["after"] == {"attempt": "a01", "goes_on_from": "POSCAR"}
    assert (second.folder / "POSCAR").read_text() == (first.folder / "POSCAR").read_text()
    moved = (first.folder / "POSCAR").read_text().replace("0.2500000000000000", "0.2600000000000000")
    (second.folder / "CONTCAR").write_text(moved[:-8])  # a coordinate cut off in its middle is a number still
    cut = write_attempt(campaign, member, Stage.RELAX, after=second)
    assert cut.written["after"]["goes_on_from"] == "POSCAR"
    (second.folder / "CONTCAR").write_text(moved)
    third = write_attempt(campaign, member, Stage.RELAX, after=second)
    assert third.written["after"] == {"attempt": "a02", "goes_on_from": "CONTCAR"}
    assert (third.folder / "POSCAR").read_text() == moved


def test_missing_engines_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineMissingError, match="'vasp_std' is not on PATH"):
        engine_command("vasp_std")
    with pytest.raises(InputError, match="is no attempt"):
        execute(tmp_path)


def test_an_error_nobody_foresaw_ends_with_its_cause(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(attempt: Attempt) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kalloy.workflows.execution.runner.complete", full)
    relax = write(campaign, Stage.RELAX)
    assert execute(relax.folder) is Outcome.FAILED
    assert relax.end is not None
    assert "No space left on device" in relax.end["cause"]


def test_the_users_own_window_stays(campaign: Campaign) -> None:
    path = campaign.root / "kalloy.toml"
    path.write_text(path.read_text().replace("[[step]]", "incar = { EMIN = -20.5, EMAX = 20.25 }\n\n[[step]]", 1))
    own = Campaign(campaign.root)
    for stage in (Stage.RELAX, Stage.STATIC, Stage.DOS):
        assert execute(write(own, stage).folder) is Outcome.DONE
    incar = (campaign.root / "K1/c2/dos/a01/INCAR").read_text()
    assert [line.split("=")[1].strip() for line in incar.splitlines() if line.startswith("EM")] == ["-20.5", "20.25"]
