"""A job's time: the engine is asked to end by STOPCAR while it still can, and the runner leaves before it is killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from kalloy.errors import InputError
from kalloy.workflows.files import write_text

MARGIN = 600.0
"""Seconds before the deadline at which an engine is asked to end, at least."""
STEPS = 3
"""So many of its longest steps before the deadline, if that is earlier."""
WARNINGS = {signal.SIGUSR1: 60.0, signal.SIGUSR2: 60.0, signal.SIGXCPU: 60.0, signal.SIGTERM: 10.0}
"""Signals by which schedulers announce the end, and the seconds that are left then at least: Grid Engine's ``notify``
is 60 s by default; SIGTERM is followed by SIGKILL after 10 s (PBS, LSF) or 30 s (SLURM)."""
TERMINATION_SECONDS = 30
"""Between asking an engine to end and ending it."""


@dataclass(frozen=True)
class Deadline:
    """When a job's time is over."""

    at: float | None = None
    """Seconds since 1970; None where nothing says."""
    margin: float = MARGIN
    """Seconds before that at which engines are asked to end."""

    @classmethod
    def of_job(cls, at: float | None = None, margin: float = MARGIN) -> Deadline:
        """What is given, else what the environment says: ``KALLOY_DEADLINE``, ``SLURM_JOB_END_TIME``.

        In a job of less than four margins the margin is a quarter of the time it has.
        """
        if at is None:
            for name in ("KALLOY_DEADLINE", "SLURM_JOB_END_TIME"):
                if text := os.environ.get(name):
                    try:
                        at = float(text)
                    except ValueError:
                        raise InputError(f"'{text}' is no time in seconds since 1970", where=name) from None
                    break
        left = float("inf") if at is None else at - time.time()
        return cls(at, max(0.0, min(margin, left / 4)))

    @property
    def left(self) -> float:
        """Seconds until then; endless where it is not known."""
        return float("inf") if self.at is None else self.at - time.time()

    @property
    def is_near(self) -> bool:
        """Whether nothing new should be started."""
        return self.left <= self.margin


class Steps:
    """How long the steps of a running engine take, from what it adds to its OSZICAR; no engine is asked."""

    def __init__(self, folder: Path, ionic: bool) -> None:
        self._path = folder / "OSZICAR"
        self._mark = re.compile(rb"F=" if ionic else rb"(?m)^\s*[A-Za-z]{2,4}:\s+\d")
        self._read = 0
        self._since = time.monotonic()
        self.longest = 0.0

    def look(self) -> float:
        """Seconds of the longest step that has ended so far."""
        try:
            with self._path.open("rb") as file:
                if self._path.stat().st_size < self._read:  # a new run began it anew
                    self._read = 0
                file.seek(self._read)
                new = file.read()
        except OSError:
            return self.longest
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        if ended := len(self._mark.findall(whole)):
            now = time.monotonic()
            self.longest = max(self.longest, (now - self._since) / ended)
            self._since = now
        return self.longest


@dataclass
class Warden:
    """Watches over a job's engines: asks the running one to end in time, ends it at last, and says why.

    A context: inside it, the signals of `WARNINGS` ask the engine to end at once. STOPCAR asks by LSTOP in a
    relaxation (after the ionic step) and by LABORT elsewhere (after the electronic step), for LSTOP does nothing
    where no ions move. What has not ended when a fifth of the margin is left is terminated.
    """

    deadline: Deadline = field(default_factory=Deadline.of_job)
    scheduled: bool = True
    """Whether a scheduler sends the signals. SIGTERM to a job of this machine alone is a person's who stops it: it ends
    engine and runner at once, as Ctrl-C does."""
    why: str | None = None
    """Why the job comes to its end, in words; None while it does not."""
    is_walltime: bool = True
    """Whether its time was over, rather than that somebody ended it long before."""
    _folder: Path | None = None
    _relaxation: bool = False
    _steps: Steps | None = None
    _process: subprocess.Popen[bytes] | None = None
    _last: float = 0.0
    _asked: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _before: dict[int, Any] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Warden:
        if threading.current_thread() is threading.main_thread():
            heard = [sign for sign in WARNINGS if self.scheduled or sign is not signal.SIGTERM]
            self._before = {sign: signal.signal(sign, self._heard) for sign in heard}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._asked.set()
        if self._thread:
            self._thread.join()
        self.end_engine()  # which runs where we leave by an exception
        for sign, handler in self._before.items():
            signal.signal(sign, handler)

    def end_engine(self) -> None:
        """End the engine, where one runs."""
        if self._process is not None and self._process.poll() is None:
            end(self._process)

    def watch(self, process: subprocess.Popen[bytes], folder: Path, relaxation: bool) -> None:
        """The engine that runs from now on."""
        self._folder, self._relaxation, self._steps = folder, relaxation, Steps(folder, relaxation)
        self._process = process
        if self.why is not None:
            self._write_stopcar()

    def ask(self, why: str) -> None:
        """Ask the engine to end; the first reason is kept."""
        if self.why is None:
            self.why = why
            self._last = max(min(self.deadline.margin / 5, self.deadline.left / 3), 0.0)
            self._asked.set()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        sign = signal.Signals(number)
        why = f"the scheduler sent {sign.name}"
        if sign is signal.SIGTERM and self.why is None and self.deadline.at and not self.deadline.is_near:
            self.is_walltime = False
            left = _span(self.deadline.left)
            why = f"{sign.name} came {left} before the job's time was over: was it cancelled, or its node taken?"
        self.deadline = replace(self.deadline, at=time.time() + min(self.deadline.left, WARNINGS[sign]))
        self.ask(why)

    def _watch(self) -> None:
        tick = min(max(self.deadline.margin / 60, 0.02), 10.0)
        while not self._asked.wait(tick):
            step = self._steps.look() if self._steps else 0.0
            if self.deadline.at is not None and self.deadline.left <= max(self.deadline.margin, STEPS * step):
                self.ask(f"{_span(self.deadline.left)} of the job's time were left")
        if self._over.is_set():
            return
        self._write_stopcar()
        while not self._over.wait(min(0.5, tick)):
            if self.deadline.left <= self._last and self._process is not None and self._process.poll() is None:
                end(self._process, patience=self._last / 2)

    def _write_stopcar(self) -> None:
        if self._folder is None:
            return
        tag = "LSTOP" if self._relaxation else "LABORT"
        try:
            write_text(self._folder / "STOPCAR", f"{tag} = .TRUE.\n")
        except OSError as error:  # then it is terminated at the last moment
            print(f"kalloy: cannot write STOPCAR: {error}", file=sys.stderr)


def end(process: subprocess.Popen[bytes], patience: float = TERMINATION_SECONDS) -> None:
    """Terminate an engine; kill it where that does not help."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _span(seconds: float) -> str:
    """``3:20:00 h``, ``12 s``."""
    whole = max(round(seconds), 0)
    return f"{whole} s" if whole < 600 else f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
