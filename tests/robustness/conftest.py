"""A small campaign at every point of its life, and commands typed at it in this process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kalloy.cli import main
from kalloy.cli.stopping import SIGNALS
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.deadline import Deadline
from kalloy.workflows.execution.job import run_job
from kalloy.workflows.steps import select
from kalloy.workflows.submission.driver import write_step
from tests.specs import ONE_K

SPEC = (
    ONE_K
    + """

[calculation]
preset = "laptop"
engine = "gpaw"

[[step]]
stages = ["relax", "static"]
on = "all"

[[step]]
stages = ["dos"]
on = {{ host = true, lowest = 1 }}

[site.local]
jobs = 2
commands = {{ gpaw = "{engine}" }}
"""
)


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def is_clear(self) -> bool:
        """Whether an error was told in one sentence."""
        return "unexpected" not in self.err and "Traceback" not in self.err


Typed = Callable[..., Said]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command: the whole command line, in this process."""

    def type_(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["kalloy", *map(str, words)])
        before = {number: signal.getsignal(number) for number in SIGNALS}
        capsys.readouterr()
        try:
            main()
        except SystemExit as error:
            code = error.code
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        printed = capsys.readouterr()
        assert isinstance(code, int)
        return Said(code, printed.out, printed.err)

    return type_


def carry_on(campaign: Campaign, step: int) -> None:
    """Select, write and execute one step, in this process."""
    selection = select(campaign, step)
    write_step(campaign, selection)
    folders = [campaign.calculation(m, s) / "a01" for m in selection.members for s in selection.stages]
    for _, outcome, words in run_job([Attempt(folder) for folder in folders], deadline=Deadline()):
        assert outcome == "done", words


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory, standin: str) -> dict[str, Path]:
    """Campaign folders: ``new``, ``written`` (its first step), ``done`` (everything); never to be worked in."""
    root = tmp_path_factory.mktemp("states")
    campaign = root / "new"
    campaign.mkdir()
    (campaign / "kalloy.toml").write_text(SPEC.format(engine=standin))
    found = {"new": campaign}
    for name in ("written", "done"):
        found[name] = Path(shutil.copytree(campaign, root / name))
    written = Campaign(found["written"])
    write_step(written, select(written, 1))
    done = Campaign(found["done"])
    carry_on(done, 1)
    carry_on(done, 2)
    done.index_file.unlink()
    return found


@pytest.fixture
def copy_of(states: dict[str, Path]) -> Callable[[str, Path], Campaign]:
    """Makes a campaign of a state, to be worked in."""

    def copy(state: str, folder: Path) -> Campaign:
        return Campaign(Path(shutil.copytree(states[state], folder, symlinks=True)))

    return copy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    yield from _mounted(tmp_path / "disk", ["-t", "tmpfs", "-o", "size=6m", "tmpfs"])


def _mounted(place: Path, words: list[str]) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux")
    place.mkdir()
    done = subprocess.run(["mount", *words, str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


@pytest.fixture
def to_read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a folder one that may only be read, also for root."""
    made: list[Path] = []

    def bind(folder: Path) -> None:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("mounting needs root on Linux")
        for words in (["--bind", str(folder)], ["-o", "remount,ro,bind"]):
            done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"cannot mount here: {done.stderr.strip()}")
            made.append(folder)

    yield bind
    for folder in made[:1]:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


@pytest.fixture
def fail_one() -> Callable[[Campaign], Attempt]:
    """Lets the host's relaxation have ended as unconverged, so that there is something to retry."""

    def fail(campaign: Campaign) -> Attempt:
        attempt = Attempt(campaign.calculation("host", campaign.spec.step[0].stages[0]) / "a01")
        attempt.finish(Outcome.FAILED, cause="unconverged", cause_class="unconverged")
        return attempt

    return fail
