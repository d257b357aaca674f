"""An attempt: one plain VASP folder and the three small records that kalloy keeps in it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError, EngineMissingError
from kalloy.workflows.files import read_if_there, read_record, write_json

WRITTEN = "attempt.json"
"""What was asked, written with the inputs."""
CLAIM = "claim"
"""A folder that exactly one runner can make: who runs the attempt."""
TAKEN = "taken.json"
"""What the stage took from its parents, with hashes; written when it starts."""
END = "kalloy-end.json"
"""The outcome; always the last file."""
MOUNT_PROC = "mount it (mount -t proc proc /proc)"
"""The mend where no process can be seen."""


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"
    NEEDS_DECISION = "needs-decision"
    CANCELLED = "cancelled"


class State(StrEnum):
    """Where a calculation stands."""

    BLOCKED = "blocked"
    READY = "ready"
    SUBMITTING = "submitting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    NEEDS_DECISION = "needs-decision"
    LOST = "lost"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Attempt:
    """One folder ``a01``, ``a02``, … of a calculation."""

    folder: Path

    @property
    def number(self) -> int:
        """1 for ``a01``."""
        return int(self.folder.name[1:])

    @property
    def written(self) -> dict[str, Any]:
        """The record that was written with the inputs, in today's schema."""
        return modernised(read_record(self.folder / WRITTEN, "member", "stage", "engine", "parents"))

    @property
    def end(self) -> dict[str, Any] | None:
        """The outcome's record, once it has ended."""
        path = self.folder / END
        if (record := read_if_there(path)) is None:
            return None
        if record.get("outcome") not in [o.value for o in Outcome]:
            raise CampaignError("is no end record", where=str(path), mend="restore the file, or move it away")
        return {"cause": None, **record}

    @property
    def owner(self) -> dict[str, Any] | None:
        """Who claimed it."""
        return read_if_there(self.folder / CLAIM / "owner.json", *OWNER)

    @property
    def state(self) -> State:
        """From its files and, for a claim made on this machine, from its processes."""
        if (end := self.end) is not None:
            return State(end["outcome"])
        owner = self.owner
        if owner is None:
            return State.READY
        if is_alive(owner):
            return State.RUNNING
        # It may have ended between the two looks.
        end = self.end
        return State(end["outcome"]) if end is not None else State.LOST

    def finish(self, outcome: Outcome, **details: Any) -> None:
        """Write the end record: the last file of an attempt."""
        write_json(self.folder / END, {"schema": 1, "outcome": outcome, "ended": now(), **details})


SCHEMA = 2
"""Of attempt.json. 1 had parents as a mapping, stage to what is taken, or a list, and no ``program``."""


def modernised(record: dict[str, Any]) -> dict[str, Any]:
    """A record of any schema as one of today's: what an older one does not say is filled with what it meant."""
    if record.get("schema") != 1:
        return record
    parents = record["parents"]
    if isinstance(parents, dict):
        parents = [{"member": record["member"], "stage": s, "takes": takes} for s, takes in parents.items()]
    program = "gpaw" if record["engine"] == "gpaw" else "std"
    unsaid = {"program": program, "nbands": None, "charge_density": "copy", "relax_restarts": None}
    return {**unsaid, **record, "parents": parents}


def is_followed(attempt: Attempt) -> bool:
    """Whether a newer attempt of the same calculation is written."""
    return attempts(attempt.folder.parent)[-1].number > attempt.number


def attempts(calculation: Path) -> list[Attempt]:
    """The attempts in a calculation's folder, oldest first."""
    return sorted(_attempts(calculation), key=lambda a: a.number)


def _attempts(calculation: Path) -> Iterator[Attempt]:
    try:
        names = os.listdir(calculation)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name[0] == "a" and name[1:].isdigit():
            yield Attempt(calculation / name)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# -- claims --------------------------------------------------------------------


