"""How a scheduler's commands are called: bounded in time, in the language that the adapters read."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kalloy.workflows.submission.schedulers.vocabulary import LimitReached, Refused, Unknown

TIMEOUT = 60.0
"""Seconds; a scheduler's own time-out for messages is 10 s to 30 s."""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int | None
    """None where it did not come back in time, or is not there."""
    out: str
    err: str

    @property
    def unknown(self) -> Unknown:
        """Its last words, as an answer that proves nothing."""
        words = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return Unknown(words[-1] if words else f"exit code {self.code} without a word")


def call(words: Sequence[str], *, stdin: Path | None = None, timeout: float = TIMEOUT) -> Said:
    """Run a scheduler's command; its input is a file or nothing."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        with (stdin or Path(os.devnull)).open("rb") as given:
            done = subprocess.run(
                list(words), stdin=given, capture_output=True, timeout=timeout, env=environment, check=False
            )
    except FileNotFoundError:
        return Said(None, "", f"'{words[0]}' is not on PATH: is this machine a login node of the cluster?")
    except subprocess.TimeoutExpired:
        return Said(None, "", f"'{words[0]}' did not come back within {timeout:.0f} s")
    return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def not_accepted(
    said: Said, text: str, words: str, limit: re.Pattern[str], no: re.Pattern[str]
) -> LimitReached | Refused | Unknown:
    """What a submission proves that brought no job: nothing, unless it failed with words that are known.

    Parameters
    ----------
    text : where ``limit`` (submit later) and ``no`` (submit otherwise) are looked for.
    words : what a person is told.
    """
    if said.code not in (None, 0):
        if limit.search(text):
            return LimitReached(words)
        if no.search(text):
            return Refused(words)
    return Unknown(words)
