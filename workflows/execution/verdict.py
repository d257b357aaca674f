"""How an attempt ended, why, and in which class: from its files, its engine's exit and its job's time."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from kalloy.parsers.endings import find_ending
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.execution.deadline import Warden
from kalloy.workflows.execution.quota import is_full
from kalloy.workflows.execution.reading import Reading, read
from kalloy.workflows.execution.supervision import Supervised
from kalloy.workflows.inputs.contcar import has_moved
from kalloy.workflows.inputs.stage import Stage

_KINDS = {"walltime": Cause.WALLTIME, "memory": Cause.MEMORY, "node": Cause.NODE, "quota": Cause.QUOTA}
_SIGNALS = {
    signal.SIGKILL: (Cause.MEMORY, "killed by SIGKILL, most often for lack of memory"),
    signal.SIGBUS: (Cause.NODE, "killed by SIGBUS: the node's memory or file system failed"),
    signal.SIGTERM: (Cause.NODE, "ended from outside by SIGTERM"),
    signal.SIGXFSZ: (Cause.QUOTA, "killed by SIGXFSZ: a file reached the largest size allowed (ulimit -f)"),
}
_SHELL = 128
"""A shell, mpirun and srun report a program that a signal killed as this much more than the signal."""


@dataclass(frozen=True)
class Verdict:
    """What the end record says."""

    outcome: Outcome
    cause: str | None = None
    """In words."""
    cause_class: Cause | None = None
    goes_on: bool = False
    """Whether a next attempt begins further on than this one began."""


def judge(attempt: Attempt, ran: Supervised, warden: Warden) -> Verdict:
    """The verdict on an attempt whose engine has ended."""
    if ran.refused:
        words = f"custodian would change physics ({'; '.join(ran.refused)}): decide, and set the tag yourself"
        return Verdict(Outcome.NEEDS_DECISION, words)
    found = read(attempt.folder)
    if found.is_sound and ran.exit == 0 and not ran.unsettled:
        return Verdict(Outcome.DONE)
    cause, words = _cause(attempt.folder, found, ran, warden)
    return Verdict(Outcome.FAILED, words, cause, _goes_on(attempt, found))


def _cause(folder: Path, found: Reading, ran: Supervised, warden: Warden) -> tuple[Cause, str]:
    if warden.why is not None:
        return (Cause.WALLTIME if warden.is_walltime else Cause.NODE), f"stopped: {warden.why}"
    if ran.unsettled:
        return Cause.UNCONVERGED, f"unconverged: {ran.unsettled}"
    if found.complete and found.trouble is None and not found.is_sound:
        return Cause.UNCONVERGED, f"unconverged: {_unconverged(folder, found)}"
    return _broken(folder, found, ran)


def _unconverged(folder: Path, found: Reading) -> str:
    if found.electrons is False:
        return "electronic steps reached NELM; raise NELM, or change ALGO or the mixing"
    if found.electrons is None:
        return "the files do not say whether the electronic steps converged"
    if _was_stopped(folder):
        return "ionic steps were ended by a STOPCAR with forces above EDIFFG"
    return "ionic steps reached NSW with forces above EDIFFG; raise NSW"


def _was_stopped(folder: Path) -> bool:
    """Whether the engine obeyed a STOPCAR, as its OUTCAR tells near its end."""
    with (folder / "OUTCAR").open("rb") as file:
        file.seek(max(0, (folder / "OUTCAR").stat().st_size - (1 << 16)))
        return b"stop encountered" in file.read()


def _broken(folder: Path, found: Reading, ran: Supervised) -> tuple[Cause, str]:
    """The class of an engine that ended out of order: what was said, then whether the disk is full, then the signal."""
    ending = find_ending(folder)
    if ending is not None and ending.kind in _KINDS:
        return _KINDS[ending.kind], f"{ending.words}: {ending.line} ({ending.file})"
    if is_full(folder):
        return Cause.QUOTA, "the disk or the quota is full"
    for sign, (cause, words) in _SIGNALS.items():
        if ran.exit in (-sign, _SHELL + sign):
            return cause, f"engine {words}"
    if found.is_sound:
        return Cause.ENGINE, f"engine error: its results are whole, but it ended with exit code {ran.exit}"
    if ending is not None:
        said = ending.line if ending.line == ending.words else f"{ending.line} – {ending.words}"
        return Cause.ENGINE, f"engine error: {said} ({ending.file})"
    return Cause.ENGINE, f"engine error: {_silent(folder, found, ran)}"


def _silent(folder: Path, found: Reading, ran: Supervised) -> str:
    """The cause of an end that no table knows: the engine's last words, and what is missing."""
    code = f"exit code {ran.exit}" if ran.exit is None or ran.exit >= 0 else signal.Signals(-ran.exit).name
    missing = found.trouble or ("vasprun.xml breaks off" if not found.complete else "")
    words = _last_words(folder)
    return "; ".join(part for part in (words, missing, code if ran.exit else "", "" if words else ran.failure) if part)


def _last_words(folder: Path) -> str:
    """The last line that the engine wrote to its error stream, else to its output."""
    for name in ("std_err.txt", "vasp.out"):
        path = folder / name
        if path.is_file() and (lines := path.read_text(errors="replace").split("\n")):
            words = [line.strip() for line in lines if line.strip()]
            if words:
                return f"{words[-1]} ({name})"
    return ""


def _goes_on(attempt: Attempt, found: Reading) -> bool:
    folder = attempt.folder
    start = folder / "POSCAR.orig"
    relaxation = Stage(attempt.written["stage"]).is_relaxation
    return relaxation and found.electrons is not False and has_moved(folder, start)
