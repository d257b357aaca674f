"""One step on this machine: so many processes side by side."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from kalloy.errors import EngineError
from kalloy.workflows.attempt import Attempt, State, is_elsewhere
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import Selection
from kalloy.workflows.submission.batch import Batch, new_batch
from kalloy.workflows.submission.board import Standing, all_standings, standings
from kalloy.workflows.submission.repetition import followed, pause, repeat, write_again
from kalloy.workflows.submission.schedulers.local import Job, LocalScheduler, end_group
from kalloy.workflows.submission.unbegun import MOST

OPEN = (State.READY, State.BLOCKED)
POLL = 0.5
"""Seconds between two looks at the files."""


class LocalStep:
    """Runs one step until nothing more can be done."""

    def __init__(
        self,
        campaign: Campaign,
        selection: Selection,
        look: Callable[[list[Standing]], None],
        say: Callable[[str], None],
        take_over: bool,
    ) -> None:
        self.campaign, self.selection, self.tell, self.say, self.take_over = campaign, selection, look, say, take_over
        self.scheduler = LocalScheduler()
        self.batches: dict[Stage, Batch] = {}
        self.sent: dict[Attempt, Job] = {}
        self._silent = Counter[Attempt]()
        """Jobs of an attempt that somebody killed before they began it."""

    def run(self) -> bool:
        """Until nothing more can be done; whether all is done."""
        try:
            while True:
                found = self._look()
                self.tell(found)
                self._refuse_silent_jobs(found)
                if why := pause(found):
                    raise EngineError(f"nothing more is started: {why}")
                self._send(found)
                if not self._is_busy(found):
                    return all(s.state is State.DONE for s in found)
                time.sleep(POLL)
        finally:
            self.scheduler.stop()

    def _look(self) -> list[Standing]:
        """The standings, lost attempts already followed by new ones."""
        found = standings(self.campaign, self.selection.step)
        taken = [s for s in found if self._is_taken_over(s)]
        write_again(self.campaign, self.selection, taken)
        again = repeat(self.campaign, self.selection, [s for s in found if not self._is_ours(s)])
        for standing in [*taken, *again]:
            self.say(followed(standing))
        return standings(self.campaign, self.selection.step) if taken or again else found

    def _is_taken_over(self, standing: Standing) -> bool:
        owner = standing.attempt.owner if self.take_over and standing.attempt else None
        return standing.state is State.RUNNING and owner is not None and is_elsewhere(owner)

    def _is_ours(self, standing: Standing) -> bool:
        """Whether a job of ours may still be about to write the end record of this attempt."""
        return standing.attempt in self.sent and self.sent[standing.attempt] in self.scheduler.running()

    def _send(self, found: list[Standing]) -> None:
        waiting = [s for s in found if s.state is State.READY and s.attempt not in self.sent]
        # Jobs that an earlier driver started and left behind take their place too.
        others = sum(s.state is State.RUNNING and s.attempt not in self.sent for s in found)
        free = self.campaign.spec.machine.side_by_side - len(self.scheduler.running()) - others
        for standing in waiting[: max(free, 0)]:
            assert standing.attempt is not None
            batch = self._batch(standing.stage, found)
            index = batch.attempts.index(standing.attempt)
            self.sent[standing.attempt] = self.scheduler.submit(batch, index)

    def _batch(self, stage: Stage, found: list[Standing]) -> Batch:
        """The current batch of a stage; a new one where attempts were written since."""
        open_ = [s.attempt for s in found if s.attempt and s.state in OPEN and s.stage is stage]
        if stage not in self.batches or not set(open_) <= set(self.batches[stage].attempts):
            self.batches[stage] = new_batch(
                self.campaign, [[a] for a in open_], self.campaign.spec.machine.for_stage(stage)
            )
        return self.batches[stage]

    def _is_busy(self, found: list[Standing]) -> bool:
        """Whether anything runs or can be started; after the last job one more look shows what it left."""
        if self.scheduler.running() or any(s.state is State.RUNNING for s in found):
            return True
        return any(s.state is State.READY for s in standings(self.campaign, self.selection.step))

    def _refuse_silent_jobs(self, found: list[Standing]) -> None:
        """A job that ended without a claim never started its attempt: say so instead of starting it for ever.

        One that was killed before it came so far says nothing of the attempt, and is started again a few times.
        """
        running = self.scheduler.running()
        for standing in found:
            job = self.sent.get(standing.attempt) if standing.attempt else None
            if job and job not in running and standing.attempt and standing.attempt.state is State.READY:
                if self.scheduler.was_killed(job) and self._silent[standing.attempt] < MOST:
                    self._silent[standing.attempt] += 1
                    del self.sent[standing.attempt]
                    continue
                log = f"{self.campaign.batches / job[0]}/{job[1]}.log"
                raise EngineError(f"the job of {standing.label} ended before it began", where=log, mend="read that log")


def end_left_behind(campaign: Campaign) -> None:
    """Whoever stops a driver means the jobs that an earlier, killed one left running on this machine as well."""
    for standing in all_standings(campaign):
        owner = standing.attempt.owner if standing.attempt and standing.state is State.RUNNING else None
        if owner and not is_elsewhere(owner) and (campaign.batches / owner["tag"]).is_dir():
            end_group(owner["group"])
