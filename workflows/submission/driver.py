"""The driver: carries a campaign from step to step until done. It may die anywhere and be started again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from kalloy.errors import EngineError, VaspInputError
from kalloy.workflows.attempt import Attempt, State, is_elsewhere
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.engine import engine_command
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.checks.campaign import require_sound
from kalloy.workflows.inputs.potcar import has_library, has_only_spec
from kalloy.workflows.inputs.writing import is_outdated, write_attempt
from kalloy.workflows.lock import driver_lock
from kalloy.workflows.steps import Selection, select, selected
from kalloy.workflows.submission.batch import Batch, new_batch
from kalloy.workflows.submission.board import Standing, all_standings, standings
from kalloy.workflows.submission.schedulers.local import Job, LocalScheduler, end_group

_OPEN = (State.READY, State.BLOCKED)
POLL = 0.5
"""Seconds between two looks at the files."""
MAX_LOST = 3
"""Attempts of one calculation that one driver sees lost before it leaves the calculation alone."""


class Watcher(Protocol):
    """Who is told how things go."""

    def selected(self, selection: Selection) -> None:
        """A step was selected, or found on record."""

    def look(self, found: list[Standing]) -> None:
        """The step's calculations, after every look at the files."""


def drive(campaign: Campaign, watcher: Watcher, *, retry_failed: bool = False, take_over: bool = False) -> bool:
    """Run every step of a campaign.

    Parameters
    ----------
    retry_failed : whether calculations that failed before get one more attempt.
    take_over : whether attempts claimed on another machine count as lost: only where it is known to be dead.

    Returns
    -------
    Whether everything is done; False where something failed.

    Raises
    ------
    InputError
        Where the engine or its POTCARs are not there, or the check of the inputs finds errors; nothing has been
        written then.
    LockedError
        Where another driver works on the campaign.
    """
    require_engine(campaign)
    require_sound(campaign)
    with driver_lock(campaign.root):
        try:
            return _drive(campaign, watcher, retry_failed, take_over)
        except (KeyboardInterrupt, SystemExit):
            _end_left_behind(campaign)
            raise


def _drive(campaign: Campaign, watcher: Watcher, retry_failed: bool, take_over: bool) -> bool:
    for step in range(1, len(campaign.spec.step) + 1):
        selection = select(campaign, step)
        watcher.selected(selection)
        _prepare(campaign, selection, retry_failed)
        if not _Step(campaign, selection, watcher, take_over).run():
            Index(campaign).collect()
            return False
    Index(campaign).collect()
    return True


def _end_left_behind(campaign: Campaign) -> None:
    """Whoever stops a driver means the jobs that an earlier, killed one left running here as well."""
    for standing in all_standings(campaign):
        owner = standing.attempt.owner if standing.attempt and standing.state is State.RUNNING else None
        if owner and not is_elsewhere(owner) and (campaign.batches / owner["tag"]).is_dir():
            end_group(owner["group"])


def require_engine(campaign: Campaign) -> None:
    """Refuse a campaign whose engine cannot start here: no program, or for VASP no POTCARs.

    Raises
    ------
    InputError
        With the mend; nothing has been written.
    """
    engine = campaign.spec.calculation.engine
    for program in dict.fromkeys(stage.program(engine) for stage in campaign.spec.stages):
        engine_command(campaign.commands[program])
    if campaign.spec.calculation.engine == "vasp" and not has_library():
        found = [(s.state, s.attempt) for s in all_standings(campaign) if s.attempt]
        # Later stages take the POTCAR of their parents.
        bare = [
            a.folder for state, a in found if state in _OPEN and not a.written["parents"] and has_only_spec(a.folder)
        ]
        if bare or not found:
            where = f"{bare[0]} and {len(bare) - 1} more" if bare else str(campaign.root)
            mend = "set PMG_VASP_PSP_DIR to your POTCAR library, or run `kalloy write` and put POTCARs there yourself"
            raise VaspInputError("VASP cannot start without a POTCAR", where=where, mend=mend)


def write_step(campaign: Campaign, selection: Selection) -> int:
    """Write an attempt of every calculation of a step that has none, or none that asks for what is asked now.

    An attempt that was written before kalloy.toml or a preset changed, and never started, is left and followed by one
    with the new inputs.

    Returns
    -------
    How many were written.
    """
    new = [s for s in standings(campaign, selection.step) if s.attempt is None or _is_outdated(campaign, selection, s)]
    for standing in new:
        write_attempt(campaign, campaign.member(standing.member), standing.stage, path=selection.path)
    return len(new)


def _is_outdated(campaign: Campaign, selection: Selection, standing: Standing) -> bool:
    if standing.state not in _OPEN or standing.attempt is None:
        return False
    return is_outdated(campaign, campaign.member(standing.member), standing.stage, selection.path, standing.attempt)


def _prepare(campaign: Campaign, selection: Selection, retry_failed: bool) -> None:
    write_step(campaign, selection)
    if retry_failed:
        again = (State.FAILED, State.NEEDS_DECISION, State.LOST)
        _write_again(campaign, selection, [s for s in standings(campaign, selection.step) if s.state in again])


def _write_again(campaign: Campaign, selection: Selection, again: Iterable[Standing]) -> None:
    """A new attempt beside the old one; a relaxation goes on from where it was."""
    for standing in again:
        member = campaign.member(standing.member)
        write_attempt(campaign, member, standing.stage, path=selection.path, after=standing.attempt)


class _Step:
    """One step on the local scheduler."""

    def __init__(self, campaign: Campaign, selection: Selection, watcher: Watcher, take_over: bool) -> None:
        self.campaign, self.selection, self.watcher, self.take_over = campaign, selection, watcher, take_over
        self.lost: Counter[str] = Counter()
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
        lost = [s for s in found if self._is_lost(s) and self.lost[s.label] < MAX_LOST]
        self.lost.update(s.label for s in lost)
        _write_again(self.campaign, self.selection, lost)
        return standings(self.campaign, self.selection.step) if lost else found

    def _is_lost(self, standing: Standing) -> bool:
        if standing.state is State.LOST:
            return not self._is_ours(standing)
        owner = standing.attempt.owner if self.take_over and standing.attempt else None
        return standing.state is State.RUNNING and owner is not None and is_elsewhere(owner)

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
        open_ = [s.attempt for s in found if s.attempt and s.state in _OPEN]
        if self.batch is None or not set(open_) <= set(self.batch.attempts):
            self.batch = new_batch(self.campaign, open_, self.campaign.commands)
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
    if any(selected(campaign, step) is None for step in range(1, len(campaign.spec.step) + 1)):
        return True
    return any(s.state is not State.DONE for s in all_standings(campaign))
