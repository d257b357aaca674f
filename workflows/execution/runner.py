"""What happens on the compute node: claim, complete, run the engine under custodian, leave the end marker."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from kalloy.errors import EngineError, InputError, KalloyError
from kalloy.workflows.attempt import WRITTEN, Attempt, Outcome, claim
from kalloy.workflows.execution.causes import Cause, rule
from kalloy.workflows.execution.completion import complete, require_parents
from kalloy.workflows.execution.deadline import Warden
from kalloy.workflows.execution.engine import engine_command
from kalloy.workflows.execution.events import Events, job_name
from kalloy.workflows.execution.quota import is_full_error, room
from kalloy.workflows.execution.restarts import settle
from kalloy.workflows.execution.supervision import Supervised, supervise
from kalloy.workflows.execution.verdict import Verdict, judge
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.potcar import has_only_spec

OUTPUTS = ("vasprun.xml", "OUTCAR", "OSZICAR", "CONTCAR", "EIGENVAL", "DOSCAR")


def execute(
    folder: Path,
    tag: str = "by hand",
    commands: Mapping[str, str] | None = None,
    warden: Warden | None = None,
    events: Events | None = None,
) -> Outcome | None:
    """Run one attempt to its end.

    Parameters
    ----------
    folder : the attempt's own folder; nothing outside it and its parents' is touched.
    tag : of the batch that sent it.
    commands : how each build of an engine is started; None for what was so when the attempt was written.
    warden : of the job that this attempt is part of; None for a job of its own.
    events : the batch's, which hears of the claim and the end.

    Returns
    -------
    The outcome; that of the end record where it has ended before; None where another runner holds the claim.

    Raises
    ------
    InputError
        Where the folder is no attempt, or the engine is not there.
    CampaignError
        Where a parent is not done; the attempt is left unclaimed.
    EngineError
        Where the disk is so full that not even the end can be recorded.
    """
    attempt = Attempt(folder.resolve())
    if not (attempt.folder / WRITTEN).is_file():
        raise InputError(
            f"'{folder}' is no attempt: it has no {WRITTEN}", mend="name a folder such as K03/c12/relax/a01"
        )
    if (end := attempt.end) is not None:
        return Outcome(end["outcome"])
    written = attempt.written
    words = engine_command((commands or {}).get(written.get("program", ""), written["command"]))
    require_parents(attempt)
    told = events or Events()
    try:
        with nullcontext(warden) if warden else Warden(scheduled=job_name() is not None) as watching:
            return _claimed(attempt, words, tag, watching, told)
    except OSError as error:
        if is_full_error(error):
            raise EngineError(_full(error), where=str(folder), mend=rule(Cause.QUOTA).mend) from None
        raise


def _claimed(attempt: Attempt, command: list[str], tag: str, warden: Warden, events: Events) -> Outcome | None:
    with room(attempt.folder):
        if not claim(attempt, tag=tag, job=events.job):
            return None
        events.tell("claimed", attempt)
        started, cpu = time.monotonic(), os.times()
        stopped: BaseException | None = None
        try:
            verdict, ran = _run(attempt, command, warden)
        except (KeyboardInterrupt, SystemExit) as error:
            warden.end_engine()
            verdict, ran, stopped = _stopped(error), Supervised(), error
        spent = os.times()
    attempt.finish(
        verdict.outcome,
        cause=verdict.cause,
        cause_class=verdict.cause_class,
        goes_on=verdict.goes_on,
        corrections=ran.corrections,
        runs=ran.runs,
        wall_seconds=round(time.monotonic() - started, 1),
        cpu_seconds=round(spent.children_user + spent.children_system - cpu.children_user - cpu.children_system, 1),
        outputs={name: hash_of(attempt.folder / name) for name in OUTPUTS if (attempt.folder / name).is_file()},
    )
    events.tell("ended", attempt, verdict.outcome)
    if stopped is not None:
        raise stopped
    return verdict.outcome


def _stopped(error: BaseException) -> Verdict:
    """Of an attempt whose runner was told to end: no failure, so that it is begun again as often as it is stopped."""
    code = error.code if isinstance(error, SystemExit) else None
    by = signal.Signals(code - 128).name if isinstance(code, int) and code > 128 else "Ctrl-C"
    return Verdict(Outcome.FAILED, f"stopped by {by}", Cause.STOPPED)


def _run(attempt: Attempt, command: list[str], warden: Warden) -> tuple[Verdict, Supervised]:
    """The verdict and what was run; whatever goes wrong, an attempt ends with its cause on record."""
    ran = Supervised()
    try:
        complete(attempt)
        _require_potcar(attempt)
        ran = settle(attempt, lambda: supervise(attempt, command, warden), warden)
        return judge(attempt, ran, warden), ran
    except KalloyError as error:
        return Verdict(Outcome.FAILED, str(error), Cause.ENGINE), ran
    except Exception as error:
        if is_full_error(error):
            print(f"kalloy: {attempt.folder}: {_full(error)}; {rule(Cause.QUOTA).mend}", file=sys.stderr)
            return Verdict(Outcome.FAILED, _full(error), Cause.QUOTA), ran
        traceback.print_exc()
        return Verdict(Outcome.FAILED, f"{type(error).__name__}: {error}", Cause.ENGINE), ran


def _require_potcar(attempt: Attempt) -> None:
    if attempt.written["engine"] == "vasp" and has_only_spec(attempt.folder):
        raise InputError(
            "POTCAR.spec names the datasets, but there is no POTCAR",
            mend="set PMG_VASP_PSP_DIR to your POTCAR library",
        )


def _full(error: Any) -> str:
    return f"the disk or the quota is full: {error}"
