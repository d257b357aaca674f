"""``kalloy doctor`` as one types it: exit codes, the list, JSON, and that nothing is changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kalloy.workflows.doctor.examination import groups, sites
from kalloy.workflows.doctor.finding import Mark
from kalloy.workflows.steps import selection_file
from tests.doctor.conftest import MakeCampaign


def say(kalloy: str, *words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [kalloy, "doctor", *words],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_campaign_without_its_engine(kalloy: str, make: MakeCampaign, tmp_path: Path) -> None:
    """A failure with its mend, exit code 1, and the campaign and the home as they were."""
    campaign = make()
    before = sorted(tmp_path.rglob("*"))
    done = say(kalloy, cwd=campaign.root)
    assert done.returncode == 1, done.stderr
    assert "none is named: VASP cannot start" in done.stdout
    assert "mend: export PMG_VASP_PSP_DIR=" in done.stdout
    assert sorted(p for p in tmp_path.rglob("*") if ".cache" not in p.parts) == before
    lines = [line for line in done.stdout.splitlines() if line.startswith(("  ok", "  warning", "  failure"))]
    starts = {line.index(line[11:].split("  ")[0].strip()) for line in lines}
    assert starts == {11}  # aligned
    failures = done.stdout.splitlines()[-1].split(" ")[0]
    assert int(failures) == sum(line.startswith("  failure") for line in lines) > 0


def test_json_says_the_same(kalloy: str, make: MakeCampaign, tmp_path: Path) -> None:
    campaign = make()
    done = say(kalloy, str(campaign.root), "--json", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert {tuple(row) for row in rows} == {("schema", "group", "subject", "mark", "words", "mend")}
    assert {row["mark"] for row in rows} <= {"ok", "warning", "failure"}
    assert all(row["mend"] for row in rows if row["mark"] != "ok")  # no failure without its mend
    names = list(dict.fromkeys(row["group"] for row in rows))
    assert names == ["installation", "this machine", "campaign", "folders", "engines", "interruptions"]


def test_without_a_campaign(kalloy: str, tmp_path: Path, own_home: Path) -> None:
    (own_home / ".config/kalloy").mkdir()
    (own_home / ".config/kalloy/sites.toml").write_text('[site.cluster]\nscheduler = "pbs"\n')
    done = say(kalloy, cwd=tmp_path, PATH="/nowhere")
    assert done.returncode == 1
    assert "cluster: pbs" in done.stdout
    assert "qsub, qstat, qdel, qmgr not on PATH" in done.stdout


def test_what_is_no_campaign(kalloy: str, tmp_path: Path) -> None:
    done = say(kalloy, str(tmp_path / "nowhere"), cwd=tmp_path)
    assert done.returncode == 2
    assert "no kalloy.toml" in done.stderr


def test_a_broken_kalloy_toml_is_a_finding_and_the_rest_is_looked_at(make: MakeCampaign) -> None:
    root = make().root
    (root / "kalloy.toml").write_text("[host]\nstrukture = 1\n")
    found = {f.subject: f for group in groups(root) for f in group.look()}
    assert found["kalloy.toml"].mark is Mark.FAILURE
    assert "did you mean 'structure'?" in found["kalloy.toml"].words
    assert found["campaign folder"].mark is Mark.OK


def test_what_keeps_one_group_from_being_looked_at_stops_no_other(make: MakeCampaign) -> None:
    campaign = make(tables='[references]\nKBr = "KBr"\nmine = "mine.cif"')
    found = [(group.name, f) for group in groups(campaign.root) for f in group.look()]
    engines = [f for name, f in found if name == "engines"]
    assert engines[-1].mark is Mark.FAILURE
    assert "mine.cif" in engines[-1].words
    assert [name for name, _ in found][-1] == "interruptions"


def test_a_selection_that_somebody_changed(make: MakeCampaign) -> None:
    campaign = make()
    campaign.selections.mkdir()
    selection_file(campaign, 1).write_text("{")
    last = [f for group in groups(campaign.root) if group.name == "interruptions" for f in group.look()]
    assert [f.subject for f in last if f.mark is Mark.FAILURE] == ["records"]


def test_everything_that_is_looked_at_is_in_the_docs(kalloy: str, make: MakeCampaign, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    campaign = make(tables='[site.far]\nssh = "nowhere.invalid"\nfolder = "/x"\n[site.q]\nscheduler = "slurm"')
    for group in groups(campaign.root):
        assert f"**{group.name.split(' far')[0].split(' q')[0]}" in page
        for finding in group.look():
            assert f"`{finding.subject.split(': ')[-1]}`" in page, finding


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[site.a]\nscheduler = 'slrm'\n", "[site.a]"),
        ("[site.a\n", "not valid TOML"),
        ("site = 3\n", "no table of machines"),
        ("[cluster]\n", "unknown key 'cluster'"),
    ],
)
def test_a_broken_sites_toml(text: str, words: str, own_home: Path) -> None:
    (own_home / ".config/kalloy").mkdir()
    (own_home / ".config/kalloy/sites.toml").write_text(text)
    _, (found,) = sites(None)
    assert (found.mark, found.subject) == (Mark.FAILURE, "sites.toml")
    assert words in found.words
