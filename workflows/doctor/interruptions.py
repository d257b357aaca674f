"""What was left in a campaign when its driver or its jobs ended: the lock, claims, the index."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError
from kalloy.workflows.attempt import State, is_elsewhere
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.doctor.finding import Finding, failure, ok, warning
from kalloy.workflows.lock import LOCK_FILE
from kalloy.workflows.submission.batch import Batch
from kalloy.workflows.submission.board import all_standings


def interruptions(campaign: Campaign) -> Iterator[Finding]:
    """Everything of this room."""
    yield driver(campaign.root)
    yield from claims(campaign)
    if found := unanswered(campaign):
        yield found
    if found := index(campaign.index_file):
        yield found


def driver(root: Path) -> Finding:
    """Who drives the campaign, and whether the lock is held by somebody who lives."""
    path = root / LOCK_FILE
    if not path.is_file():
        return ok("driver", "none has worked here yet")
    who = _record(path)
    name = f"pid {who['pid']} on {who['host']} since {who['since']}" if who else "somebody"
    if not _is_held(path):
        return ok("driver", f"none at work; the last was {name}")
    if who and who["host"] == socket.gethostname() and not Path(f"/proc/{who['pid']}").exists():
        words = f"the lock is held, and {name}, who took it, is gone"
        return warning(
            "driver", words, f"see who has it open: `fuser {path}`; a file server may let go in a minute or so"
        )
    return ok("driver", f"at work: {name}")


def _record(path: Path) -> dict[str, Any] | None:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return who if isinstance(who, dict) and {"pid", "host", "since"} <= who.keys() else None


def _is_held(path: Path) -> bool:
    """Asked by a shared lock that is given back at once."""
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
        return False


def claims(campaign: Campaign) -> Iterator[Finding]:
    """Attempts that somebody has made his own and not ended."""
    try:
        found = [s for s in all_standings(campaign) if s.attempt]
        open_ = [(s, s.attempt.owner) for s in found if s.attempt and s.attempt.end is None and s.attempt.owner]
    except CampaignError as error:
        yield failure("records", str(error), error.mend or "restore the file")
        return
    local = campaign.spec.machine.scheduler == "local"
    away = [(s, owner) for s, owner in open_ if owner and is_elsewhere(owner)] if local else []
    if away:
        hosts = ", ".join(f"{count} on {host}" for host, count in Counter(o["host"] for _, o in away if o).items())
        words = f"claimed where this machine cannot look: {hosts} ({away[0][0].label} since {away[0][1]['since']})"
        yield warning("attempts", words, "if that machine is dead: `kalloy run --take-over`")
    lost = [s for s, _ in open_ if s.state is State.LOST]
    if lost and local:
        words = f"{len(lost)} ended without a word ({lost[0].label})"
        yield warning("attempts", words, "`kalloy run` follows each by a new one")
    if not away and not (lost and local):
        running = sum(s.state is State.RUNNING for s in found)
        yield ok("attempts", f"{running} running, {sum(s.state is State.DONE for s in found)} done, of {len(found)}")


def unanswered(campaign: Campaign) -> Finding | None:
    """Submissions whose answer nobody knows."""
    if campaign.spec.machine.scheduler == "local" or not campaign.batches.is_dir():
        return None
    folders = [p for p in sorted(campaign.batches.iterdir()) if (p / "manifest.json").is_file()]
    open_ = [b for b in map(Batch, folders) if b.id is None and not b.is_void and not b.is_closed]
    if not open_:
        return None
    words = f"{len(open_)} without the scheduler's answer ({open_[0].tag})"
    return warning(
        "submissions", words, "`kalloy submit` or `kalloy run` looks for them before it sends anything again"
    )


def index(path: Path) -> Finding | None:
    """kalloy.db, read without touching it."""
    if not path.is_file():
        return None
    mend = "it is only an index: make it anew with `kalloy status --rebuild`"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return ok("index", "in use")
        return warning("index", f"{path.name} cannot be read: {error}", mend)
    except sqlite3.DatabaseError as error:
        return failure("index", f"{path.name} is damaged: {error}", mend)
    if said != ("ok",):
        return failure("index", f"{path.name} is damaged: {said[0] if said else 'empty'}", mend)
    return ok("index", f"{path.name}, {os.path.getsize(path) / 1e3:.0f} kB, sound")