def claim(attempt: Attempt, **who: Any) -> bool:
    """Make the attempt ours; False where somebody else has it.

    The fence is the atomic renaming of a folder that holds the owner's record: it fails where a claim is there, and
    no claim is ever seen without its owner.

    Raises
    ------
    EngineMissingError
        No process can be seen here, so that nobody could tell later whether this one lives.
    """
    require_visible_processes()
    mine = attempt.folder / f".{CLAIM}.{socket.gethostname()}.{os.getpid()}"
    write_json(mine / "owner.json", {**_self(), "since": now(), **who})
    try:
        mine.rename(attempt.folder / CLAIM)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if _is_requeued(attempt.owner, who):
            return _enter_again(attempt, mine)
        shutil.rmtree(mine)
        return False
    return True


def _is_requeued(owner: dict[str, Any] | None, who: dict[str, Any]) -> bool:
    """Whether the claim is that of an earlier run of the very job that we are: a scheduler runs a job once at a time.

    On a network file system the same job may also meet its own claim, whose first answer was lost.
    """
    same = owner is not None and who.get("job") is not None and all(owner.get(k) == who.get(k) for k in ("tag", "job"))
    return bool(same and owner and (is_elsewhere(owner) or not is_alive(owner)))


def _enter_again(attempt: Attempt, mine: Path) -> bool:
    """Put aside what the interrupted run left, the claim last, and take its place."""
    number = sum(1 for p in attempt.folder.glob("requeued-*")) + 1
    aside = attempt.folder / f"requeued-{number}"
    aside.mkdir()
    kept = set(attempt.written["inputs"]) | {WRITTEN, TAKEN, CLAIM, aside.name, mine.name}
    taken = [t.get("file") for t in read_record(attempt.folder / TAKEN, "taken")["taken"]] if _is_taken(attempt) else []
    for entry in list(os.scandir(attempt.folder)):
        if entry.name not in kept and entry.name not in taken and not entry.name.startswith((".", "requeued-")):
            Path(entry.path).rename(aside / entry.name)
    (attempt.folder / CLAIM).rename(aside / CLAIM)
    mine.rename(attempt.folder / CLAIM)
    return True


def _is_taken(attempt: Attempt) -> bool:
    return (attempt.folder / TAKEN).is_file()


OWNER = ("host", "boot", "namespace", "pid", "group", "started")
"""What a claim's record says of the process that made it."""


def _self() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "namespace": _namespace(),
        "pid": os.getpid(),
        "group": os.getpgid(0),
        "started": process_start(os.getpid()),
    }


def is_alive(owner: dict[str, Any]) -> bool:
    """Whether the owner of a claim may still be at work.

    On this machine: whether its process, or any process that it started in its process group, lives. An owner on
    another machine, or in another container of this one, is taken as alive, for nothing here can tell; so is any where
    no process can be seen.
    """
    if not processes_are_visible() or is_elsewhere(owner):
        return True
    if owner["boot"] != _boot():
        return False
    started = process_start(owner["pid"])
    if started is not None:
        return bool(started == owner["started"])
    return _group_lives(owner["group"], owner["pid"])


def is_elsewhere(owner: dict[str, Any]) -> bool:
    """Whether an owner's processes cannot be seen from here."""
    if owner["boot"] == _boot():
        return bool(owner["namespace"] != _namespace())
    return bool(owner["host"] != socket.gethostname())


def processes_are_visible() -> bool:
    """Whether ``/proc`` shows at least ourselves; a bare chroot has none."""
    return process_start(os.getpid()) is not None


def require_visible_processes() -> None:
    """Refuse to start anything where nothing could tell whether it still runs.

    Raises
    ------
    EngineMissingError
        With the mend; nothing has been written.
    """
    if not processes_are_visible():
        raise EngineMissingError(
            "no process can be seen under /proc, so nothing could tell whether a calculation still runs",
            where=socket.gethostname(),
            mend=MOUNT_PROC,
        )


def process_start(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (a process number alone may have been used again)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _group_lives(group: int, leader: int) -> bool:
    """Whether a dead leader left processes in its group, such as an engine that goes on."""
    if group != leader:
        return False
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


def _namespace() -> str:
    """Of process numbers: a container has its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
