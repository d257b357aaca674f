"""Everything that is done to a campaign while it runs; which, when and to whom is drawn from one seed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.setting import Setting
from tests.soak.slurm import Slurm

MOST_FAULTS = 60
Fault = Callable[[], str | None]
DEATHS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOPPED = {0, 1, 4, *(-sign for sign in DEATHS), *(128 + sign for sign in DEATHS)}
"""How a driver may end here: 1 where a calculation failed because its engine was killed; 4 where a `kalloy write` or
`retry` came first; by the signal itself where that came before Python had begun."""


@dataclass(frozen=True)
class Bystander:
    """Another command at the same campaign at the same time."""

    words: tuple[str, ...]
    process: subprocess.Popen[bytes]
    codes: frozenset[int]
    """How it may end."""


@dataclass
class Saboteur:
    """Hurts one campaign, keeps its driver going, and remembers what it did."""

    setting: Setting
    chance: random.Random
    slurm: Slurm | None
    log: Path
    """What the drivers print."""
    done: Counter[str] = field(default_factory=Counter)
    bystanders: list[Bystander] = field(default_factory=list)
    driver: subprocess.Popen[bytes] | None = None
    began: float = field(default_factory=time.monotonic)

    def disturb(self, seconds: float) -> None:
        """One fault after the other, until the time is over or the campaign is done in spite of them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.done.total() < MOST_FAULTS and not self._is_finished():
            time.sleep(self.chance.expovariate(1.0))
            self._drive()
            self._hear_bystanders()
            fault = self.chance.choice(self.faults)
            if words := fault():
                self.done[fault.__name__] += 1
                print(f"  {time.monotonic() - self.began:5.1f} s  {words}", flush=True)
        self._end_driver(signal.SIGKILL)
        self._hear_bystanders(until_all_have_ended=True)

    @property
    def faults(self) -> list[Fault]:
        """The weights are how often a name stands here."""
        everywhere = [self.end_driver] * 4 + [self.kill_job] * 4 + [self.kill_runner_alone] * 2
        everywhere += [self.stop_job, self.kill_engine, self.second_driver, self.look, self.rebuild_index]
        everywhere += [self.delete_index] * 2
        if self.slurm is None:
            return everywhere
        theirs = [self.kill_controller, self.freeze_controller, self.kill_node_daemon, self.fail_node]
        return [*everywhere, *theirs, self.cancel_at_scheduler, self.requeue]

    # -- the driver --------------------------------------------------------------

    def _drive(self) -> None:
        """Type ``kalloy run`` again where it has ended."""
        if self.driver is None or (code := self.driver.poll()) is not None:
            assert self.driver is None or code in STOPPED, f"a driver ended with exit code {code}: {self.said()}"
            self.driver = self.setting.start("run", log=self.log)

    def said(self) -> str:
        """The last that drivers and bystanders have said."""
        return self.log.read_text(errors="replace")[-2000:]

    def _is_finished(self) -> bool:
        return self.driver is not None and self.driver.poll() == 0

    def _end_driver(self, sign: signal.Signals) -> None:
        if self.driver is not None and self.driver.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.driver.pid, sign)
            self.driver.wait(120)

    def end_driver(self) -> str | None:
        """At any moment of its life, its first second included; a person may stop it more than once."""
        sign = self.chance.choice(DEATHS)
        self._end_driver(sign)
        return f"driver: {sign.name}"

    def second_driver(self) -> str | None:
        """Whoever comes second is told so, or works because the first has just ended."""
        return self._beside(self.chance.choice(["write", "select", "retry"]), codes=(0, 1, 4))

    def _beside(self, *words: str, codes: Sequence[int]) -> str:
        process = self.setting.start(*words, log=self.log)
        self.bystanders.append(Bystander(words, process, frozenset(codes)))
        return f"at the same time: kalloy {' '.join(words)}"

    def _hear_bystanders(self, until_all_have_ended: bool = False) -> None:
        for one in list(self.bystanders):
            if until_all_have_ended:
                one.process.wait(300)
            if (code := one.process.poll()) is not None:
                assert code in one.codes, f"kalloy {' '.join(one.words)}: exit code {code}: {self.said()}"
                self.bystanders.remove(one)

    # -- jobs and engines --------------------------------------------------------

    def kill_job(self) -> str | None:
        """Runner and engine at once, as when memory runs out or the machine goes down."""
        return self._kill("execute", signal.SIGKILL, group=True)

    def kill_runner_alone(self) -> str | None:
        """The engine goes on without anybody who watches it."""
        return self._kill("execute", signal.SIGKILL, group=False)

    def stop_job(self) -> str | None:
        """The runner is asked to end."""
        return self._kill("execute", signal.SIGTERM, group=False)

    def kill_engine(self) -> str | None:
        """The engine alone: a failure that somebody has to look at, or a node's."""
        return self._kill("standin_engine", self.chance.choice([signal.SIGKILL, signal.SIGTERM]), group=False)

    def _kill(self, word: str, sign: signal.Signals, group: bool) -> str | None:
        found = sorted(self.setting.processes(word))
        if not found:
            return None
        pid = self.chance.choice(found)
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), sign) if group else os.kill(pid, sign)
        return f"{word} {pid}{' and its group' if group else ''}: {sign.name}"

    # -- the index -----------------------------------------------------------------

    def delete_index(self) -> str | None:
        """It is only an index."""
        (self.setting.root / "kalloy.db").unlink(missing_ok=True)
        return "kalloy.db deleted"

    def rebuild_index(self) -> str | None:
        """While a driver may be using it."""
        return self._beside("status", "--rebuild", codes=(0, 1, 3))

    def look(self) -> str | None:
        """Whoever looks disturbs nothing; 1 is a ranking of nothing yet."""
        return self._beside("rank", "--csv", codes=(0, 1))

    # -- the scheduler ---------------------------------------------------------------

    def kill_controller(self) -> str | None:
        """It forgets what it had not written down."""
        assert self.slurm
        self.slurm.kill("slurmctld", self.chance.uniform(0, 4))
        return "slurmctld: SIGKILL, started again"

    def freeze_controller(self) -> str | None:
        """Submissions time out, and happen nevertheless."""
        assert self.slurm
        seconds = self.chance.uniform(1, 8)
        self.slurm.freeze(seconds)
        return f"slurmctld: frozen for {seconds:.0f} s"

    def kill_node_daemon(self) -> str | None:
        """Its jobs go on without it."""
        assert self.slurm
        self.slurm.kill("slurmd", self.chance.uniform(0, 3))
        return "slurmd: SIGKILL, started again"

    def fail_node(self) -> str | None:
        """All jobs of the node end."""
        assert self.slurm
        self.slurm.fail_node()
        return "node: down, and back"

    def cancel_at_scheduler(self) -> str | None:
        """Past kalloy."""
        assert self.slurm
        if not (jobs := self.slurm.jobs()):
            return None
        job = self.chance.choice(jobs)
        self.slurm.call("scancel", job)
        return f"scancel {job}"

    def requeue(self) -> str | None:
        """The same job again."""
        assert self.slurm
        if not (jobs := self.slurm.jobs()):
            return None
        job = self.chance.choice(jobs)
        self.slurm.requeue(job)
        return f"scontrol requeue {job}"
