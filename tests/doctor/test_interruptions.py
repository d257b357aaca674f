"""What a dead driver, a dead machine or a damaged index leave behind."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kalloy.workflows.attempt import CLAIM, Attempt, attempts, claim
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.doctor.finding import Mark
from kalloy.workflows.doctor.interruptions import claims, driver, index, unanswered
from kalloy.workflows.files import read_json, write_json
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import Asked, write_attempts
from kalloy.workflows.lock import LOCK_FILE, driver_lock
from kalloy.workflows.steps import select
from tests.doctor.conftest import MakeCampaign


def test_no_driver_yet_and_one_at_work(tmp_path: Path) -> None:
    assert driver(tmp_path).words == "none has worked here yet"
    with driver_lock(tmp_path):
        found = driver(tmp_path)
    assert found.mark is Mark.OK
    assert found.words.startswith(f"at work: pid {os.getpid()} on ")
    assert driver(tmp_path).words.startswith(f"none at work; the last was pid {os.getpid()} on ")


def test_looking_at_the_lock_gives_it_back(tmp_path: Path) -> None:
    with driver_lock(tmp_path):
        pass
    driver(tmp_path)
    with driver_lock(tmp_path):
        pass


def test_a_lock_that_is_held_by_nobody_who_lives(tmp_path: Path) -> None:
    """A child that inherited it, as a file server that has not noticed a death would hold it."""
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom kalloy.workflows.lock import driver_lock\n"
        "with driver_lock(Path(sys.argv[1])):\n"
        " if os.fork() == 0: time.sleep(60)\n"
        " os._exit(0)\n"
    )
    begun = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    begun.wait(timeout=60)
    try:
        found = driver(tmp_path)
    finally:
        os.killpg(begun.pid, 9)
    assert found.mark is Mark.WARNING
    assert found.words.endswith("who took it, is gone")
    assert str(tmp_path / LOCK_FILE) in (found.mend or "")


@pytest.mark.parametrize("text", ["", "not json", "[1]"])
def test_a_lock_file_without_a_name(text: str, tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text(text)
    assert driver(tmp_path).words == "none at work; the last was somebody"


@pytest.fixture
def begun(make: MakeCampaign) -> tuple[Campaign, Attempt]:
    """A campaign whose host has been claimed by this process."""
    campaign = make(engine="gpaw")
    select(campaign, 1)
    write_attempts(campaign, [Asked(campaign.member("host"), Stage.RELAX)])
    (attempt,) = attempts(campaign.calculation("host", Stage.RELAX))
    assert claim(attempt)
    return campaign, attempt


def disown(attempt: Attempt, **who: object) -> None:
    path = attempt.folder / CLAIM / "owner.json"
    write_json(path, {**read_json(path), **who})


def test_attempts_that_run(begun: tuple[Campaign, Attempt]) -> None:
    campaign, _ = begun
    assert [(f.mark, f.words) for f in claims(campaign)] == [(Mark.OK, "1 running, 0 done, of 1")]


def test_attempts_of_another_machine(begun: tuple[Campaign, Attempt]) -> None:
    campaign, attempt = begun
    disown(attempt, host="node17", boot="another")
    (found,) = claims(campaign)
    assert found.mark is Mark.WARNING
    assert found.words.startswith("claimed where this machine cannot look: 1 on node17 (host relax since ")
    assert found.mend is not None
    assert "--take-over" in found.mend


def test_attempts_that_ended_without_a_word(begun: tuple[Campaign, Attempt]) -> None:
    campaign, attempt = begun
    disown(attempt, boot="an earlier one")
    (found,) = claims(campaign)
    assert (found.mark, found.words) == (Mark.WARNING, "1 ended without a word (host relax)")


def test_records_that_somebody_changed(begun: tuple[Campaign, Attempt]) -> None:
    campaign, attempt = begun
    (attempt.folder / CLAIM / "owner.json").write_text("{")
    (found,) = claims(campaign)
    assert found.mark is Mark.FAILURE
    assert "owner.json" in found.words


def test_submissions_without_an_answer(make: MakeCampaign) -> None:
    campaign = make(site="cluster", tables='[site.cluster]\nscheduler = "slurm"')
    assert unanswered(campaign) is None
    for tag, answer in (("kaaa", None), ("kbbb", "submitted.json"), ("kccc", "void.json")):
        folder = campaign.batches / tag
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"attempts": []}')
        if answer:
            (folder / answer).write_text(json.dumps({"id": "7"}))
    found = unanswered(campaign)
    assert found is not None
    assert found.words == "1 without the scheduler's answer (kaaa)"


def test_the_index(tmp_path: Path) -> None:
    path = tmp_path / "kalloy.db"
    assert index(path) is None
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE results (x)")
        connection.executemany("INSERT INTO results VALUES (?)", [("y" * 900,) for _ in range(200)])
    connection.close()
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    found = index(path)
    assert found is not None
    assert found.mark is Mark.OK
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    busy = index(path)
    writer.close()
    assert busy is not None
    assert (busy.mark, busy.words) == (Mark.OK, "in use")


@pytest.mark.parametrize("spoil", ["text", "middle"])
def test_a_damaged_index(spoil: str, tmp_path: Path) -> None:
    path = tmp_path / "kalloy.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE results (x)")
        connection.executemany("INSERT INTO results VALUES (?)", [("y" * 900,) for _ in range(200)])
    connection.close()
    raw = path.read_bytes()
    path.write_bytes(b"no database at all" * 60 if spoil == "text" else raw[:5000] + b"\xff" * 8000 + raw[13000:])
    found = index(path)
    assert found is not None
    assert found.mark is Mark.FAILURE
    assert "kalloy status --rebuild" in (found.mend or "")


def test_a_campaign_is_not_changed_by_a_look(begun: tuple[Campaign, Attempt]) -> None:
    campaign, _ = begun
    before = {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in campaign.root.rglob("*")}
    time.sleep(0.02)
    driver(campaign.root)
    list(claims(campaign))
    after = {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else None) for p in campaign.root.rglob("*")}
    assert after == before
