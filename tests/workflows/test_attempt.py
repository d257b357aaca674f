"""Attempts: one claim each, ever; a state that is read from files and living processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from kalloy.errors import EngineMissingError
from kalloy.workflows import attempt as attempt_module
from kalloy.workflows.attempt import Attempt, Outcome, State, attempts, claim, is_alive, process_start


def make(folder: Path) -> Attempt:
    folder.mkdir(parents=True)
    (folder / "attempt.json").write_text("{}")
    return Attempt(folder)


def state_of(attempt: Attempt) -> State:
    """A fresh look: a type checker takes a property for constant."""
    return attempt.state


def _try(folder: Path) -> bool:
    return claim(Attempt(folder), tag="race")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_of_many_claimants_exactly_one_wins(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        for n in range(20):
            attempt = make(tmp_path / f"a{n:02d}")
            assert sum(pool.map(_try, [attempt.folder] * 8)) == 1
            assert [p.name for p in attempt.folder.glob(".claim*")] == []
            owner = attempt.owner
            assert owner is not None
            assert owner["tag"] == "race"


def test_states_follow_the_files(tmp_path: Path) -> None:
    attempt = make(tmp_path / "a01")
    assert state_of(attempt) is State.READY
    assert claim(attempt)
    assert state_of(attempt) is State.RUNNING  # we are the owner and we live
    attempt.finish(Outcome.FAILED, cause="so")
    assert state_of(attempt) is State.FAILED


def test_a_claim_of_a_dead_process_is_lost(tmp_path: Path) -> None:
    attempt = make(tmp_path / "a01")
    code = f"from kalloy.workflows.attempt import *; assert claim(Attempt(Path({str(attempt.folder)!r})))"
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
    assert attempt.state is State.LOST


def test_an_owner_whose_number_was_used_again_is_dead(tmp_path: Path) -> None:
    attempt = make(tmp_path / "a01")
    claim(attempt)
    owner = attempt.owner
    assert owner is not None
    assert is_alive(owner)
    assert not is_alive({**owner, "started": owner["started"] - 1})
    assert not is_alive({**owner, "boot": "another"})
    assert is_alive({**owner, "host": "elsewhere"})


def test_nobody_is_taken_as_dead_where_no_process_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make(tmp_path / "a01"), make(tmp_path / "a02")
    claim(first)
    monkeypatch.setattr(attempt_module, "process_start", lambda pid: None)
    assert first.state is State.RUNNING
    with pytest.raises(EngineMissingError, match="no process can be seen under /proc"):
        claim(second)
    assert second.state is State.READY


def test_a_dead_leader_whose_engine_goes_on_is_alive(tmp_path: Path) -> None:
    """The claim's process is killed alone; what it started in its group still writes into the attempt."""
    attempt = make(tmp_path / "a01")
    code = (
        "import subprocess, time; from kalloy.workflows.attempt import *\n"
        f"assert claim(Attempt(Path({str(attempt.folder)!r})))\n"
        "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); time.sleep(60)"
    )
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True, text=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    leader.kill()
    leader.wait()
    leader.stdout.close()
    assert state_of(attempt) is State.RUNNING
    os.kill(child, 9)
    for _ in range(100):
        if process_start(child) is None:
            break
        time.sleep(0.02)
    assert state_of(attempt) is State.LOST


def test_attempts_are_listed_in_order_and_parts_are_not(tmp_path: Path) -> None:
    for name in ("a10", "a02", ".a11.1.part", "attic", "a01"):
        (tmp_path / name).mkdir()
    assert [a.folder.name for a in attempts(tmp_path)] == ["a01", "a02", "a10"]
    assert attempts(tmp_path / "none") == []


def test_the_end_record_is_whole(tmp_path: Path) -> None:
    attempt = make(tmp_path / "a01")
    attempt.finish(Outcome.DONE, cause=None)
    record = json.loads((attempt.folder / "kalloy-end.json").read_text())
    assert record["outcome"] == "done"
    assert attempt.end == record
