"""A private SLURM that is started, hurt and mended."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.soak.setting import TESTS

SCRIPTS = TESTS / "schedulers"


@dataclass(frozen=True)
class Slurm:
    """A SLURM of our own under one folder."""

    root: Path
    knobs: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """For commands that talk to it."""
        return {**os.environ, "SLURM_CONF": str(self.root / "etc" / "slurm.conf")}

    def up(self) -> None:
        """Start whatever of it is not alive."""
        env = {**os.environ, **self.knobs}
        words = ["bash", str(SCRIPTS / "start-slurm.sh")]
        # To a file: its daemons would keep a pipe open.
        with (self.root / "start.log").open("w+") as log:
            done = subprocess.run(words, env=env, stdout=log, stderr=log, check=False)
            log.seek(0)
            if done.returncode:
                raise RuntimeError(f"SLURM does not start:\n{log.read()}")

    def down(self) -> None:
        """End it and take it away."""
        command = ["bash", str(SCRIPTS / "stop-slurm.sh"), "--purge"]
        subprocess.run(command, env={**os.environ, **self.knobs}, check=False, capture_output=True)

    def daemon(self, name: str) -> int | None:
        """The process of ``slurmctld`` or ``slurmd``."""
        with suppress(OSError, ValueError):
            pid = int((self.root / "run" / f"{name}.pid").read_text())
            status = Path(f"/proc/{pid}/status").read_text()
            if f"Name:\t{name}\n" in status and "State:\tZ" not in status:
                return pid
        return None

    def call(self, *words: str) -> str:
        """One of its commands; whatever it says."""
        try:
            done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout

    def jobs(self) -> list[str]:
        """Running elements, as ``12_3``."""
        return self.call("squeue", "-h", "-r", "-t", "R", "-o", "%i").split()

    def kill(self, name: str, pause: float) -> None:
        """A daemon dies at once, and is started again after a while."""
        if pid := self.daemon(name):
            os.kill(pid, signal.SIGKILL)
        time.sleep(pause)
        while pid and self.daemon(name) == pid:  # on a busy machine it takes its time to die
            time.sleep(0.05)
        self.up()

    def freeze(self, pause: float) -> None:
        """The controller does not answer for a while."""
        if pid := self.daemon("slurmctld"):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(pause)
            os.kill(pid, signal.SIGCONT)

    def fail_node(self) -> None:
        """The only node goes down with all its jobs, and comes back."""
        node = self.call("sinfo", "-h", "-o", "%n").strip()
        self.call("scontrol", "update", f"nodename={node}", "state=down", "reason=soak")
        time.sleep(2)
        self.call("scontrol", "update", f"nodename={node}", "state=resume")

    def requeue(self, job: str) -> None:
        """An administrator puts a running job back into the queue, and it starts again at once."""
        self.call("scontrol", "update", f"jobid={job}", "requeue=1")
        self.call("scontrol", "requeue", job)
        deadline = time.monotonic() + 10
        while "PENDING" not in self.call("squeue", "-h", "-j", job, "-o", "%T") and time.monotonic() < deadline:
            time.sleep(0.3)
        self.call("scontrol", "update", f"jobid={job}", "starttime=now")  # it would wait for two minutes


@contextmanager
def private_slurm() -> Iterator[Slurm]:
    """For the block.

    Raises
    ------
    RuntimeError
        Where it cannot be started, with what it said: not root, or not installable.
    """
    root = Path(tempfile.mkdtemp(prefix="ksoak", dir="/tmp"))  # short, for its sockets
    knobs = {"SLURM_TEST_ROOT": str(root), "SLURM_TEST_PORT": str(_free_ports())}
    slurm = Slurm(root, {**knobs, "SLURM_TEST_MINJOBAGE": "5", "SLURM_TEST_MSGTIMEOUT": "3"})
    try:
        slurm.up()
        yield slurm
    finally:
        slurm.down()
        shutil.rmtree(root, ignore_errors=True)


def _free_ports() -> int:
    """The first of five in a row that nobody uses."""
    for first in range(20000 + os.getpid() % 5000 * 5, 60000, 5):
        try:
            for port in range(first, first + 5):
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
