"""What every scheduler can be asked and may answer, in neutral words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from kalloy.workflows.execution.causes import Cause


class Phase(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Job:
    """One job as a scheduler tells it: a single one, or one element of an array."""

    id: str
    """Of the job or the whole array."""
    index: int
    """Of the element, from 0 as in the batch's manifest."""
    tag: str
    """Its name: the batch's tag."""
    phase: Phase
    word: str
    """The scheduler's own word: ``PENDING``, ``TIMEOUT``, ``qw``."""
    why: str = ""
    """Why it waits, or how it ended."""
    cause: Cause | None = None
    """The class of its end, where the scheduler's word says it."""
    in_array: bool = False
    """Whether it is an element of an array, even one of index 0."""


@dataclass(frozen=True)
class Accepted:
    """A submission that the scheduler has taken."""

    id: str


@dataclass(frozen=True)
class Refused:
    """Proof that nothing was submitted, and never will be as it is."""

    words: str


@dataclass(frozen=True)
class LimitReached:
    """Proof that nothing was submitted, because there are too many jobs already: wait."""

    words: str


@dataclass(frozen=True)
class Unknown:
    """No proof of anything: a time-out, or a return code other than zero. Never read as "absent"."""

    words: str


Answer: TypeAlias = Accepted | Refused | LimitReached | Unknown


@dataclass(frozen=True)
class Order:
    """What is to be submitted."""

    tag: str
    script: Path
    """Holds the site's options; what the exactly-once submission rests on is said beside it, by the adapter."""
    size: int
    """Elements; 1 is a single job."""
    after: str | None = None
    """The array of the same size whose elements must be done before those of the same index may start."""
    seconds: int | None = None
    """Of walltime, where the site says it."""


@dataclass(frozen=True)
class Limits:
    """What a scheduler takes, and how long it may be silent."""

    max_array_size: int
    grace: float
    """Seconds after which a submission that nobody has heard of has not happened: twice the time that a message may
    take, and what accounting lags behind."""


class Scheduler(Protocol):
    """One adapter. Every method asks once and guesses nothing."""

    name: str
    prefix: str
    """Of an option's line in a job script: ``#SBATCH``."""
    unproved: tuple[str, ...]
    """What neither a real scheduler nor a recording has shown to work."""
    programs: tuple[str, ...]
    """What it calls."""
    version: tuple[str, ...]
    """Words that make it say its version, and nothing else."""
    proved_with: str | None
    """The version that our tests run; None where there is none."""
    can_chain: bool
    """Whether elements of one array can wait for those of another (`Order.after`)."""

    def limits(self) -> Limits:
        """As the scheduler states them; careful ones where it does not."""

    def words(self, order: Order) -> list[str]:
        """How an order is submitted, without its script."""

    def submit(self, order: Order) -> Answer:
        """Submit a job or an array under its tag."""

    def rehearse(self, order: Order) -> Answer | None:
        """What it would say to an order, of which nothing is submitted; None where no real one has shown how."""

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        """Every job of these names in the queue, in all states: one question for all."""

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        """Every job of these names on record; None where the scheduler keeps none."""

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        """End jobs; None where the scheduler has taken the order."""
