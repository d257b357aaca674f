"""Several people, or several terminals of one, at the same campaign at the same moment."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kalloy.workflows.attempt import Attempt, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.submission.board import all_standings

Copy = Callable[[str, Path], Campaign]


def at_once(words: list[list[str]], **environment: str) -> list[subprocess.CompletedProcess[str]]:
    def run(line: list[str]) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **environment}
        return subprocess.run(line, capture_output=True, text=True, check=False, env=env, timeout=600)

    with ThreadPoolExecutor(len(words)) as pool:
        return list(pool.map(run, words))


@pytest.mark.slow
def test_of_several_drivers_one_drives(tmp_path: Path, copy_of: Copy, kalloy: str) -> None:
    campaign, ledger = copy_of("written", tmp_path / "c"), tmp_path / "ledger"
    done = at_once([[kalloy, "run", str(campaign.root)]] * 4, STANDIN_LOG=str(ledger), STANDIN_SECONDS="0.3")
    codes = [d.returncode for d in done]
    assert 0 in codes
    assert set(codes) <= {0, 4}
    for refused in (d for d in done if d.returncode == 4):
        assert "another driver works on" in refused.stderr
    assert {s.state for s in all_standings(campaign)} == {State.DONE}
    started = Counter(line.split()[1] for line in ledger.read_text().splitlines() if line.startswith("start"))
    assert set(started.values()) == {1}
    assert all(s.tries == 1 for s in all_standings(campaign))


@pytest.mark.slow
def test_several_retries_write_one_attempt(
    tmp_path: Path, copy_of: Copy, kalloy: str, fail_one: Callable[[Campaign], Attempt]
) -> None:
    campaign = copy_of("written", tmp_path / "c")
    fail_one(campaign)
    done = at_once([[kalloy, "retry", str(campaign.root)]] * 4)
    assert {d.returncode for d in done} <= {0, 4}
    assert len(attempts(campaign.calculation("host", Stage.RELAX))) == 2


def test_a_retry_looks_under_the_lock(
    tmp_path: Path, copy_of: Copy, fail_one: Callable[[Campaign], Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another one wrote between our start and our lock is seen."""
    from click.testing import CliRunner

    from kalloy.cli import cli
    from kalloy.workflows import lock

    campaign = copy_of("written", tmp_path / "c")
    fail_one(campaign)
    real, calls = lock.driver_lock, list[Path]()

    def late(root: Path) -> object:
        if not calls:
            calls.append(root)
            CliRunner().invoke(cli, ["retry", str(campaign.root)])
        return real(root)

    monkeypatch.setattr(lock, "driver_lock", late)
    said = CliRunner().invoke(cli, ["retry", str(campaign.root)])
    assert "nothing to try again" in said.output
    assert len(attempts(campaign.calculation("host", Stage.RELAX))) == 2


@pytest.mark.slow
def test_many_first_looks_make_one_whole_index(tmp_path: Path, copy_of: Copy, kalloy: str) -> None:
    campaign = copy_of("done", tmp_path / "c")
    for _ in range(3):
        campaign.index_file.unlink(missing_ok=True)
        done = at_once([[kalloy, "rank", "--json", str(campaign.root)]] * 6)
        assert [d.returncode for d in done] == [0] * 6, done
        assert len({d.stdout for d in done}) == 1
        assert len(json.loads(done[0].stdout)) == 3


def test_an_index_that_is_deleted_while_it_is_filled_is_filled_again(
    tmp_path: Path, copy_of: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kalloy.workflows import index as module

    campaign = copy_of("done", tmp_path / "c")
    for moment in range(1, 9):
        real, calls = module.store, list[int]()

        def dying(*given: object, real: object = real, calls: list[int] = calls, moment: int = moment) -> None:
            calls.append(1)
            if len(calls) == moment:
                campaign.index_file.unlink()
            real(*given)  # type: ignore[operator]

        campaign.index_file.unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(module, "store", dying)
            index = Index(campaign)
            index.collect()
        assert len(index.results()) == len(list(index.results().values())) == 8


def test_an_index_that_is_deleted_after_it_was_filled_is_read_to_the_end(tmp_path: Path, copy_of: Copy) -> None:
    campaign = copy_of("done", tmp_path / "c")
    index = Index(campaign)
    assert index.collect() == 8
    results = index.results()
    campaign.index_file.unlink()
    other = Index(campaign)  # which makes the file anew, with nothing in it
    assert len(other.results()) == 0
    assert len(list(results.values())) == 8
    assert len(results.columns(Stage.STATIC).members) == 3
    assert index.collect() == 8
    assert len(other.results()) == 8 or other.collect() == 0
