"""LSF: bsub, bjobs, bkill."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.submission.schedulers.calling import Said, call, not_accepted
from kalloy.workflows.submission.schedulers.vocabulary import (
    Accepted,
    Answer,
    Job,
    Limits,
    Order,
    Phase,
    Unknown,
)

COLUMNS = (
    *("jobid", "stat", "exit_reason", "exec_host", "user", "slots", "max_req_proc", "exec_host", "queue"),
    *("finish_time", "start_time", "%complete", "submit_time", "name"),
)
"""In the order of the recording that proves the reader."""
WAITS = ("PEND", "PSUSP", "WAIT", "PROV")
REASONS = {"TERM_RUNLIMIT": Cause.WALLTIME, "TERM_DEADLINE": Cause.WALLTIME, "TERM_MEMLIMIT": Cause.MEMORY}
NO = re.compile(
    r"no such queue|bad |illegal|cannot use|not permitted|not allowed|unknown|does not exist", re.IGNORECASE
)
LIMIT = re.compile(r"limit (has been )?(reached|exceeded)|pending job threshold|exceeds? .*limit", re.IGNORECASE)
_GRACE = 90.0
"""Seconds; bsub itself goes on trying while the master host does not answer."""


class Lsf:
    """Elements from 1."""

    name = "lsf"
    prefix = "#BSUB"
    unproved: tuple[str, ...] = ("submission", "arrays", "limits", "cancelling")
    programs = ("bsub", "bjobs", "bkill", "bparams")
    version = ("bsub", "-V")
    proved_with: str | None = None
    can_chain = False

    def limits(self) -> Limits:
        """``MAX_JOB_ARRAY_SIZE``; 1000 is LSF's own default."""
        found = re.search(r"MAX_JOB_ARRAY_SIZE\s*=\s*(\d+)", call(["bparams", "-a"]).out)
        return Limits(int(found[1]) if found else 1000, _GRACE)

    def words(self, order: Order) -> list[str]:
        """``-rn``: never run again by itself."""
        name = f"{order.tag}[1-{order.size}]" if order.size > 1 else order.tag
        return ["bsub", "-J", name, "-rn", "-cwd", str(order.script.parent), "-o", "/dev/null"]

    def submit(self, order: Order) -> Answer:
        """Bsub reads the script on its input: only then does it see ``#BSUB``."""
        return read_submission(call(self.words(order), stdin=order.script))

    def rehearse(self, order: Order) -> Answer | None:
        """Nothing that is proved."""
        return None

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        """One bjobs of all the user's jobs, ended ones as long as LSF remembers them."""
        if not tags:
            return []
        said = call(["bjobs", "-a", "-noheader", "-o", f"{' '.join(COLUMNS)} delimiter='|'"])
        if re.search(r"no (unfinished |matching )?job found", said.err, re.IGNORECASE):
            return []
        return [job for job in read_jobs(said.out) if job.tag in tags] if said.code == 0 else said.unknown

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        """Bhist and bacct read the event logs of the master host, which may be long: not asked."""
        return None

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        """One bkill for all."""
        names = [f"{job.id}[{job.index + 1}]" if job.in_array else job.id for job in jobs]
        said = call(["bkill", *names]) if names else None
        gone = said and re.search(r"already finished|no matching job", said.err + said.out, re.IGNORECASE)
        return said.unknown if said and said.code != 0 and not gone else None


def read_submission(said: Said) -> Answer:
    """What bsub's words prove."""
    if said.code == 0 and (found := re.search(r"Job <(\d+)> is submitted", said.out)):
        return Accepted(found[1])
    return not_accepted(said, said.err, said.unknown.words, LIMIT, NO)


def read_jobs(text: str) -> list[Job]:
    """Lines of `COLUMNS`; an element's name ends with its index, ``TAG[3]``."""
    found = []
    for line in text.splitlines():
        fields = [part.strip() for part in line.split("|")]
        if len(fields) < len(COLUMNS):
            continue
        named = re.fullmatch(r"(.*?)(?:\[(\d+)\])?", "|".join(fields[len(COLUMNS) - 1 :]))
        assert named
        word, reason = fields[1], "" if fields[2] == "-" else fields[2]
        phase = Phase.ENDED if word in ("DONE", "EXIT") else Phase.QUEUED if word in WAITS else Phase.RUNNING
        cause = REASONS.get(reason.split(":")[0]) if phase is Phase.ENDED else None
        found.append(Job(fields[0], int(named[2] or 1) - 1, named[1], phase, word, reason, cause, named[2] is not None))
    return found
