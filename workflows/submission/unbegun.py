"""Jobs that ended before they began a calculation: put on record, so that nobody starts it for ever."""

from __future__ import annotations

from typing import Any

from kalloy.workflows.attempt import Attempt, now
from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.files import read_json, write_json
from kalloy.workflows.submission.batch import Batch

RECORD = "never-began.json"
"""In an attempt's folder: the jobs that ended before they began it."""
MOST = 3
"""So many may, by no fault of the script, until the calculation is left alone."""
_OF_THE_SCRIPT = ("FAILED", "COMPLETED", "failed", "done", "EXIT", "DONE", "F")
"""Ends that would come again: no node, limit or person was the cause."""


def note(batch: Batch, index: int, ending: dict[str, Any]) -> None:
    """Put on record what a job that has ended did not begin, and why."""
    root = batch.folder.parent.parent
    told = batch.events(index)
    kinds = {event["event"] for event in told}
    what: dict[str, Any] = {"word": ending["word"]}
    if "full" in kinds or ("late" in kinds and "claimed" not in kinds):
        stopped = next(event for event in told if event["event"] in ("full", "late"))
        name, what = stopped["attempt"], {"word": stopped["event"], "why": stopped["outcome"]}
    elif kinds - {"started", "left"}:
        return
    else:
        name = next((n for n in batch.entries[index] if Attempt(root / n).end is None), None)
    attempt = Attempt(root / name) if name else None
    if attempt is None or attempt.owner is not None or not attempt.folder.is_dir():
        return
    before = _noted(attempt)
    if batch.tag not in [job["tag"] for job in before]:
        log = batch.log(index).relative_to(root)
        write_json(attempt.folder / RECORD, [*before, {"tag": batch.tag, **what, "log": str(log), "at": now()}])


def why_left_alone(attempt: Attempt) -> tuple[str, Cause | None] | None:
    """Why an attempt that nobody has claimed is not started again; None where it is."""
    if not (jobs := _noted(attempt)):
        return None
    last = jobs[-1]
    if last["word"] == "full":
        return last["why"], Cause.QUOTA
    if last["word"] == "late" and len(jobs) >= MOST:
        return f"{MOST} jobs had no time left when they came to it: raise the site's time", Cause.WALLTIME
    if last["word"] in _OF_THE_SCRIPT or len(jobs) >= MOST:
        return f"its job ended ({last['word']}) before it began: read {last['log']}, then: kalloy retry", None
    return None


def _noted(attempt: Attempt) -> list[dict[str, Any]]:
    path = attempt.folder / RECORD
    found: list[dict[str, Any]] = read_json(path) if path.is_file() else []
    return found
