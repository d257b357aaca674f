"""A batch: what goes to a scheduler in one submission. Its manifest is on disk before the scheduler hears of it."""

from __future__ import annotations

import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalloy.errors import InputError
from kalloy.workflows.attempt import Attempt, now
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import read_json, write_json, write_text
from kalloy.workflows.inputs.stage import Program
from kalloy.workflows.submission.templates import Shell, render

_BASE_32 = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class Batch:
    """A submission's folder: manifest, job script, logs."""

    folder: Path
    attempts: tuple[Attempt, ...]
    """By array index."""

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


def new_batch(campaign: Campaign, attempts: list[Attempt], commands: Mapping[Program, str]) -> Batch:
    """Write a batch: manifest first, then the job script from the site's template.

    Parameters
    ----------
    commands : how each build of an engine is started on this machine, now.
    """
    scheduler = campaign.spec.machine.scheduler
    tag = "k" + "".join(secrets.choice(_BASE_32) for _ in range(14))
    folder = campaign.batches / tag
    manifest = {
        "schema": 1,
        "tag": tag,
        "made": now(),
        "scheduler": scheduler,
        "commands": dict(commands),
        # Not resolved: a member's folder may be a link to another disk.
        "attempts": [str(a.folder.relative_to(campaign.root)) for a in attempts],
    }
    write_json(folder / "manifest.json", manifest)
    variables = {
        "tag": tag,
        "manifest": str(folder.resolve() / "manifest.json"),
        "kalloy": Shell(f"{shlex.quote(sys.executable)} -m kalloy"),
        "threads": 1,
    }
    write_text(folder / "job.sh", render(f"{scheduler}.sh.j2", campaign.root, variables))
    return Batch(folder, tuple(attempts))


def attempts_of(manifest: Path, index: int) -> tuple[list[Attempt], dict[str, Any]]:
    """The attempts that a manifest gives to an array index, in the order in which its job runs them.

    Returns
    -------
    The attempts, and the manifest: ``commands`` is how each engine is started, ``scheduler`` who runs the job.
    """
    if not manifest.is_file():
        raise InputError(f"no manifest '{manifest}'", mend="name a batch's manifest.json")
    record: dict[str, Any] = read_json(manifest)
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
