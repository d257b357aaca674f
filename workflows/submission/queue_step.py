"""One step on a queueing system: asked once a cycle, its jobs outlive every driver."""

from __future__ import annotations

import time
from typing import Protocol

from kalloy.errors import EngineError
from kalloy.workflows.attempt import State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.steps import Selection
from kalloy.workflows.submission.board import Standing, standings
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.repetition import followed, pause, repeat
from kalloy.workflows.submission.submit import submit_ready

ALIVE = (State.SUBMITTING, State.QUEUED, State.RUNNING)
"""States that end by themselves."""
LONGEST_WAIT = 300.0
"""Seconds between two questions to a scheduler that does not answer."""


class Told(Protocol):
    """Who is told how things go."""

    def look(self, found: list[Standing]) -> None:
        """The step's calculations, after every look."""

    def say(self, line: str) -> None:
        """A sentence on what was done or found out."""


class QueueStep:
    """Carries one step on."""

    def __init__(self, campaign: Campaign, selection: Selection, told: Told, at_once: int | None = None) -> None:
        self.campaign, self.selection, self.told = campaign, selection, told
        self.queue = Queue(campaign)
        self.at_once = at_once or campaign.spec.machine.jobs.at_once
        self._failures = 0
        self._said: set[str] = set()

    def run(self) -> bool:
        """Until nothing more can be done; whether all is done."""
        while True:
            found = self.cycle()
            if not self._goes_on(found):
                return all(s.state is State.DONE for s in found)
            self._wait()

    def cycle(self) -> list[Standing]:
        """Ask, put on record what is proven, repeat what may be repeated, submit what is ready.

        Raises
        ------
        EngineError
            Where the scheduler refuses the jobs, or a full disk stops the campaign.
        """
        self.queue.find()
        self.queue.ask()
        for line in self.queue.settle():
            self._say(line)
        self._count_failures()
        found = self._look()
        if again := repeat(self.campaign, self.selection, found):
            for standing in again:
                self.told.say(followed(standing))
            found = self._look()
        self.told.look(found)
        if self.queue.trouble:
            self._say(f"{self._name} does not answer ({self.queue.trouble}): nothing is submitted until it does")
            return found
        if why := pause(found):
            raise EngineError(f"nothing more is submitted: {why}")
        before = len(self.queue.batches)
        submit_ready(self.campaign, self.queue, found, self._say, self.at_once)
        if len(self.queue.batches) > before:  # one whose answer is not known counts too
            found = self._look()
            self.told.look(found)
        return found

    def _count_failures(self) -> None:
        if self._failures and not self.queue.trouble:
            self._said.clear()
            self.told.say(f"{self._name} answers again")
        self._failures = self._failures + 1 if self.queue.trouble else 0

    @property
    def _name(self) -> str:
        return self.campaign.spec.machine.scheduler

    def _look(self) -> list[Standing]:
        return standings(self.campaign, self.selection.step, self.queue)

    def _goes_on(self, found: list[Standing]) -> bool:
        return any(s.state in (*ALIVE, State.READY) for s in found) or self.queue.trouble is not None

    def _wait(self) -> None:
        pause_ = self.campaign.spec.machine.poll * 2 ** min(self._failures, 8)
        until = time.monotonic() + min(pause_, max(LONGEST_WAIT, self.campaign.spec.machine.poll))
        while time.monotonic() < until:  # a signal is heard at the next look
            time.sleep(min(0.5, max(until - time.monotonic(), 0.0)))
            self.told.look([])

    def _say(self, line: str) -> None:
        """Every sentence once, and again after the scheduler was out of reach."""
        if line not in self._said:
            self._said.add(line)
            self.told.say(line)
