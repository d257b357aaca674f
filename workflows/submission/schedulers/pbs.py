"""PBS in two dialects: OpenPBS (and PBS Pro) and Torque."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

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

NO = re.compile(
    r"unknown queue|unknown resource|illegal attribute|unauthorized|not permitted|invalid (option|account|credential|-)"
    r"|job rejected|access (denied|from host)|illegal -|bad uid|cannot be satisfied|unknown job dependency",
    re.IGNORECASE,
)
LIMIT = re.compile(r"would exceed|exceeds? .*limit|maximum number of jobs|max_queued|queue limit", re.IGNORECASE)
NO_HISTORY = re.compile(r"job history|job_history_enable|(invalid|illegal|unknown) option", re.IGNORECASE)
"""How qstat refuses ``-x``: "PBS is not configured to maintain job history"."""
_GRACE = 90.0
"""Seconds; the server does not say how long a message may take."""
_ENDED = ("F", "X", "C", "M")
_RUNS = ("R", "E", "B")
_IN_ARRAY = re.compile(r"(\d+)\[(\d*)\]|(\d+)-(\d+)(?=\.|\Z)")
_WALLTIME = -29
"""JOB_EXEC_KILL_WALLTIME of OpenPBS."""


class _Pbs:
    """What both dialects share."""

    name: str
    prefix = "#PBS"
    unproved: tuple[str, ...] = ("submission", "arrays", "limits", "cancelling", "how a job ended")
    programs = ("qsub", "qstat", "qdel", "qmgr")
    version = ("qstat", "--version")
    proved_with: str | None = None
    can_chain = False
    array_flag: str
    listing: tuple[str, ...] = ("-f", "-t")

    def limits(self) -> Limits:
        """``max_array_size`` of the server, where it says so."""
        said = call(["qmgr", "-c", "list server"])
        found = re.search(r"max_(?:job_)?array_size\s*=\s*(\d+)", said.out)
        return Limits(int(found[1]) if found else 1000, _GRACE)

    def words(self, order: Order) -> list[str]:
        """A single job is not to be rerun; an array of OpenPBS always may be, and enters its own attempts again."""
        words = ["qsub", "-N", order.tag, "-j", "oe", "-o", str(order.script.parent) + "/", "-S", "/bin/bash"]
        return words + ([self.array_flag, f"0-{order.size - 1}"] if order.size > 1 else ["-r", "n"])

    def submit(self, order: Order) -> Answer:
        """One qsub."""
        return read_submission(call([*self.words(order), str(order.script)]))

    def rehearse(self, order: Order) -> Answer | None:
        """Nothing that is proved."""
        return None

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        """One qstat of everything; the names are picked out here."""
        if not tags:
            return []
        said = self._list()
        if said.code != 0:
            return said.unknown
        return [job for job in read_jobs(said.out) if job.tag in tags]

    def _list(self) -> Said:
        return call(["qstat", *self.listing])

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        """The server's history is part of the listing; users cannot read its accounts."""
        return None

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        """One qdel for all."""
        said = call(["qdel", *[self._element(job) for job in jobs]]) if jobs else None
        gone = said and re.search(r"unknown job|has finished|invalid state", said.err, re.IGNORECASE)
        return said.unknown if said and said.code != 0 and not gone else None

    def _element(self, job: Job) -> str:
        number, dot, server = job.id.partition(".")
        return f"{number.removesuffix('[]')}[{job.index}]{dot}{server}" if job.in_array else job.id


class OpenPbs(_Pbs):
    """OpenPBS and PBS Pro: ``-J``, finished jobs by ``-x`` where the server keeps a history of them.

    Without a history (``job_history_enable`` is off) ended jobs are gone from the listing at once; then their own end
    records tell how they ended.
    """

    name = "pbs"
    array_flag = "-J"

    def __init__(self) -> None:
        self._history: tuple[str, ...] = ("-x",)

    def _list(self) -> Said:
        said = call(["qstat", *self.listing, *self._history])
        if said.code not in (None, 0) and self._history and NO_HISTORY.search(said.err + said.out):
            self._history = ()
            return self._list()
        return said


class Torque(_Pbs):
    """Torque: ``-t``, finished jobs stay for ``keep_completed``."""

    name = "torque"
    unproved = (*_Pbs.unproved, "its own listing")
    array_flag = "-t"


def read_submission(said: Said) -> Answer:
    """What qsub's words prove."""
    if said.code == 0 and (found := re.search(r"^(\d+(?:\[\])?(?:\.\S+)?)\s*$", said.out, re.MULTILINE)):
        return Accepted(found[1])
    return not_accepted(said, said.err, said.unknown.words.removeprefix("qsub: "), LIMIT, NO)


def read_jobs(text: str) -> list[Job]:
    """The full listing of qstat; an array's own entry is left out, for its elements are listed too."""
    found = []
    for name, fields in _entries(text):
        element = _IN_ARRAY.match(name)
        if element and element[1] and not element[2]:
            continue
        number = element[1] or element[3] if element else None
        index = int(element[2] or element[4]) if element else 0
        server = name.partition(".")[2]
        job = f"{number}[]{'.' if server else ''}{server}" if number else name
        found.append(_job(job, index, fields, element is not None))
    return found


def _job(job: str, index: int, fields: dict[str, str], in_array: bool) -> Job:
    state = fields.get("job_state", "")
    phase = Phase.ENDED if state in _ENDED else Phase.RUNNING if state in _RUNS else Phase.QUEUED
    status = fields.get("Exit_status", fields.get("exit_status", ""))
    word, why, cause = state, fields.get("comment", ""), None
    if phase is Phase.ENDED and status:
        word, why = ("done", "") if status == "0" else ("failed", f"exit status {status}")
        over = int(status) == _WALLTIME
        cause = Cause.WALLTIME if over else None
    tag = fields.get("Job_Name", "")
    return Job(job, index, tag, phase, word, why, cause, in_array)


def _entries(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Identifiers and fields; long values go on in lines that begin with a tab, or, broken, with anything else."""
    name: str | None = None
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if line.startswith("Job Id:"):
            if name is not None:
                yield name, fields
            name, fields, last = line.split(":", 1)[1].strip(), {}, ""
        elif match := re.match(r"    ([A-Za-z_][\w.]*) = (.*)", line):
            last = match[1]
            fields[last] = match[2]
        elif last and line.strip():
            fields[last] += line.strip()
    if name is not None:
        yield name, fields
