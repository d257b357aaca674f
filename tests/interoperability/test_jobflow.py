"""A campaign as a flow of jobflow's: run by jobflow, it gives what kalloy gives, and runs nothing twice."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kalloy.errors import CampaignError, EngineError, InputError
from kalloy.workflows.attempt import Attempt, Outcome, claim
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.flow_job import run_attempt
from kalloy.workflows.index import Index
from kalloy.workflows.steps import select
from kalloy.workflows.submission.driver import write_step
from kalloy.workflows.submission.flow import require_flow, written
from tests.workflows.conftest import SPEC

# Members do not wait for each other, of which jobflow warns.
pytestmark = pytest.mark.filterwarnings("ignore:Some jobs are not connected:UserWarning")
NAMES = [f"{member}/{stage}" for stage in ("relax", "static") for member in ("host", "K1/c1", "K1/c2")]
Exported = Callable[[], Any]


@pytest.fixture
def campaign(tmp_path: Path, standin: str, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """Its first step is written; the ledger tells what ran."""
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "kalloy.toml").write_text(SPEC.format(engine=standin, preset="laptop"))
    monkeypatch.setenv("STANDIN_LOG", str(tmp_path / "ledger"))
    made = Campaign(folder)
    write_step(made, select(made, 1))
    return made


@pytest.fixture
def exported(campaign: Campaign, kalloy: str, tmp_path: Path) -> Exported:
    """Exports by the command line and loads what it wrote, as a user of jobflow does."""
    pytest.importorskip("jobflow")
    from monty.serialization import loadfn

    folders = (tmp_path / f"flow-{i}" for i in range(9))

    def export() -> Any:
        folder = next(folders)
        line = [kalloy, "export", str(campaign.root), "-o", str(folder), "--as", "jobflow"]
        subprocess.run(line, check=True, capture_output=True)
        assert [p.name for p in folder.iterdir()] == ["flow.json"]
        return loadfn(folder / "flow.json")

    return export


def run(flow: Any, **options: Any) -> dict[str, Any]:
    """Each job's output by its name; of those that ended well."""
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore

    answers = run_locally(flow, log=False, store=JobStore(MemoryStore()), **options)
    return {job.name: answers[job.uuid][1].output for job in flow.jobs if job.uuid in answers}


def started(campaign: Campaign) -> list[str]:
    ledger = campaign.root.parent / "ledger"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return sorted(line.split()[1] for line in lines if line.startswith("start"))


def collected(campaign: Campaign) -> dict[str, Any]:
    index = Index(campaign)
    index.collect()
    return {f"{m}/{s}": json.loads(json.dumps(r.to_json())) for (m, s), r in index.results().items()}


def test_the_flow_is_the_written_attempts_in_the_order_of_their_parents(campaign: Campaign, exported: Exported) -> None:
    flow = exported()
    assert (flow.name, [job.name for job in flow.jobs]) == ("c", NAMES)
    jobs = {job.name: job for job in flow.jobs}
    for name, job in jobs.items():
        member, _, stage = name.rpartition("/")
        formula = campaign.member(member).crystal.formula
        said = {"campaign": "c", "member": member, "stage": stage, "attempt": "a01", "composition": formula}
        assert job.metadata == said
        after = [jobs[f"{member}/relax"].output] if stage == "static" else []
        assert job.function_kwargs == {"campaign": str(campaign.root), "attempt": f"{name}/a01", "after": after}
        assert job.input_uuids == tuple(output.uuid for output in after)


def test_jobflow_runs_it_to_what_kalloy_collects_and_ranks(campaign: Campaign, exported: Exported, kalloy: str) -> None:
    outputs = run(exported(), ensure_success=True)
    assert sorted(outputs) == sorted(NAMES)
    assert outputs == collected(campaign)
    assert started(campaign) == sorted(f"{name}/a01" for name in NAMES)
    line = [kalloy, "rank", str(campaign.root), "--json"]
    rows = json.loads(subprocess.run(line, check=True, capture_output=True).stdout)
    assert {row["member"] for row in rows} == {"host", "K1/c1", "K1/c2"}
    for row in rows:
        parsed = outputs[f"{row['member']}/static"]["parsed"]
        for name in ("energy_eV", "gap_eV", "direct_gap_eV", "volume_A3"):
            assert row[name] == pytest.approx(parsed[name], abs=1e-5)
        assert (row["character"] == "direct") is parsed["direct"]


