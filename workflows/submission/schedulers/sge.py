"""Grid Engine: qsub, qstat, qacct, qdel."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from getpass import getuser
from xml.etree import ElementTree

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
    r"unknown (queue|resource|project|pe)|invalid option|was rejected|denied|no suitable queues|not a valid|"
    r"can't (read|find|resolve)|error opening|no such|does not exist|unknown option|not allowed|parallel environment",
    re.IGNORECASE,
)
LIMIT = re.compile(
    r"exceed|only \d+ jobs|more than \d+ tasks|too many|job limit|max_u_jobs|max_jobs|limit of", re.IGNORECASE
)
_NEVER = re.compile(r"(?!)")
_GRACE = 50.0
"""Seconds: twice what a message may take, and what accounting is behind (its file is flushed every 15 s by default)."""
FAILED = {"37": Cause.WALLTIME, "100": Cause.LOST, **dict.fromkeys(("19", "21", "25", "26"), Cause.NODE)}
"""qacct's ``failed`` codes: 37 is a limit that was passed, 21 to 26 are the node's, and 19 is what a node that comes
back says of the jobs that it has lost."""


class GridEngine:
    """Tasks from 1; tasks of one array may wait for those of another (``-hold_jid_ad``)."""

    name = "sge"
    prefix = "#$"
    unproved: tuple[str, ...] = ()
    programs = ("qsub", "qstat", "qacct", "qdel", "qconf")
    version = ("qstat", "-help")
    proved_with: str | None = "8.1.9"
    can_chain = True

    def limits(self) -> Limits:
        """``max_aj_tasks`` of the cluster's configuration; 0 there means that there is none."""
        said = call(["qconf", "-sconf"])
        found = re.search(r"^max_aj_tasks\s+(\d+)", said.out, re.MULTILINE)
        return Limits(int(found[1]) or 75000 if found else 1000, _GRACE)

    def words(self, order: Order) -> list[str]:
        """``-r n``: a node's failure is answered by a new attempt."""
        folder = str(order.script.parent)
        words = ["qsub", "-terse", "-N", order.tag, "-r", "n", "-S", "/bin/bash"]
        words += ["-wd", folder, "-j", "y", "-o", folder]
        if order.size > 1:
            words += ["-t", f"1-{order.size}"]
        if order.after:
            words += ["-hold_jid_ad", order.after]
        if (order.seconds or 0) > 1200:
            words += ["-notify"]
        return words

    def submit(self, order: Order) -> Answer:
        """One qsub."""
        return read_submission(call([*self.words(order), str(order.script)]))

    def rehearse(self, order: Order) -> Answer | None:
        """``-w v``: options, queue and resources are looked at, and nothing is submitted."""
        said = call([*self.words(order), "-w", "v", str(order.script)])
        return Accepted(said.unknown.words) if said.code == 0 else read_submission(said)

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        """One qstat of the user's jobs, tasks one by one."""
        if not tags:
            return []
        said = call(["qstat", "-xml", "-g", "d", "-u", getuser()])
        if said.code != 0:
            return said.unknown
        found = read_queue(said.out)
        return found if isinstance(found, Unknown) else [job for job in found if job.tag in tags]

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        """One qacct a name: it takes no list of them."""
        found: list[Job] = []
        for tag in tags:
            said = call(["qacct", "-j", tag])
            if said.code == 0:
                found += read_accounts(said.out)
            elif "not found" not in said.err:
                return said.unknown
        return found

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        """Tasks by number."""
        for job in jobs:
            said = call(["qdel", job.id, *(["-t", str(job.index + 1)] if job.in_array else [])])
            if said.code != 0 and "does not exist" not in said.out + said.err:
                return said.unknown
        return None


def read_submission(said: Said) -> Answer:
    """What qsub's words prove."""
    if said.code == 0 and (found := re.search(r"^(\d+)(?:\.\d+-\d+:\d+)?\s*$", said.out, re.MULTILINE)):
        return Accepted(found[1])
    text = said.err + said.out
    lines = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "Exiting."]
    words = (lines[-1] if lines else f"exit code {said.code}").removeprefix("Unable to run job: ")
    return not_accepted(said, text, words, LIMIT if "rejected" in text else _NEVER, NO)


def read_queue(text: str) -> list[Job] | Unknown:
    """The XML of qstat; an answer that cannot be read proves nothing."""
    try:
        root = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as error:
        return Unknown(f"qstat's XML cannot be read: {error}")
    if {child.tag for child in root} - {"queue_info", "job_info"}:
        return Unknown("qstat's XML holds neither queue_info nor job_info")
    found = []
    for entry in root.iter("job_list"):
        fields = {child.tag: (child.text or "").strip() for child in entry}
        if not fields.get("JB_job_number"):
            return Unknown("qstat names a job without a number")
        found += [_queued(fields, index, "tasks" in fields) for index in _tasks(fields.get("tasks", ""))]
    return found


def _queued(fields: dict[str, str], index: int, in_array: bool) -> Job:
    word = fields.get("state", "")
    phase = Phase.RUNNING if re.search(r"[rtRsSTd]", word) and "q" not in word else Phase.QUEUED
    why = "in error: qstat -j says why" if "E" in word else ""
    return Job(fields["JB_job_number"], index, fields.get("JB_name", ""), phase, word, why, None, in_array)


def _tasks(text: str) -> list[int]:
    """``3``, ``1-5:2`` and lists of them, from 0; a job that is no array is its own first."""
    if not text:
        return [0]
    found: list[int] = []
    for part in text.split(","):
        first, last, step = re.fullmatch(r"(\d+)(?:-(\d+))?(?::(\d+))?", part.strip()).groups()  # type: ignore[union-attr]
        found += range(int(first) - 1, int(last or first), int(step or 1))
    return found


def read_accounts(text: str) -> list[Job]:
    """The records of qacct."""
    found = []
    for block in re.split(r"^=+\s*$", text, flags=re.MULTILINE):
        fields = dict(re.findall(r"^(\w+)\s+(.*?)\s*$", block, re.MULTILINE))
        if not {"jobnumber", "jobname", "failed", "exit_status"} <= {key for key, value in fields.items() if value}:
            continue  # nothing, or a record that is being written
        failed, status = fields["failed"].split()[0], fields["exit_status"].split()[0]
        word = "done" if failed == status == "0" else "failed"
        task = fields.get("taskid", "undefined")
        index = int(task) - 1 if task.isdigit() else 0
        why = f"failed {fields.get('failed')}, exit status {status}" if word == "failed" else ""
        cause = FAILED.get(failed)
        found.append(Job(fields["jobnumber"], index, fields["jobname"], Phase.ENDED, word, why, cause, task.isdigit()))
    return found
