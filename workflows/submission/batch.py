"""A batch: what goes to a scheduler in one submission. Its manifest is on disk before the scheduler hears of it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from kalloy.errors import InputError
from kalloy.workflows.attempt import Attempt, now
from kalloy.workflows.campaign import Campaign, with_usual
from kalloy.workflows.execution.events import read_events
from kalloy.workflows.files import read_if_there, read_record, write_json, write_text
from kalloy.workflows.inputs.stage import Program
from kalloy.workflows.spec_sites import Needs
from kalloy.workflows.submission.script import job_script

_BASE_32 = "abcdefghijklmnopqrstuvwxyz234567"
SUBMITTED, UNKNOWN, VOID, CLOSED = "submitted.json", "unknown.json", "void.json", "closed.json"
"""Records beside the manifest, each written once: the scheduler's id; an answer that proves nothing; proof that nothing
was submitted; how every job ended."""
Entry = Sequence[Attempt]
"""What one job runs, in order."""


@dataclass(frozen=True)
class Batch:
    """A submission's folder: manifest, job script, what the scheduler answered, events, logs."""

    folder: Path
    _answer: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The scheduler's, once it is known: it never changes."""

    @property
    def tag(self) -> str:
        """``k`` and 14 random characters: the job's name at the scheduler, unique for ever."""
        return self.folder.name

    @property
    def script(self) -> Path:
        """The job script."""
        return self.folder / "job.sh"

    def log(self, index: int) -> Path:
        """What the job of that index printed."""
        return self.folder / f"{index}.log"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The record that was written first; it never changes."""
        return read_record(self.folder / "manifest.json", "attempts", "made", "scheduler")

    @cached_property
    def entries(self) -> list[list[str]]:
        """What each index runs, in order: attempts relative to the campaign."""
        return [_flat(entry) for entry in self.manifest["attempts"]]

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt, by index."""
        root = self.folder.parent.parent
        return [Attempt(root / name) for entry in self.entries for name in entry]

    def index_of(self, attempt: str) -> int | None:
        """The index that runs an attempt; None where none does."""
        return self._indices.get(attempt)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, entry in enumerate(self.entries) for name in entry}

    # -- what the scheduler answered -------------------------------------------

    @property
    def id(self) -> str | None:
        """The scheduler's, where that is known."""
        if "id" not in self._answer and (record := read_if_there(self.folder / SUBMITTED, "id")):
            self._answer["id"] = record["id"]
        return self._answer.get("id")

    @property
    def is_void(self) -> bool:
        """Whether it is proven that nothing was submitted."""
        return (self.folder / VOID).is_file()

    @property
    def is_closed(self) -> bool:
        """Whether every job of it has ended, and how is on record."""
        return (self.folder / CLOSED).is_file()

    @property
    def endings(self) -> dict[str, dict[str, Any]]:
        """How its jobs ended by the scheduler's account, by index; complete once it is closed."""
        for name in (CLOSED, "endings.json"):
            if (self.folder / name).is_file():
                found: dict[str, dict[str, Any]] = read_record(self.folder / name, "endings")["endings"]
                return found
        return {}

    def events(self, index: int) -> list[dict[str, Any]]:
        """What the job of an index has told so far; none before it began, as far as can be seen from here."""
        return read_events(self.folder / "events" / f"{index}.jsonl")

    def has_left(self, index: int) -> bool:
        """Whether the job of an index has told that it leaves, and every end that it told of can be seen from here."""
        told = self.events(index)
        if not told or told[-1]["event"] != "left":
            return False
        root = self.folder.parent.parent
        return all(Attempt(root / e["attempt"]).end is not None for e in told if e["event"] == "ended")

    @property
    def has_begun(self) -> bool:
        """Whether any job of it ever started: proof that it was submitted."""
        return (self.folder / "events").is_dir()

    @property
    def silence(self) -> float:
        """Seconds since the scheduler was last told of it, by the clock that wrote it down; below zero where that was
        set back."""
        path = self.folder / UNKNOWN
        at = read_record(path, "at")["at"] if path.is_file() else self.manifest["made"]
        return (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()

    def record(self, name: str, **what: Any) -> None:
        """Put an answer on record."""
        write_json(self.folder / name, {"schema": 1, "at": now(), **what})


def new_batch(campaign: Campaign, entries: Sequence[Entry], needs: Needs) -> Batch:
    """Write a batch: manifest first, then the job script from the site's template.

    Parameters
    ----------
    entries : what each index runs, in order.
    needs : how the engine's builds are started on this machine, now, and the scheduler's options.
    """
    tag = "k" + "".join(secrets.choice(_BASE_32) for _ in range(14))
    folder = campaign.batches / tag
    script = job_script(campaign, folder, len(entries), needs)  # refused before anything is written
    manifest = {
        "schema": 2,
        "tag": tag,
        "made": now(),
        "scheduler": campaign.spec.machine.scheduler,
        "options": dict(needs.options),
        "commands": {program.value: command for program, command in with_usual(needs.commands).items()},
        # Not resolved: a member's folder may be a link to another disk.
        "attempts": [[str(a.folder.relative_to(campaign.root)) for a in entry] for entry in entries],
    }
    write_json(folder / "manifest.json", manifest)
    write_text(folder / "job.sh", script)
    return Batch(folder)


def attempts_of(manifest: Path, index: int) -> tuple[list[Attempt], dict[str, Any]]:
    """The attempts that a manifest gives to an array index, in the order in which its job runs them.

    Returns
    -------
    The attempts, and the manifest: ``commands`` is how the engine's builds are started, ``scheduler`` who runs the job.
    """
    if not manifest.is_file():
        raise InputError(f"no manifest '{manifest}'", mend="name a batch's manifest.json")
    record = read_record(manifest, "attempts", "scheduler")
    listed = record["attempts"]
    if not 0 <= index < len(listed):
        raise InputError(f"index {index} is not in the manifest's 0–{len(listed) - 1}", where=str(manifest))
    root = manifest.absolute().parent.parent.parent
    # A manifest from before there were several builds had one command.
    record.setdefault("commands", dict.fromkeys(Program, record.get("command")))
    return [Attempt(root / name) for name in _flat(listed[index])], record


def _flat(entry: str | list[Any]) -> list[str]:
    """One attempt, a configuration's list of them, or (packed) several such lists one after another."""
    return [entry] if isinstance(entry, str) else [name for part in entry for name in _flat(part)]
