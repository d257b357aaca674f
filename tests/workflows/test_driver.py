"""A campaign carried to its end by the stand-in engine: undisturbed, killed anywhere, locked, failing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kalloy.errors import AgreementError, CampaignError, LockedError
from kalloy.workflows.attempt import State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.lock import driver_lock
from kalloy.workflows.screening.ranking import rank
from kalloy.workflows.steps import select, selected, selection_file
from kalloy.workflows.submission.board import all_standings

ONE_CAMPAIGN = pytest.mark.xdist_group("finished")
"""They share one undisturbed campaign, whichever workers there are."""
ONE_STEP = '\n[[step]]\nstages = ["dos", "bands"]\non = { host = true, lowest = 1 }\n'


def start(kalloy: str, root: Path, log: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [kalloy, "run", str(root)],
        env={**os.environ, "STANDIN_LOG": str(log), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C, and what it starts inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    return out


@dataclass(frozen=True)
class Finished:
    """An undisturbed campaign of two steps."""

    root: Path
    out: str
    log: Path


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, make_campaign: Callable[[Path], Campaign], kalloy: str
) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    campaign = make_campaign(folder / "c")
    process = start(kalloy, campaign.root, folder / "log")
    out = finish(process)
    assert process.returncode == 0, out
    return Finished(campaign.root, out, folder / "log")


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Campaign:
    """The finished campaign, to be spoilt."""
    return Campaign(Path(shutil.copytree(finished.root, tmp_path / "copy")))


def one_step(campaign: Campaign) -> Campaign:
    """The same campaign without its second step: quicker."""
    path = campaign.root / "kalloy.toml"
    path.write_text(path.read_text().replace(ONE_STEP, ""))
    return Campaign(campaign.root)


@ONE_CAMPAIGN
def test_an_undisturbed_campaign_runs_everything_once(finished: Finished, kalloy: str) -> None:
    assert "to do: 3 × relax, 3 × static, 2 × dos, 2 × bands; 2 at a time" in finished.out
    again = start(kalloy, finished.root, finished.log)
    assert "every calculation is done" in finish(again)
    ends = [line.split()[1] for line in finished.log.read_text().splitlines() if line.startswith("end")]
    assert len(ends) == len(set(ends)) == 10  # 3 relax, 3 static, 2 dos, 2 bands


@ONE_CAMPAIGN
def test_the_record_says_who_and_why(finished: Finished) -> None:
    campaign = Campaign(finished.root)
    second = selected(campaign, 2)
    assert second is not None
    energies = {r["member"]: r["energy_eV"] for r in second.inputs if r["member"] != "host"}
    winner = min(energies, key=lambda m: energies[m])
    assert second.members == ("host", winner)
    assert second.path is not None
    assert second.path.member == winner
    kpoints = {(campaign.calculation(m, Stage.BANDS) / "a01" / "KPOINTS").read_text() for m in second.members}
    assert len(kpoints) == 1  # one path for the whole set


@ONE_CAMPAIGN
def test_the_report_is_self_contained(finished: Finished) -> None:
    campaign = Campaign(finished.root)
    page = (campaign.root / "report" / "index.html").read_text()
    assert page.count("<figure") == 7
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    rows = json.loads((campaign.root / "report" / "tables" / "ranking.json").read_text())
    assert [r["rank"] for r in rows] == [None, 1, 2]
    for figure in (campaign.root / "report" / "figures").glob("*.svg"):
        assert {figure.with_suffix(s).exists() for s in (".pdf", ".png", ".csv")} == {True}


@ONE_CAMPAIGN
def test_the_index_is_only_an_index(copy: Campaign) -> None:
    campaign, index = copy, Index(copy)
    before = index.results()
    campaign.index_file.unlink()
    assert index.collect() == 10
    assert index.results() == before
    assert index.collect() == 0


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 4, 5))])
def test_killed_anywhere_and_typed_again_it_finishes_and_repeats_nothing(
    campaign: Campaign, kalloy: str, tmp_path: Path, seed: int
) -> None:
    campaign, log, chance = one_step(campaign), tmp_path / "log", random.Random(seed)
    for _ in range(3):
        process = start(kalloy, campaign.root, log, STANDIN_SECONDS="0.3")
        time.sleep(chance.uniform(1.0, 7.0))
        os.killpg(process.pid, signal.SIGKILL)  # the driver; its jobs live on and are found again
        if chance.random() < 0.7:
            _kill_the_jobs(campaign)  # as when the machine goes down
        process.communicate()
    process = start(kalloy, campaign.root, log)
    out = finish(process)
    assert process.returncode == 0, out
    assert {s.state for s in all_standings(campaign)} == {State.DONE}
    ended = Counter(
        line.split()[1].rsplit("/", 1)[0] for line in log.read_text().splitlines() if line.startswith("end")
    )
    started = Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("start"))
    assert set(started.values()) == {1}  # no attempt was ever run twice
    for standing in all_standings(campaign):
        done = [a for a in attempts(campaign.calculation(standing.member, standing.stage)) if a.end]
        assert len(done) == 1, standing
        assert ended[f"{standing.member}/{standing.stage}"] >= 1


def _kill_the_jobs(campaign: Campaign) -> None:
    for standing in all_standings(campaign):
        owner = standing.attempt.owner if standing.attempt else None
        if standing.state is State.RUNNING and owner:
            try:
                os.killpg(owner["group"], signal.SIGKILL)
            except ProcessLookupError:
                continue


def test_an_interrupt_ends_the_jobs_too(campaign: Campaign, kalloy: str, tmp_path: Path) -> None:
    process = start(kalloy, one_step(campaign).root, tmp_path / "log", STANDIN_SECONDS="20")
    _wait_for_runners(campaign, 1)
    os.kill(process.pid, signal.SIGINT)
    out = finish(process)
    assert process.returncode == 130
    assert "type the same command again" in out
    assert not any(s.state is State.RUNNING for s in all_standings(campaign))


def test_an_interrupt_ends_what_an_earlier_driver_left(campaign: Campaign, kalloy: str, tmp_path: Path) -> None:
    first = start(kalloy, one_step(campaign).root, tmp_path / "log", STANDIN_SECONDS="30")
    _wait_for_runners(campaign, 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert any(s.state is State.RUNNING for s in all_standings(campaign))
    second = start(kalloy, campaign.root, tmp_path / "log", STANDIN_SECONDS="30")
    while not (campaign.root / "driver.lock").read_text().count(f'"pid": {second.pid},'):
        time.sleep(0.1)
    os.kill(second.pid, signal.SIGTERM)
    finish(second)
    deadline = time.monotonic() + 30
    while any(s.state is State.RUNNING for s in all_standings(campaign)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _wait_for_runners(campaign: Campaign, count: int) -> None:
    deadline = time.monotonic() + 60
    while sum(s.state is State.RUNNING for s in all_standings(campaign)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_second_driver_is_told_whose_the_campaign_is(campaign: Campaign, kalloy: str, tmp_path: Path) -> None:
    with driver_lock(campaign.root):
        process = start(kalloy, campaign.root, tmp_path / "log")
        out = finish(process)
        assert process.returncode == 4
        assert f"pid {os.getpid()}" in out
        with pytest.raises(LockedError), driver_lock(campaign.root):
            pass
    with driver_lock(campaign.root):  # free again
        pass


def test_a_failure_stops_the_funnel_and_can_be_tried_again(campaign: Campaign, kalloy: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(kalloy, campaign.root, log, STANDIN_FAIL="K1/c1/static")
    out = finish(process)
    assert process.returncode == 1
    assert "K1/c1 static: failed" in out
    assert "told to fail" in out
    assert selected(campaign, 2) is None
    with pytest.raises(CampaignError, match="K1/c1/static"):
        select(campaign, 2)
    process = start(kalloy, campaign.root, log)
    assert process.wait(300) == 1  # a failure is not tried again by itself
    process.communicate()
    retry = subprocess.run(
        [kalloy, "run", "--retry-failed", str(campaign.root)], env={**os.environ, "STANDIN_LOG": str(log)}, check=False
    )
    assert retry.returncode == 0
    tried = attempts(campaign.calculation("K1/c1", Stage.STATIC))
    assert [a.state for a in tried] == [State.FAILED, State.DONE]


@ONE_CAMPAIGN
def test_what_was_computed_differently_is_not_ranked(copy: Campaign, kalloy: str) -> None:
    campaign = copy
    vasprun = campaign.root / "K1/c1/static/a01/vasprun.xml"
    text = vasprun.read_text()
    assert 'name="ENMAX"> 200.0' in text
    vasprun.write_text(text.replace('name="ENMAX"> 200.0', 'name="ENMAX"> 250.0'))
    index = Index(campaign)
    index.rebuild()
    with pytest.raises(AgreementError) as caught:
        rank(campaign, index.results())
    assert "ENCUT (eV)" in str(caught.value)
    assert "250: K1/c1" in str(caught.value)
    relaxed = campaign.root / "K1/c1/relax/a01/vasprun.xml"
    vasprun.write_text(text)
    relaxed.write_text(relaxed.read_text().replace('name="ENMAX"> 200.0', 'name="ENMAX"> 300.0'))
    index.rebuild()
    with pytest.raises(AgreementError, match="300: K1/c1"):  # energies of differently relaxed structures
        rank(campaign, index.results())
    refused = subprocess.run([kalloy, "rank", str(campaign.root)], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "not made alike" in refused.stderr


def test_selections_are_append_only(campaign: Campaign) -> None:
    made = select(campaign, 1)
    before = selection_file(campaign, 1).read_text()
    assert select(campaign, 1) == made
    assert selection_file(campaign, 1).read_text() == before


def test_vasp_without_potcars_is_refused_once(tmp_path: Path, kalloy: str) -> None:
    words = ["--host", "Cs4PbBr6", "--cell", "primitive", "--replace", "Cs=K:1", "--preset", "paper-gamma"]
    subprocess.run([kalloy, "new", str(tmp_path / "c"), *words], check=True, capture_output=True)
    spec = tmp_path / "c" / "kalloy.toml"
    spec.write_text(spec.read_text() + '\n[site.local]\ncommands = { std = "true" }\n')
    clean = {k: v for k, v in os.environ.items() if k != "PMG_VASP_PSP_DIR"}
    done = subprocess.run(
        [kalloy, "run", str(tmp_path / "c")],
        capture_output=True,
        text=True,
        check=False,
        env={**clean, "HOME": str(tmp_path)},  # no .pmgrc.yaml of whoever runs the tests
    )
    assert done.returncode == 2
    assert "VASP cannot start without a POTCAR" in done.stderr
    assert "`kalloy write`" in done.stderr
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["kalloy.toml"]
