"""Real schedulers on this machine, started for the tests and ended after them; campaigns that use them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kalloy.workflows.attempt import State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.board import all_standings
from tests.specs import ONE_K

HERE = Path(__file__).resolve().parent
STARTED = "KALLOY_TEST_SCHEDULERS"
"""In the environment: schedulers that can be started here, so that no test of theirs may be skipped."""
SPEC = (
    ONE_K
    + """

[calculation]
preset = "laptop"
engine = "gpaw"
site = "here"

[[step]]
stages = ["relax", "static"]
on = "all"

[site.here]
poll = 1.0
lag = 2.0
commands = {{ gpaw = "{engine}" }}
{site}
"""
)


@dataclass
class Cluster:
    """A scheduler that runs."""

    name: str
    environment: dict[str, str]
    kalloy: str
    standin: str
    options: str = ""
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def campaign(self, folder: Path, site: str = "", **environment: object) -> Campaign:
        """A campaign of three members and two stages on this scheduler; its jobs have this environment."""
        folder.mkdir(parents=True, exist_ok=True)
        exported = {**_PYTHON, "STANDIN_LOG": str(folder / "ledger"), **environment}
        setup = [f"export {k}='{v}'" for k, v in exported.items()]
        lines = f"scheduler = {self.name!r}\nsetup = {setup!r}\n{self.options}\n{site}"
        (folder / "kalloy.toml").write_text(SPEC.format(engine=self.standin, site=lines))
        return Campaign(folder)

    def run(self, *words: str, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
        """A kalloy command to its end."""
        env = {**self.environment, **environment}
        return subprocess.run(
            [self.kalloy, *words], env=env, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """A kalloy command in a process group of its own."""
        env = {**self.environment, **environment}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen([self.kalloy, *words], env=env, start_new_session=True, **pipes)
        self.started.append(process)
        return process

    def call(self, *words: str) -> str:
        """A command of the scheduler's."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout + done.stderr

    def ledger(self, campaign: Campaign) -> Counter[str]:
        """How often the engine was started in each attempt's folder."""
        path = campaign.root / "ledger"
        lines = path.read_text().splitlines() if path.is_file() else []
        return Counter(line.split()[1] for line in lines if line.startswith("start"))

    def shim(self, folder: Path, program: str, *lines: str) -> str:
        """A PATH on which a script of bash takes the place of a program, whose real path is ``$real`` in it."""
        real = shutil.which(program, path=self.environment["PATH"])
        script = folder / "bin" / program
        script.parent.mkdir()
        script.write_text("\n".join(["#!/bin/bash", f"real={real}", *lines]) + "\n")
        script.chmod(0o755)
        return f"{script.parent}:{self.environment['PATH']}"

    def change(self, campaign: Campaign, old: str, new: str) -> None:
        """Edit kalloy.toml."""
        spec = campaign.root / "kalloy.toml"
        assert old in spec.read_text()
        spec.write_text(spec.read_text().replace(old, new))

    def daemon(self, name: str) -> int:
        """The process of one of the scheduler's daemons."""
        root = Path(self.environment[f"{self.name.upper()}_TEST_ROOT"])
        return int((root / "run" / f"{name}.pid").read_text())

    def bring_up(self) -> None:
        """Start whatever of it does not run."""
        script = HERE / f"start-{self.name}.sh"
        subprocess.run(["bash", str(script)], env=self.environment, timeout=120, check=True, capture_output=True)

    def element(self, campaign: Campaign, index: int) -> str:
        """SLURM's name of a job of the only batch: ``7_0``; a plain number could mean the whole array."""
        (batch,) = campaign.batches.iterdir()
        listed = self.call("squeue", "-h", "-r", "-n", batch.name, "-o", "%i").split()
        return next(name for name in listed if name.endswith(f"_{index}"))

    def running(self, campaign: Campaign) -> int:
        """How many calculations run, as their files tell."""
        return sum(s.state is State.RUNNING for s in all_standings(campaign))

    def tries(self, campaign: Campaign) -> dict[str, int]:
        """Attempts of each calculation."""
        return {s.label: s.tries for s in all_standings(campaign)}

    def ends_well(self, campaign: Campaign) -> str:
        """Run it to its end: nothing was started twice, nothing is lost. What was said."""
        done = self.run("run", str(campaign.root))
        assert done.returncode == 0, done
        assert {s.state for s in all_standings(campaign)} == {State.DONE}
        runs = self.ledger(campaign)
        assert set(runs.values()) == {1}, runs
        lines = (campaign.root / "ledger").read_text().splitlines()
        ended = [line.split()[1].rsplit("/", 1)[0] for line in lines if line.startswith("end")]
        assert len(ended) == len(set(ended)) == 6
        return done.stdout

    def wait_for(self, what: Callable[[], Any], seconds: float = 240) -> None:
        """Until it is true."""
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.2)


