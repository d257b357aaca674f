"""What a stage takes: its charge density copied or linked, by records of any age, in files that the engine accepts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kalloy.errors import CampaignError
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.completion import complete
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.files import hash_of, read_json
from kalloy.workflows.gpaw_engine.main import main
from kalloy.workflows.inputs.path import band_path
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt

LINKS = 'dated: "2026-11-24"\nparent: laptop\nsummary: links\ncharge_density: link\n'


def with_preset(campaign: Campaign, text: str) -> Campaign:
    (campaign.root / "mine.yaml").write_text(text)
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace('"laptop"', '"mine.yaml"'))
    return Campaign(campaign.root)


def write(campaign: Campaign, stage: Stage) -> Attempt:
    member = campaign.member("K1/c2")
    return write_attempt(campaign, member, stage, path=band_path(member.crystal, member.label))


def static_done(campaign: Campaign) -> Attempt:
    relax, static = write(campaign, Stage.RELAX), write(campaign, Stage.STATIC)
    assert [execute(a.folder) for a in (relax, static)] == [Outcome.DONE] * 2
    return static


def density(attempt: Attempt) -> tuple[Path, dict[str, str]]:
    [taken] = [t for t in read_json(attempt.folder / "taken.json")["taken"] if t["what"] == "charge density"]
    return attempt.folder / "gpaw.gpw", taken


def test_a_charge_density_that_nothing_writes_to_is_linked(campaign: Campaign, tmp_path: Path) -> None:
    campaign = with_preset(campaign, LINKS)
    static, dos = static_done(campaign), write(campaign, Stage.DOS)
    assert execute(dos.folder) is Outcome.DONE
    link, taken = density(dos)
    assert taken["link"] == str(link.readlink()) == "../../static/a01/gpaw.gpw"
    assert taken["sha256"] == hash_of(static.folder / "gpaw.gpw")
    campaign.root.rename(tmp_path / "moved")  # the link goes along
    assert (tmp_path / "moved" / dos.folder.relative_to(campaign.root) / "gpaw.gpw").read_bytes()


@pytest.mark.parametrize("tag", ["LCHARG", "LWAVE"])
def test_where_the_engine_writes_the_file_it_is_copied_and_says_why(campaign: Campaign, tag: str) -> None:
    campaign = with_preset(campaign, f"{LINKS}incar: {{dos: {{{tag}: true}}}}\n")
    static, dos = static_done(campaign), write(campaign, Stage.DOS)
    before = hash_of(static.folder / "gpaw.gpw")
    complete(dos)
    copy, taken = density(dos)
    assert not copy.is_symlink()
    assert taken["not_linked"] == f"{tag} writes gpaw.gpw, through a link the parent's own"
    copy.write_text("another")
    assert hash_of(static.folder / "gpaw.gpw") == before == taken["sha256"]


def test_a_record_of_the_first_schema_is_completed_and_run(campaign: Campaign) -> None:
    """Parents were a mapping, and neither program nor restarts nor the manner of the density were said."""
    static, dos = static_done(campaign), write(campaign, Stage.DOS)
    record = read_json(dos.folder / "attempt.json")
    record["schema"] = 1
    record["parents"] = {parent["stage"]: parent["takes"] for parent in record["parents"]}
    for key in ("program", "nbands", "charge_density", "relax_restarts"):
        del record[key]
    (dos.folder / "attempt.json").write_text(json.dumps(record))
    assert execute(dos.folder) is Outcome.DONE
    copy, taken = density(dos)
    assert not copy.is_symlink()
    assert taken["sha256"] == hash_of(static.folder / "gpaw.gpw")


def bands_of(attempt: Attempt) -> tuple[int, dict[str, object]]:
    [taken] = [t for t in read_json(attempt.folder / "taken.json")["taken"] if t["what"] == "bands"]
    [line] = [words for words in (attempt.folder / "INCAR").read_text().splitlines() if words.startswith("NBANDS")]
    return int(line.split("=")[1]), taken


def test_bands_follow_from_the_parents(campaign: Campaign) -> None:
    """The stand-in fills 92 bands of K1's 184 electrons and has one more."""
    static_done(campaign)
    optics, soc = write(campaign, Stage.OPTICS), write(campaign, Stage.SOC)
    for attempt, nbands, source in (
        (optics, 184, {"occupied_bands": 92, "times_occupied": 2.0}),
        (soc, 186, {"bands": 93, "times_bands": 2.0}),
    ):
        asked = (attempt.folder / "INCAR").read_text()
        assert "NBANDS" not in asked
        complete(attempt)
        found, taken = bands_of(attempt)
        assert found == nbands
        assert {k: taken[k] for k in source} == source
        assert (taken["from"], taken["sha256"]) == ("static/a01", hash_of(attempt.folder / "INCAR"))
        # Killed before taken.json was there: the same comes again, and not twice.
        (attempt.folder / "taken.json").unlink()
        complete(attempt)
        assert bands_of(attempt)[0] == nbands
    assert "MAGMOM  = 66*0" in (soc.folder / "INCAR").read_text()


def test_bands_of_the_users_own_stay(campaign: Campaign) -> None:
    static_done(campaign)
    spec = campaign.root / "kalloy.toml"
    spec.write_text(spec.read_text().replace("[[step]]", "[calculation.incar.optics]\nNBANDS = 200\n\n[[step]]", 1))
    asked, edited = write(Campaign(campaign.root), Stage.OPTICS), write(campaign, Stage.SOC)
    assert asked.written["tags_of_the_user"] == ["NBANDS"]
    (edited.folder / "INCAR").write_text((edited.folder / "INCAR").read_text() + "NBANDS = 300\n")
    for attempt, nbands in ((asked, 200), (edited, 300)):
        before = (attempt.folder / "INCAR").read_text()
        complete(attempt)
        assert (attempt.folder / "INCAR").read_text() == before
        found, taken = bands_of(attempt)
        assert found == nbands
        assert taken["skipped"] == "NBANDS is in INCAR"


def test_nothing_is_taken_before_every_parent_is_done(campaign: Campaign) -> None:
    static_done(campaign)
    dos = write(campaign, Stage.DOS)
    record = read_json(dos.folder / "attempt.json")
    record["parents"].append({"member": "host", "stage": "relax", "takes": ["cell"]})
    (dos.folder / "attempt.json").write_text(json.dumps(record))
    before = sorted(p.name for p in dos.folder.iterdir())
    with pytest.raises(CampaignError, match="parent 'host/relax' is not done"):
        complete(dos)
    assert sorted(p.name for p in dos.folder.iterdir()) == before


@pytest.mark.engine
def test_the_free_engine_accepts_every_stage_that_it_can_run(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    static = static_done(campaign)
    stages = [stage for stage in Stage if "gpaw" in stage.engines]
    assert set(stages) == set(Stage) - {Stage.HSE}
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    for stage in stages:
        attempt = write(campaign, stage)
        complete(attempt)
        monkeypatch.chdir(attempt.folder)
        assert main(["--check"]) == 0, stage
        if Stage.STATIC in stage.parents:
            assert hash_of(attempt.folder / "gpaw.gpw") == hash_of(static.folder / "gpaw.gpw")
