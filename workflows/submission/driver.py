"""The driver: carries a campaign from step to step until done. It may die anywhere and be started again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from kalloy.errors import EngineError, VaspInputError
from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.runner import engine_command
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.potcar import has_only_spec
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.lock import driver_lock
from kalloy.workflows.steps import Selection, select
from kalloy.workflows.submission.batch import Batch, new_batch
from kalloy.workflows.submission.board import Standing, all_standings, standings
from kalloy.workflows.submission.schedulers.local import Job, LocalScheduler

POLL = 0.5
"""Seconds between two looks at the files."""
MAX_LOST = 5
"""Attempts of one calculation that may be lost before it is left alone."""


class Watcher(Protocol):
    """Who is told how things go."""

    def selected(self, selection: Selection) -> None:
        """A step was selected, or found on record."""

    def look(self, found: list[Standing]) -> None:
        """The step's calculations, after every look at the files."""


def drive(campaign: Campaign, watcher: Watcher, *, retry_failed: bool = False) -> bool:
    """Run every step of a campaign.

    Parameters
    ----------
    retry_failed : whether calculations that failed before get one more attempt.

    Returns
    -------
    Whether everything is done; False where something failed.

    Raises
    ------
    EngineMissingError
        Where the engine is not installed; nothing has been written then.
    LockedError
        Where another driver works on the campaign.
    """
    _require_engine(campaign)
    with driver_lock(campaign.root):
        for step in range(1, len(campaign.spec.step) + 1):
            selection = select(campaign, step)
            watcher.selected(selection)
            if not _run_step(campaign, selection, watcher, retry_failed):
                Index(campaign).collect()
                return False
        Index(campaign).collect()
    return True


def _require_engine(campaign: Campaign) -> None:
    calculation, commands = campaign.spec.calculation, campaign.spec.machine.commands
    default = {"gpaw": "kalloy-gpaw", "vasp": "vasp_std"}[calculation.engine]
    engine_command(commands.get("gpaw" if calculation.engine == "gpaw" else "std", default))


def write_step(campaign: Campaign, selection: Selection) -> int:
    """Write the first attempt of every calculation of a step that has none.

    Returns
    -------
    How many were written.
    """
    new = [s for s in standings(campaign, selection.step) if s.attempt is None]
    for standing in new:
        write_attempt(campaign, campaign.member(standing.member), standing.stage, path=selection.path)
    return len(new)


def _run_step(campaign: Campaign, selection: Selection, watcher: Watcher, retry_failed: bool) -> bool:
    write_step(campaign, selection)
    found = standings(campaign, selection.step)
    if retry_failed:
        _write_again(campaign, selection, [s for s in found if s.state in (State.FAILED, State.NEEDS_DECISION)])
        found = standings(campaign, selection.step)
    _refuse_potcar_specs(found)
    return _Step(campaign, selection, watcher).run()


def _refuse_potcar_specs(found: list[Standing]) -> None:
    """VASP cannot start without its POTCAR: better said once than by every job."""
    bare = [s.attempt.folder for s in found if s.attempt and s.state is State.READY and has_only_spec(s.attempt.folder)]
    if bare:
        raise VaspInputError(
            f"{len(bare)} calculations have a POTCAR.spec and no POTCAR",
            where=str(bare[0]),
            mend="put them there, or set PMG_VASP_PSP_DIR to your POTCAR library and start a new campaign",
        )


def _write_again(campaign: Campaign, selection: Selection, again: Iterable[Standing]) -> None:
    """A new attempt beside the old one; a relaxation goes on from where it was."""
    for standing in again:
        member = campaign.member(standing.member)
        write_attempt(campaign, member, standing.stage, path=selection.path, after=standing.attempt)


class _Step:
    """One step on the local scheduler."""

    def __init__(self, campaign: Campaign, selection: Selection, watcher: Watcher) -> None:
        self.campaign, self.selection, self.watcher = campaign, selection, watcher
        self.scheduler = LocalScheduler()
        self.batch: Batch | None = None
        self.sent: dict[Attempt, Job] = {}

    def run(self) -> bool:
        """Until nothing more can be done; whether all is done."""
        try:
            while True:
                found = self._look()
                self.watcher.look(found)
                self._refuse_silent_jobs(found)
                self._send(found)
                if not self._is_busy(found):
                    return all(s.state is State.DONE for s in found)
                time.sleep(POLL)
        finally:
            self.scheduler.stop()

    def _look(self) -> list[Standing]:
        """The standings, lost attempts already followed by new ones."""
        found = standings(self.campaign, self.selection.step)
        lost = [s for s in found if s.state is State.LOST and s.tries < MAX_LOST and not self._is_ours(s)]
        _write_again(self.campaign, self.selection, lost)
        return standings(self.campaign, self.selection.step) if lost else found

    def _is_ours(self, standing: Standing) -> bool:
        """Whether a job of ours may still be about to write the end record of this attempt."""
        return standing.attempt in self.sent and self.sent[standing.attempt] in self.scheduler.running()

    def _send(self, found: list[Standing]) -> None:
        waiting = [s for s in found if s.state is State.READY and s.attempt not in self.sent]
        # Jobs that an earlier driver started and left behind take their place too.
        others = sum(s.state is State.RUNNING and s.attempt not in self.sent for s in found)
        free = self.campaign.spec.machine.jobs - len(self.scheduler.running()) - others
        for standing in waiting[: max(free, 0)]:
            assert standing.attempt is not None
            batch = self._batch(found)
            self.sent[standing.attempt] = self.scheduler.submit(batch, batch.attempts.index(standing.attempt))

    def _batch(self, found: list[Standing]) -> Batch:
        """The current batch; a new one where attempts were written since."""
        open_ = [s.attempt for s in found if s.attempt and s.state in (State.READY, State.BLOCKED)]
        if self.batch is None or not set(open_) <= set(self.batch.attempts):
            self.batch = new_batch(self.campaign, open_)
        return self.batch

    def _is_busy(self, found: list[Standing]) -> bool:
        """Whether anything runs or can be started; after the last job one more look shows what it left."""
        if self.scheduler.running() or any(s.state is State.RUNNING for s in found):
            return True
        return any(s.state is State.READY for s in standings(self.campaign, self.selection.step))

    def _refuse_silent_jobs(self, found: list[Standing]) -> None:
        """A job that ended without a claim never started its attempt: say so instead of starting it for ever."""
        running = self.scheduler.running()
        for standing in found:
            job = self.sent.get(standing.attempt) if standing.attempt else None
            if job and job not in running and standing.attempt and standing.attempt.state is State.READY:
                log = f"{self.campaign.batches / job[0]}/{job[1]}.log"
                raise EngineError(f"the job of {standing.label} ended before it began", where=log, mend="read that log")


def remaining(campaign: Campaign) -> bool:
    """Whether anything of the campaign is not done yet."""
    found = all_standings(campaign)
    steps = {s.step for s in found}
    return len(steps) < len(campaign.spec.step) or any(s.state is not State.DONE for s in found)