_PYTHON = {k: os.environ[k] for k in ("PYTHONPATH",) if k in os.environ}


def _free_ports() -> int:
    """The first of five ports in a row that nobody uses."""
    for first in range(20000 + os.getpid() % 5000 * 5, 60000, 5):
        try:
            for port in range(first, first + 5):
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def _start(kind: str, kalloy: str, standin: str, **knobs: str) -> Iterator[Cluster]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip(f"a private {kind} needs root on Linux")
    # Short: sockets have paths of 108 characters at most.
    root = Path(tempfile.mkdtemp(prefix=f"k{kind}", dir="/tmp"))
    upper = kind.upper()
    env = {**os.environ, f"{upper}_TEST_ROOT": str(root), f"{upper}_TEST_PORT": str(_free_ports()), **knobs}
    log = root.with_suffix(".log")
    try:
        with log.open("w") as out:
            begun = subprocess.run(
                ["bash", str(HERE / f"start-{kind}.sh")], env=env, stdout=out, stderr=out, check=False, timeout=900
            )
        if begun.returncode:
            # Where it has started before, as .ci/run says, a failure is one.
            missing = pytest.fail if kind in os.environ.get(STARTED, "").split() else pytest.skip
            missing(f"{kind} cannot start here: {log.read_text().strip().splitlines()[-1:]}")
        text = subprocess.run(
            ["bash", "-c", f". {root}/env.sh; env -0"], env=env, capture_output=True, text=True, check=True
        ).stdout
        environment = dict(line.split("=", 1) for line in text.split("\0") if "=" in line)
        cluster = Cluster(kind, environment, kalloy, standin)
        yield cluster
        for process in cluster.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
    finally:
        subprocess.run(["bash", str(HERE / f"stop-{kind}.sh"), "--purge"], env=env, check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)
        log.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def slurm(kalloy: str, standin: str) -> Iterator[Cluster]:
    """SLURM that forgets jobs after 5 s and keeps no accounts."""
    for cluster in _start("slurm", kalloy, standin, SLURM_TEST_MINJOBAGE="5", SLURM_TEST_MSGTIMEOUT="3"):
        cluster.options = 'options = { partition = "debug", time = "00:10:00" }'
        yield cluster


@pytest.fixture(scope="session")
def sge(kalloy: str, standin: str) -> Iterator[Cluster]:
    """Grid Engine with its accounts."""
    for cluster in _start("sge", kalloy, standin):
        cluster.options = 'options = { queue = "all.q", time = "00:10:00" }'
        yield cluster


@pytest.fixture
def make_cluster(kalloy: str, standin: str) -> Callable[[str, dict[str, str]], Cluster]:
    """A cluster of stand-ins."""

    def make(name: str, environment: dict[str, str]) -> Cluster:
        return Cluster(name, environment, kalloy, standin)

    return make


@pytest.fixture(scope="module")
def slurm_with_accounts(kalloy: str, standin: str) -> Iterator[Cluster]:
    """SLURM with its accounts (MariaDB, slurmdbd) and a QOS ``tiny`` that takes three jobs."""
    knobs = {"SLURM_TEST_DBD": "1", "SLURM_TEST_MINJOBAGE": "5", "SLURM_TEST_MSGTIMEOUT": "3"}
    for cluster in _start("slurm", kalloy, standin, **knobs):
        cluster.options = 'options = { partition = "debug", time = "00:10:00" }'
        yield cluster
