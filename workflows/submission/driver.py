"""The driver: carries a campaign from step to step until done. It may die anywhere and be started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from kalloy.errors import InputError, VaspInputError
from kalloy.workflows.attempt import State, require_visible_processes
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.engine import engine_command
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.checks.campaign import require_sound
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.potcar import has_library, has_only_spec
from kalloy.workflows.inputs.writing import Asked, is_outdated, write_attempts
from kalloy.workflows.lock import driver_lock
from kalloy.workflows.steps import Selection, select, selected
from kalloy.workflows.submission.board import Standing, all_standings, standings
from kalloy.workflows.submission.local_step import OPEN, LocalStep, end_left_behind
from kalloy.workflows.submission.queue import Queue
from kalloy.workflows.submission.queue_step import QueueStep
from kalloy.workflows.submission.repetition import AGAIN, write_again
from kalloy.workflows.submission.script import require_scripts

QUIET = 2.0
"""Seconds before writing many inputs is worth a word."""


class Watcher(Protocol):
    """Who is told how things go."""

    def selected(self, selection: Selection) -> None:
        """A step was selected, or found on record."""

    def look(self, found: list[Standing]) -> None:
        """The step's calculations, after every look at the files; nothing while waiting."""

    def say(self, line: str) -> None:
        """A sentence on what was done or found out."""


def drive(
    campaign: Campaign,
    watcher: Watcher,
    *,
    retry_failed: bool = False,
    take_over: bool = False,
    at_once: int | None = None,
) -> bool:
    """Run every step of a campaign.

    Parameters
    ----------
    retry_failed : whether calculations that failed before get one more attempt.
    take_over : whether attempts claimed on another machine count as lost: only where it is known to be dead.
    at_once : jobs in flight at a queueing system; None for what the site says.

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
    require_scripts(campaign)
    require_sound(campaign)
    with driver_lock(campaign.root):
        try:
            return _drive(campaign, watcher, retry_failed, take_over, at_once)
        except (KeyboardInterrupt, SystemExit):
            if campaign.spec.machine.scheduler == "local":
                end_left_behind(campaign)
            raise


def _drive(campaign: Campaign, watcher: Watcher, retry_failed: bool, take_over: bool, at_once: int | None) -> bool:
    for step in range(1, len(campaign.spec.step) + 1):
        selection = select(campaign, step)
        watcher.selected(selection)
        _prepare(campaign, selection, retry_failed, watcher)
        if campaign.spec.machine.scheduler == "local":
            done = LocalStep(campaign, selection, watcher.look, watcher.say, take_over).run()
        else:
            done = QueueStep(campaign, selection, watcher, at_once).run()
        if not done:
            Index(campaign).collect()
            return False
    Index(campaign).collect()
    return True


def submit_once(campaign: Campaign, watcher: Watcher, *, at_once: int | None = None) -> list[Standing]:
    """Write, check and submit everything that is ready now, and come back.

    Returns
    -------
    Every calculation of the steps selected so far.

    Raises
    ------
    InputError
        Where the site has no queueing system, or the inputs are not sound; nothing has been written then.
    LockedError
        Where another driver works on the campaign.
    """
    if campaign.spec.machine.scheduler == "local":
        raise InputError(
            f"site '{campaign.spec.calculation.site}' has no queueing system to submit to",
            mend="use `kalloy run`, or name the scheduler in [site.NAME]",
        )
    require_engine(campaign)
    require_scripts(campaign)
    require_sound(campaign)
    found: list[Standing] = []
    with driver_lock(campaign.root):
        for step in range(1, len(campaign.spec.step) + 1):
            selection = select(campaign, step)
            watcher.selected(selection)
            write_step(campaign, selection, _telling(watcher))
            mine = QueueStep(campaign, selection, watcher, at_once).cycle()
            found += mine
            if not all(s.state is State.DONE for s in mine):
                break
        Index(campaign).collect()
    return found


def require_engine(campaign: Campaign) -> None:
    """Refuse a campaign whose engine cannot start or be seen here: no program, no /proc, or for VASP no POTCARs.

    On a cluster the program is looked for by the job, where it runs, and so is one that modules or setup lines bring.

    Raises
    ------
    InputError
        With the mend; nothing has been written.
    """
    machine = campaign.spec.machine
    if machine.scheduler == "local":
        require_visible_processes()
    if machine.scheduler == "local" and not (machine.modules or machine.setup):
        engine = campaign.spec.calculation.engine
        for program in dict.fromkeys(stage.program(engine) for stage in campaign.spec.stages):
            engine_command(campaign.commands[program])
    if campaign.spec.calculation.engine == "vasp" and not has_library():
        found = [(s.state, s.attempt) for s in all_standings(campaign) if s.attempt]
        # Later stages take the POTCAR of their parents.
        bare = [
            a.folder for state, a in found if state in OPEN and not a.written["parents"] and has_only_spec(a.folder)
        ]
        if bare or not found:
            where = f"{bare[0]} and {len(bare) - 1} more" if bare else str(campaign.root)
            mend = "set PMG_VASP_PSP_DIR to your POTCAR library, or run `kalloy write` and put POTCARs there yourself"
            raise VaspInputError("VASP cannot start without a POTCAR", where=where, mend=mend)


def write_step(
    campaign: Campaign, selection: Selection, tell: Callable[[int, int], None] = lambda done, of: None
) -> int:
    """Write an attempt of every calculation of a step that has none, or none that asks for what is asked now.

    An attempt that was written before kalloy.toml or a preset changed, and never started, is left and followed by one
    with the new inputs; one that is in a queue stays.

    Parameters
    ----------
    tell : hears every few hundred how many are written, and of how many.

    Returns
    -------
    How many were written.
    """
    found = standings(campaign, selection.step, Queue(campaign))
    composer = Composer(campaign)
    new = [s for s in found if s.attempt is None or _is_outdated(composer, selection, s)]
    asked = [Asked(campaign.member(s.member), s.stage) for s in new]
    return len(write_attempts(campaign, asked, path=selection.path, tell=lambda done: tell(done, len(asked))))


def _telling(watcher: Watcher) -> Callable[[int, int], None]:
    """Says how far writing is, once that takes more than a moment."""
    began = time.monotonic()

    def tell(done: int, of: int) -> None:
        if done < of and time.monotonic() - began > QUIET:
            watcher.say(f"{done:,} of {of:,} written")

    return tell


def _is_outdated(composer: Composer, selection: Selection, standing: Standing) -> bool:
    if standing.state not in OPEN or standing.attempt is None:
        return False
    member = composer.campaign.member(standing.member)
    return is_outdated(composer, member, standing.stage, selection.path, standing.attempt)


def _prepare(campaign: Campaign, selection: Selection, retry_failed: bool, watcher: Watcher) -> None:
    write_step(campaign, selection, _telling(watcher))
    if retry_failed:
        found = standings(campaign, selection.step, Queue(campaign))
        write_again(campaign, selection, [s for s in found if s.state in AGAIN])


def remaining(campaign: Campaign, found: list[Standing] | None = None) -> bool:
    """Whether anything of the campaign is not done yet."""
    if any(selected(campaign, step) is None for step in range(1, len(campaign.spec.step) + 1)):
        return True
    return any(s.state is not State.DONE for s in (all_standings(campaign) if found is None else found))
