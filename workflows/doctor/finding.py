"""A finding: a thing that was looked at, how it is, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    """Works, or is not needed now; somebody may be surprised later."""
    FAILURE = "failure"
    """What is asked cannot be done."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    mark: Mark
    subject: str
    """A few words: ``GPAW``, ``scheduler``."""
    words: str
    mend: str | None = None

    def to_json(self, group: str) -> dict[str, Any]:
        """Plain data."""
        return {"group": group, "subject": self.subject, "mark": self.mark, "words": self.words, "mend": self.mend}


def ok(subject: str, words: str) -> Finding:
    """As it should be."""
    return Finding(Mark.OK, subject, words)


def warning(subject: str, words: str, mend: str) -> Finding:
    """To be known."""
    return Finding(Mark.WARNING, subject, words, mend)


def failure(subject: str, words: str, mend: str) -> Finding:
    """In the way."""
    return Finding(Mark.FAILURE, subject, words, mend)


def missing(needed: bool, subject: str, words: str, mend: str) -> Finding:
    """A failure where somebody needs the thing, else a warning."""
    return (failure if needed else warning)(subject, words, mend)