def test_no_attempt_runs_twice(campaign: Campaign, exported: Exported) -> None:
    first = exported()
    outputs, ran = run(first, ensure_success=True), started(campaign)
    assert run(first, ensure_success=True) == outputs
    again = exported()
    assert run(again, ensure_success=True) == outputs
    assert {job.uuid for job in first.jobs}.isdisjoint(job.uuid for job in again.jobs)
    assert started(campaign) == ran


def test_the_next_step_comes_with_the_next_export(campaign: Campaign, exported: Exported) -> None:
    run(exported(), ensure_success=True)
    write_step(campaign, select(campaign, 2))
    flow = exported()
    new = [job.name for job in flow.jobs if job.name not in NAMES]
    assert {name.rpartition("/")[2] for name in new} == {"dos", "bands"}
    assert len(new) == 4
    assert run(flow, ensure_success=True) == collected(campaign)
    assert started(campaign) == sorted(f"{name}/a01" for name in [*NAMES, *new])


def test_a_job_fails_where_its_attempt_does(
    campaign: Campaign, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_FAIL", "K1/c1/relax")
    flow = exported()
    assert sorted(run(flow)) == sorted(name for name in NAMES if not name.startswith("K1/c1"))
    with pytest.raises(RuntimeError, match="did not finish"):
        run(flow, ensure_success=True)
    assert started(campaign) == sorted(f"{name}/a01" for name in NAMES if name != "K1/c1/static")


# -- the job's function, which needs no jobflow -----------------------------------------------


def test_a_failed_attempt_raises_with_its_cause(campaign: Campaign) -> None:
    Attempt(campaign.root / "host/relax/a01").finish(Outcome.FAILED, cause="unconverged")
    with pytest.raises(EngineError, match=r"host/relax/a01: not done: failed: unconverged; `kalloy status`"):
        run_attempt(str(campaign.root), "host/relax/a01")
    with pytest.raises(EngineError, match="parent 'host/relax' is not done"):
        run_attempt(str(campaign.root), "host/static/a01")
    assert started(campaign) == []


def test_what_another_runner_has_is_left_alone(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the same job of a scheduler, which may hold several jobs of a flow."""
    monkeypatch.setenv("KALLOY_JOB", "17")
    attempt = Attempt(campaign.root / "host/relax/a01")
    assert claim(attempt, tag="jobflow", job="17")
    owner = attempt.folder / "claim" / "owner.json"
    owner.write_text(json.dumps({**json.loads(owner.read_text()), "host": "elsewhere", "boot": "other"}))
    with pytest.raises(EngineError, match="claimed by another runner"):
        run_attempt(str(campaign.root), "host/relax/a01")
    assert started(campaign) == []


def test_what_a_newer_attempt_has_followed_is_left_alone(campaign: Campaign) -> None:
    (campaign.root / "host/relax/a02").mkdir()
    with pytest.raises(EngineError, match="a newer attempt has followed it"):
        run_attempt(str(campaign.root), "host/relax/a01")
    assert started(campaign) == []


def test_a_campaign_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone/host/relax/a01: no attempt: .*; run the flow where"):
        run_attempt(str(tmp_path / "gone"), "host/relax/a01")


# -- refusals -----------------------------------------------------------------------------------


def test_without_jobflow_or_anything_written_it_is_refused(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "kalloy.toml").write_text((campaign.root / "kalloy.toml").read_text())
    assert written(Campaign(empty)) == []
    monkeypatch.setattr("kalloy.workflows.submission.flow.find_spec", lambda name: importlib.util.find_spec("json"))
    with pytest.raises(CampaignError, match="nothing is written yet; `kalloy write`"):
        require_flow(Campaign(empty))
    monkeypatch.setattr("kalloy.workflows.submission.flow.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"jobflow is not installed; install it .* pip install '\.\[jobflow\]'"):
        require_flow(campaign)


def test_a_refused_or_rehearsed_export_writes_nothing(campaign: Campaign, kalloy: str, tmp_path: Path) -> None:
    line = [kalloy, "export", str(campaign.root), "-o", "out"]
    usual = (
        "campaign.tar.gz configurations.db configurations.extxyz cif/ ranking.csv, ranking.json, ranking.schema.json"
    )
    for more, names in ((["--as", "jobflow"], ["flow.json"]), ([], usual.split())):
        done = subprocess.run([*line, *more, "--dry-run"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert done.stdout.replace("out/", "").split() == names
    (tmp_path / "new").mkdir()
    shutil.copy(campaign.root / "kalloy.toml", tmp_path / "new")
    refused = [kalloy, "export", "new", "-o", "out", "--as", "jobflow"]
    done = subprocess.run(refused, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert "nothing is written yet" in done.stderr or "jobflow is not installed" in done.stderr
    assert not (tmp_path / "out").exists()
