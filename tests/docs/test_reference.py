"""The reference pages say what the code says, and the records that they describe are those that come out."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.workflows.attempt import Attempt
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.deadline import Deadline
from kalloy.workflows.execution.events import Events
from kalloy.workflows.execution.job import run_job
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import select
from kalloy.workflows.submission.batch import attempts_of, new_batch
from kalloy.workflows.submission.driver import write_step
from tests.docs.reference import FOLDER, MADE, filled
from tests.specs import ONE_K

SPEC = (
    ONE_K
    + """
[calculation]
preset = "smoke"
engine = "gpaw"
site = "cluster"

[[step]]
stages = ["relax", "static"]
on = {{ host = true, members = ["K1/c2"] }}

[site.cluster]
scheduler = "slurm"
commands = {{ gpaw = "{engine}" }}
"""
)


@pytest.mark.parametrize("name", MADE)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    page = (FOLDER / name).read_text()
    assert page == filled(page, MADE[name]()), "write it anew: python -m tests.docs.reference"


@pytest.mark.parametrize("name", MADE)
def test_everything_has_a_meaning(name: str) -> None:
    assert not re.findall(r"^\|.*\|\s*\|$", MADE[name](), re.MULTILINE)


def _described() -> dict[str, list[str]]:
    """Keys by the heading that they stand under."""
    _, *sections = re.split(r"^## ", (FOLDER / "files.md").read_text(), flags=re.MULTILINE)
    found = {}
    for section in sections:
        rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        found[section.splitlines()[0]] = sorted(key for row in rows for key in re.findall(r"`(\w+)`", row))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, standin: str) -> Path:
    """A campaign of which one batch has run the host and K1/c2, without any scheduler."""
    root = tmp_path_factory.mktemp("records") / "c"
    root.mkdir()
    (root / "kalloy.toml").write_text(SPEC.format(engine=standin))
    campaign = Campaign(root)
    write_step(campaign, select(campaign, 1))
    entries = [[Attempt(root / member / s / "a01") for s in ("relax", "static")] for member in ("host", "K1/c2")]
    batch = new_batch(campaign, entries, campaign.spec.machine.for_stage(Stage.RELAX))
    for index in range(len(entries)):
        listed, record = attempts_of(batch.folder / "manifest.json", index)
        events = Events.of_batch(batch.folder / "manifest.json", index, "1")
        run_job(listed, deadline=Deadline.of_job(None), events=events, tag=batch.tag, commands=record["commands"])
    return root


def _said(root: Path, *words: str) -> Any:
    return json.loads(CliRunner().invoke(cli, [words[0], str(root), *words[1:], "--json"]).stdout)


def _first(root: Path, pattern: str) -> Any:
    text = min(root.glob(pattern)).read_text()
    return json.loads(text.splitlines()[0] if pattern.endswith("l") else text)


def test_every_record_has_the_keys_that_are_described(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "kalloy.toml", tmp_path)  # where nothing has ended yet, the check has something to say
    found = {
        "member.json": _first(run, "K1/c2/member.json"),
        "attempt.json": _first(run, "K1/c2/static/a01/attempt.json"),
        "taken.json": _first(run, "K1/c2/static/a01/taken.json"),
        "kalloy-end.json": _first(run, "K1/c2/static/a01/kalloy-end.json"),
        "selections/NN-STAGES.json": _first(run, "selections/01-*.json"),
        "batches/TAG/manifest.json": _first(run, "batches/*/manifest.json"),
        "batches/TAG/events/INDEX.jsonl": _first(run, "batches/*/events/0.jsonl"),
        "kalloy members --json": _said(run, "members")[0],
        "kalloy status --json": _said(run, "status", "--no-query")[0],
        "kalloy check --json": _said(tmp_path, "check")[0],
        "kalloy collect --json": _said(run, "collect")[0],
        "kalloy average --json": _said(run, "average"),
        "kalloy rank --json": _said(run, "rank")[0],
    }
    assert {heading: sorted(record) for heading, record in found.items()} == _described()
