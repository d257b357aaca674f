"""What the scheduler says of a campaign's batches: one question a cycle for all of them, held against the files."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from kalloy.workflows.attempt import Attempt, now
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.submission import unbegun
from kalloy.workflows.submission.batch import CLOSED, SUBMITTED, UNKNOWN, VOID, Batch
from kalloy.workflows.submission.schedulers import scheduler_of
from kalloy.workflows.submission.schedulers.vocabulary import Job, Limits, Phase, Scheduler, Unknown


@dataclass(frozen=True)
class Place:
    """Where the newest job that is to run an attempt stands."""

    batch: Batch
    index: int
    job: Job | None
    """None where the queue does not show it, or was not asked."""
    ending: dict[str, Any] | None
    """How it ended, once that is on record."""

    @property
    def is_live(self) -> bool:
        """Whether it may still run."""
        return self.ending is None


class Queue:
    """The batches that are not closed, and their jobs as the scheduler last told them."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._prefix = "" if campaign.root == Path() else f"{campaign.root}/"
        name = campaign.spec.machine.scheduler
        self.scheduler: Scheduler | None = None if name == "local" else scheduler_of(name)
        self.trouble: str | None = None
        """Why the scheduler's answer is not known."""
        self.was_asked = False
        self.jobs: dict[tuple[str, int], Job] = {}
        self._settled: set[str] = set()
        self.batches: list[Batch] = []
        self._read: dict[str, Batch] = {}
        self._endings: dict[str, dict[str, dict[str, Any]]] = {}
        self._places: dict[str, list[tuple[Batch, int]]] = {}
        self._left: set[tuple[str, int]] = set()
        self._noted: defaultdict[str, set[int]] = defaultdict(set)
        self.find()

    def find(self) -> None:
        """List the batches anew."""
        folder = self.campaign.batches
        names = sorted(p.name for p in folder.iterdir()) if self.scheduler and folder.is_dir() else []
        for name in names:
            if name not in self._settled and name not in self._read and (folder / name / "manifest.json").is_file():
                self._read[name] = Batch(folder / name)
        for name, batch in list(self._read.items()):
            if batch.is_void or batch.is_closed or batch.manifest["scheduler"] == "local":
                self._settled.add(name)
                del self._read[name]
        self.batches = list(self._read.values())
        self._endings = {b.tag: b.endings for b in self.batches}
        self._places = {}
        for batch in sorted(self.batches, key=lambda b: b.manifest["made"]):
            for index, entry in enumerate(batch.entries):
                for name in entry:
                    self._places.setdefault(name, []).append((batch, index))

    def ask(self) -> None:
        """One question for all jobs."""
        self.jobs, self.trouble = {}, None
        if self.scheduler is None:
            return
        answer = self.scheduler.poll([b.tag for b in self.batches])
        if isinstance(answer, Unknown):
            self.trouble, self.was_asked = answer.words, False
            return
        self.was_asked = True
        # Two entries of one element: a requeued job shows its earlier run as ended.
        order = (Phase.ENDED, Phase.QUEUED, Phase.RUNNING)
        for job in sorted(answer, key=lambda j: order.index(j.phase)):
            self.jobs[job.tag, job.index] = job

    # -- places ----------------------------------------------------------------

    def place(self, attempt: Attempt) -> Place | None:
        """Of the batches that are not closed and hold the attempt: one whose job lives, else the newest.

        Which is the newest is only what clocks say, and they are set back now and then.
        """
        if not self._places:
            return None
        found = [self._at(batch, index) for batch, index in reversed(self._places.get(self._name(attempt), ()))]
        return next((place for place in found if place.is_live), found[0] if found else None)

    def claimed(self, attempt: Attempt, owner: dict[str, Any]) -> Place | None:
        """Of the job that claimed an attempt; None for a claim that no batch of a queueing system made."""
        tag = owner.get("tag", "")
        folder = self.campaign.batches / tag
        if self.scheduler is None or not tag:
            return None
        if (batch := self._read.get(tag)) is None:
            if not (folder / "manifest.json").is_file():
                return None
            batch = Batch(folder)
        index = batch.index_of(self._name(attempt))
        return None if index is None or batch.manifest["scheduler"] == "local" else self._at(batch, index)

    def _name(self, attempt: Attempt) -> str:
        """As manifests hold it: ``K03/c12/relax/a01``."""
        return str(attempt.folder).removeprefix(self._prefix)

    def _at(self, batch: Batch, index: int) -> Place:
        endings = self._endings.get(batch.tag) if batch.tag in self._endings else batch.endings
        ending = (endings or {}).get(str(index))
        job = self.jobs.get((batch.tag, index))
        is_back = job is not None and job.phase is not Phase.ENDED
        return Place(batch, index, job, ending if self._is_final(batch, index, ending) and not is_back else None)

    @cached_property
    def limits(self) -> Limits:
        """What the scheduler takes, asked once."""
        assert self.scheduler is not None
        return self.scheduler.limits()

    @property
    def _grace(self) -> float:
        return self.limits.grace if self.scheduler else 0.0

    def in_flight(self) -> int:
        """Jobs that are submitted, or may be, and have not ended by the scheduler's word or by its long silence."""
        return sum(self._may_run(b, i) for b in self.batches for i in range(len(b.entries)))

    def _may_run(self, batch: Batch, index: int) -> bool:
        if (job := self.jobs.get((batch.tag, index))) is not None:
            return job.phase is not Phase.ENDED
        ending = self._endings[batch.tag].get(str(index))
        return ending is None or not ("job" in ending or self._is_final(batch, index, ending))

    def _is_final(self, batch: Batch, index: int, ending: dict[str, Any] | None) -> bool:
        """Whether a job has ended and what it wrote can be seen: by its own word, else after the file system's lag.

        The silence of a scheduler that has forgotten it counts as an end once it has lasted for the grace time.
        """
        if ending is None:
            return False
        if batch.is_closed or self._has_left(batch, index):
            return True
        return age(ending["at"]) >= max(self._lag, 0.0 if "job" in ending else self._grace)

    def _has_left(self, batch: Batch, index: int) -> bool:
        if (batch.tag, index) not in self._left and batch.has_left(index):
            self._left.add((batch.tag, index))
        return (batch.tag, index) in self._left

    @property
    def _lag(self) -> float:
        return self.campaign.spec.machine.lag

    # -- what only a driver does -----------------------------------------------

    def settle(self) -> list[str]:
        """Put on record what the scheduler's answers prove; what was found out, in words."""
        if not self.was_asked or self.scheduler is None:
            return []
        said = [line for batch in self.batches if batch.id is None and (line := self._look_up(batch))]
        gone = {b.tag: self._absent(b) for b in self.batches if b.id is not None}
        asked = [tag for tag, indices in gone.items() if indices]
        answer = self.scheduler.accounting(asked) if asked else None
        recorded = {(j.tag, j.index): j for j in answer} if isinstance(answer, list) else {}
        for batch in self.batches:
            if batch.id is not None:
                self._record_endings(batch, gone[batch.tag], recorded, isinstance(answer, Unknown))
        self.find()
        return said

    def _look_up(self, batch: Batch) -> str | None:
        """Whether a submission whose answer is not known has happened: queue, accounting, then our own markers."""
        assert self.scheduler is not None
        known = [job for (tag, _), job in self.jobs.items() if tag == batch.tag]
        account = [] if known else self.scheduler.accounting([batch.tag])
        if isinstance(account, list) and account:
            known = account
        if known:
            batch.record(SUBMITTED, id=known[0].id, found_by="tag")
            return f"batch {batch.tag}: found at {self.scheduler.name} as job {known[0].id}, not submitted again"
        if batch.has_begun:
            batch.record(SUBMITTED, id="unknown", found_by="its jobs' own marks")
            return f"batch {batch.tag}: its jobs have begun, not submitted again"
        if batch.silence < 0:
            batch.record(UNKNOWN, words="the clock was set back: the waiting begins anew")
        if isinstance(account, Unknown) or batch.silence < self._grace:
            return None
        batch.record(VOID, words="neither queue, accounting nor a mark of its jobs knows it")
        return f"batch {batch.tag}: {self.scheduler.name} never had it, its calculations are ready again"

    def _absent(self, batch: Batch) -> list[int]:
        ended = self._endings[batch.tag]
        return [
            i
            for i in range(len(batch.entries))
            if (batch.tag, i) not in self.jobs and "job" not in ended.get(str(i), {})
        ]

    def _record_endings(
        self, batch: Batch, absent: list[int], recorded: dict[tuple[str, int], Job], unknown: bool
    ) -> None:
        before = self._endings[batch.tag]
        endings = dict(before)
        for index in range(len(batch.entries)):
            job = self.jobs.get((batch.tag, index)) or recorded.get((batch.tag, index))
            if job is not None and job.phase is not Phase.ENDED:
                endings.pop(str(index), None)  # requeued: it is back
                self._left.discard((batch.tag, index))
            elif job is not None:
                endings.setdefault(str(index), _ending(job))
                if "job" not in endings[str(index)]:  # it was only missing until now
                    endings[str(index)] = _ending(job)
            elif index in absent and not unknown:
                endings.setdefault(str(index), {"word": "gone", "why": "the scheduler no longer knows it", "at": now()})
            if (ending := endings.get(str(index))) and age(ending["at"]) < 0:
                endings[str(index)] = {**ending, "at": now()}  # the clock was set back: it counts anew
        final = {i for i in range(len(batch.entries)) if self._is_final(batch, i, endings.get(str(i)))}
        for index in final - self._noted[batch.tag]:
            unbegun.note(batch, index, endings[str(index)])
        self._noted[batch.tag] = final
        if len(final) == len(batch.entries):
            batch.record(CLOSED, endings=endings)
        elif endings != before:
            batch.record("endings.json", endings=endings)
        self._endings[batch.tag] = endings


def _ending(job: Job) -> dict[str, Any]:
    return {"word": job.word, "why": job.why, "cause": job.cause, "job": job.id, "at": now()}


def age(at: str) -> float:
    """Seconds since a time on record."""
    return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()


def cause_of_ending(ending: dict[str, Any]) -> Cause:
    """The class of an attempt whose job ended so without an end record."""
    return Cause(ending["cause"]) if ending.get("cause") else Cause.LOST
