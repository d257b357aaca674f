"""What a soak happens in: a campaign of the stand-in engine, the commands that carry it, the machine that runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
KALLOY = Path(sys.executable).with_name("kalloy")
ENGINE = f"{sys.executable} {TESTS / 'standin_engine.py'}"
SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "primitive"

[[substitution]]
replace = "Br"
with = "Cl"
count = {counts}

[calculation]
preset = "laptop"
engine = "gpaw"
site = "{site}"

[[step]]
stages = ["relax", "static"]
on = "all"

[[step]]
stages = ["dos", "bands"]
on = {{ host = true, lowest = 1 }}

[site.local]
jobs = {at_once}
commands = {{ gpaw = "{engine}" }}

[site.slurm]
scheduler = "slurm"
poll = 1.0
lag = 2.0
commands = {{ gpaw = "{engine}" }}
options = {{ partition = "debug", time = "00:10:00" }}
jobs = {{ pack = {pack}, at_once = {at_once} }}
"""
CONFIGURATIONS = {2: 9, 3: 19, 4: 50, 5: 66, 6: 90, 7: 66}
"""Distinct ways to put so many Cl on the twelve Br of the primitive cell."""
STEP_SECONDS = "0.1"
"""The pause of the engine's ionic steps: time to be killed in."""


@dataclass(frozen=True)
class Setting:
    """One campaign, and what is needed to work on it."""

    root: Path
    environment: dict[str, str]

    @property
    def ledger(self) -> Path:
        """Where the engine itself writes which attempts it has begun and ended; kalloy knows nothing of it."""
        return self.root.with_name(f"{self.root.name}.ledger")

    def counts(self, word: str) -> Counter[str]:
        """How often the engine wrote ``start`` or ``end`` of each attempt."""
        lines = self.ledger.read_text().splitlines() if self.ledger.is_file() else []
        return Counter(line.split()[1] for line in lines if line.split()[0] == word)

    def run(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A kalloy command on the campaign to its end."""
        return subprocess.run(
            [str(KALLOY), *words, str(self.root)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """A kalloy command in a process group of its own, as a shell starts it."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [str(KALLOY), *words, str(self.root)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_hear_everything,
            )

    def read(self, *words: str) -> Any:
        """What a command prints as JSON."""
        done = self.run(*words, "--json")
        assert done.stdout, done
        return json.loads(done.stdout)

    def processes(self, word: str) -> list[int]:
        """Processes of this campaign whose command line holds a word: runners by ``execute``, engines by their name."""
        return [pid for pid in pids() if self._is_mine(pid, word)]

    def _is_mine(self, pid: int, word: str) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            where = os.readlink(f"/proc/{pid}/cwd")
        except OSError:  # it has ended
            return False
        return any(word in w for w in words) and any(w.startswith(f"{self.root}/") for w in (*words, where))


def _hear_everything() -> None:
    """A shell's background job ignores Ctrl-C, one of nohup SIGHUP; and what they start inherits that."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)


def pids() -> list[int]:
    """Every process there is."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def new_setting(
    root: Path, site: str, counts: Sequence[int], *, pack: int, at_once: int, environment: dict[str, str]
) -> Setting:
    """Write a campaign.

    Parameters
    ----------
    counts : how many Cl; see `CONFIGURATIONS`.
    pack, at_once : configurations a job, and jobs at a time.
    """
    root.mkdir(parents=True)
    text = SPEC.format(counts=list(counts), site=site, engine=ENGINE, pack=pack, at_once=at_once)
    (root / "kalloy.toml").write_text(text)
    own = {
        "STANDIN_LOG": str(root.with_name(f"{root.name}.ledger")),
        "STANDIN_MINIMUM": "1",
        "STANDIN_SECONDS": STEP_SECONDS,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return Setting(root, {**environment, **own})
