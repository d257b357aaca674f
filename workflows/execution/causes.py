"""Why an attempt failed, in classes that a user acts on, and how often each may be repeated without being asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Cause(StrEnum):
    """The class of a failure: ``cause_class`` in an end record; no record at all is `LOST`."""

    UNCONVERGED = "unconverged"
    WALLTIME = "walltime"
    MEMORY = "memory"
    NODE = "node"
    QUOTA = "quota"
    ENGINE = "engine"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def words(self) -> str:
        """What it means, as a sentence without its full stop."""
        return _WORDS[self]


@dataclass(frozen=True)
class RetryRule:
    """What follows a failure of one class."""

    automatic: int
    """How many attempts that ended so one calculation may follow by a new one without being asked."""
    mend: str
    """What a person does once that is used up, as a sentence without its full stop."""
    pauses: bool = False
    """Whether nothing more of the campaign may start before a person has acted."""


def rule(cause: Cause, *, goes_on: bool = False) -> RetryRule:
    """The retry rule of a class.

    Parameters
    ----------
    goes_on : whether a next attempt begins further on than this one began: a relaxation that moved, with sound
        electrons, and left a complete CONTCAR (``goes_on`` of an end record).
    """
    return (_FURTHER_ON if goes_on else {}).get(cause, _AGAIN[cause])


def rule_of(end: Mapping[str, Any] | None) -> RetryRule:
    """The rule that an end record asks for; None, no record, is an attempt that was lost.

    A record without a class (``needs-decision``, or written by hand) is never repeated by itself.
    """
    cause = cause_of(end)
    if cause is None:
        return RetryRule(0, (end or {}).get("cause") or "read the attempt's folder, then: kalloy retry")
    return rule(cause, goes_on=bool((end or {}).get("goes_on")))


def cause_of(end: Mapping[str, Any] | None) -> Cause | None:
    """The class in an end record; None where it names none that is known."""
    if end is None:
        return Cause.LOST
    known = [c.value for c in Cause]
    return Cause(end["cause_class"]) if end.get("cause_class") in known else None


def repeats(ends: Sequence[Mapping[str, Any] | None]) -> bool:
    """Whether a new attempt follows by itself.

    Parameters
    ----------
    ends : the end records of a calculation's attempts, oldest first, None for one that was lost. The last one's class
        decides, and every earlier attempt that ended in the same class counts against its limit.
    """
    if not ends or (last := cause_of(ends[-1])) is None:
        return False
    return sum(cause_of(end) is last for end in ends) <= rule_of(ends[-1]).automatic


_WORDS = {
    Cause.UNCONVERGED: "the engine ended in order, but electrons or ions did not reach the asked accuracy",
    Cause.WALLTIME: "the job's time was over",
    Cause.MEMORY: "the job needed more memory than it was given",
    Cause.NODE: "the compute node, its network or its file system failed",
    Cause.QUOTA: "the disk or the quota is full",
    Cause.ENGINE: "the engine stopped with an error",
    Cause.STOPPED: "a person stopped it, or the machine was shut down",
    Cause.LOST: "the job ended without a word",
}
_SAME_NODE = "exclude the node in the site's options, or tell those who run the cluster, then: kalloy retry"
_AGAIN = {
    Cause.UNCONVERGED: RetryRule(
        0, "raise NELM, or change ALGO or the mixing in [calculation] incar (for forces: NSW), then: kalloy retry"
    ),
    Cause.WALLTIME: RetryRule(
        1, "raise the time in the site's options, or give more cores or a higher KPAR, then: kalloy retry"
    ),
    Cause.MEMORY: RetryRule(
        0, "raise nodes or memory in the site's options, or lower KPAR in the site's incar, then: kalloy retry"
    ),
    Cause.NODE: RetryRule(3, _SAME_NODE),
    Cause.QUOTA: RetryRule(0, "free space or ask for a larger quota, then: kalloy retry", pauses=True),
    Cause.ENGINE: RetryRule(0, "read the cause and the attempt's vasp.out, mend the inputs, then: kalloy retry"),
    Cause.STOPPED: RetryRule(100, "look who stops it again and again, then: kalloy retry"),
    Cause.LOST: RetryRule(3, f"read the job's log in the batch's folder; {_SAME_NODE}"),
}
_FURTHER_ON = {
    Cause.UNCONVERGED: RetryRule(1, "raise NSW, or look at what the ions do in OSZICAR, then: kalloy retry"),
    Cause.WALLTIME: RetryRule(
        10, "raise the time in the site's options: ten attempts from CONTCAR were not enough, then: kalloy retry"
    ),
}
