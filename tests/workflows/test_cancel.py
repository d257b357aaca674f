"""Cancelling on this machine: what waits never begins, what runs is ended, other machines' processes are left alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.attempt import CLAIM, State, claim
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import read_json, write_json
from kalloy.workflows.steps import select
from kalloy.workflows.submission import cancel as cancelling
from kalloy.workflows.submission.board import ASKED, all_standings
from kalloy.workflows.submission.driver import write_step
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.repetition import repeat


@pytest.fixture
def written(tmp_path: Path, make_campaign: Callable[[Path], Campaign]) -> Campaign:
    campaign = make_campaign(tmp_path / "c")
    write_step(campaign, select(campaign, 1))
    return campaign


def test_what_waits_is_fenced_off(written: Campaign) -> None:
    queue = Queue(written)
    asked = cancelling.to_cancel(written, queue, {"host"})
    assert [s.label for s in asked] == ["host relax", "host static"]
    assert cancelling.cancel(written, queue, asked, print) == 0
    states = {s.label: s.state for s in all_standings(written)}
    assert states["host relax"] is states["host static"] is State.CANCELLED
    assert states["K1/c1 relax"] is State.READY
    assert asked[0].attempt
    assert not claim(asked[0].attempt, tag="kjob", job="7")  # a job that starts at this moment leaves it alone


def test_by_state(written: Campaign) -> None:
    asked = cancelling.to_cancel(written, Queue(written), {"host", "K1/c1"}, {"ready"})
    assert [s.label for s in asked] == ["host relax", "K1/c1 relax"]


def test_the_processes_of_another_machine_are_not_ours(written: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "PATIENCE", 0.0)
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    attempt = all_standings(written)[0].attempt
    assert attempt
    claim(attempt, tag="by hand")
    owner = attempt.folder / CLAIM / "owner.json"
    elsewhere = {"host": "node017", "boot": "another", "group": bystander.pid, "pid": bystander.pid}
    write_json(owner, {**read_json(owner), **elsewhere})
    queue = Queue(written)
    assert cancelling.cancel(written, queue, cancelling.to_cancel(written, queue, {"host"}), print) == 1
    assert bystander.poll() is None
    os.killpg(bystander.pid, 9)
    bystander.wait()


def test_a_driver_that_sees_the_end_first_does_not_begin_anew(written: Campaign) -> None:
    """`kalloy cancel` has ended the process and not written the end record yet."""
    attempt = all_standings(written)[0].attempt
    assert attempt
    claim(attempt, tag="by hand")
    gone = subprocess.Popen(["true"])
    gone.wait()
    owner = attempt.folder / CLAIM / "owner.json"
    write_json(owner, {**read_json(owner), "pid": gone.pid, "group": gone.pid})
    assert all_standings(written)[0].state is State.LOST
    write_json(attempt.folder / ASKED, {"schema": 1, "asked": True})
    found = all_standings(written)
    assert (found[0].state, found[0].cause) == (State.CANCELLED, "cancelled while it ran")
    assert repeat(written, select(written, 1), found) == []
