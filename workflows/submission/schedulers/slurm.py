"""SLURM: sbatch, squeue, sacct, scancel."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

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

WAITS = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
ENDS = {
    "TIMEOUT": Cause.WALLTIME,
    "DEADLINE": Cause.WALLTIME,
    "OUT_OF_MEMORY": Cause.MEMORY,
    "NODE_FAIL": Cause.NODE,
    "BOOT_FAIL": Cause.NODE,
    "LAUNCH_FAILED": Cause.NODE,
    "RECONFIG_FAIL": Cause.NODE,
    "PREEMPTED": Cause.NODE,
}
"""Ends whose word says why."""
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "REVOKED", *ENDS}
NO = re.compile(
    r"invalid |unrecognized option|unable to open file|access/permission denied|node configuration is not available"
    r"|not permitted|requested time limit|batch script (is empty|contains|does not)"
    r"|does not look like a batch script"
    r"|no partition specified|must be specified|option requires an argument|ambiguous",
    re.IGNORECASE,
)
"""Words that prove a refusal."""
LIMIT = re.compile(r"submit job limit|job submit limit|MaxSubmitJob|MaxJobCount|unable to accept job", re.IGNORECASE)
_LAG = 20.0
"""Seconds by which sacct may be behind (measured)."""
_MEMORY = timedelta(days=90)
"""How far back jobs are looked for."""
_ELEMENT = re.compile(r"(\d+)(?:_(\d+))?\Z")


class Slurm:
    """sbatch arrays from 0; elements may wait for elements (``aftercorr``)."""

    name = "slurm"
    prefix = "#SBATCH"
    unproved: tuple[str, ...] = ()
    programs = ("sbatch", "squeue", "sacct", "scancel", "scontrol")
    version = ("sbatch", "--version")
    proved_with: str | None = "22.05"
    can_chain = True

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def limits(self) -> Limits:
        """MaxArraySize is the number of elements; 1001 and 10 s are SLURM's own defaults."""
        found = self._config
        size = int(found.get("MaxArraySize", "1001"))
        wait = float(found.get("MessageTimeout", "10 sec").split()[0])
        return Limits(max(size, 1), 2 * wait + (_LAG if self._accounts else 1.0))

    @property
    def _config(self) -> dict[str, str]:
        """Of the cluster; asked again as long as nobody answers."""
        if not self._known and (said := call(["scontrol", "show", "config"])).code == 0:
            pairs = (line.split("=", 1) for line in said.out.splitlines() if "=" in line)
            self._known = {key.strip(): value.strip() for key, value in pairs}
        return self._known

    @property
    def _accounts(self) -> bool:
        return not self._config.get("AccountingStorageType", "").endswith("none")

    def words(self, order: Order) -> list[str]:
        """``--no-requeue``: a node's failure is answered by a new attempt, not by the same job id again."""
        folder = str(order.script.parent).replace("%", "%%")
        words = ["sbatch", "--parsable", f"--job-name={order.tag}", "--no-requeue", f"--chdir={order.script.parent}"]
        if order.size > 1:
            words += [f"--array=0-{order.size - 1}", f"--output={folder}/%a.log"]
        else:
            words += [f"--output={folder}/0.log"]
        words += ["--open-mode=append", "--kill-on-invalid-dep=yes"]
        if order.after:
            words += [f"--dependency=aftercorr:{order.after}"]
        if (order.seconds or 0) > 1200:
            words += ["--signal=B:USR1@120"]
        return words

    def submit(self, order: Order) -> Answer:
        """One sbatch."""
        return read_submission(call([*self.words(order), str(order.script)]))

    def rehearse(self, order: Order) -> Answer | None:
        """``--test-only``: options, partition and size are looked at, and nothing is submitted."""
        said = call([*self.words(order), "--test-only", str(order.script)])
        return Accepted(said.unknown.words) if said.code == 0 else read_submission(said)

    def poll(self, tags: Collection[str]) -> list[Job] | Unknown:
        """One squeue; an unknown name gives an empty answer with code 0, an unknown id would fail the whole listing."""
        if not tags:
            return []
        said = call(["squeue", "-h", "-r", "-a", "-t", "all", "-n", ",".join(tags), "-o", "%i|%j|%T|%r"])
        return read_jobs(said.out) if said.code == 0 else said.unknown

    def accounting(self, tags: Collection[str]) -> list[Job] | Unknown | None:
        """One sacct; None where SLURM is told to keep none."""
        if self._config and not self._accounts:
            return None
        if not tags:
            return []
        names = f"--name={','.join(tags)}"
        # A date: older SLURMs cannot read "now-90days".
        since = (datetime.now() - _MEMORY).date().isoformat()
        said = call(["sacct", "-n", "-P", "-X", "-S", since, names, "-o", "JobID,JobName,State,ExitCode"])
        return read_jobs(said.out) if said.code == 0 else said.unknown

    def cancel(self, jobs: Sequence[Job]) -> Unknown | None:
        """Scancel says nothing of unknown ids."""
        said = call(["scancel", *[f"{j.id}_{j.index}" if j.in_array else j.id for j in jobs]]) if jobs else None
        return said.unknown if said and said.code != 0 else None


def read_submission(said: Said) -> Answer:
    """What sbatch's words prove."""
    if said.code == 0 and (found := re.search(r"(?mi)(?:^|submitted batch job )(\d+)(?:;\S+)?\s*$", said.out)):
        return Accepted(found[1])
    text = said.err + said.out
    last = said.unknown.words if said.code is not None else said.err
    words = next((line for line in text.splitlines() if NO.search(line)), last)
    words = words.removeprefix("sbatch: error: ").removeprefix("sbatch: ").strip()
    return not_accepted(said, text, words, LIMIT, NO)


def read_jobs(text: str) -> list[Job]:
    """Lines ``id|name|state|reason`` of squeue or sacct; what is no element of a job is left out."""
    found = []
    for line in text.splitlines():
        if line.count("|") < 3:
            continue
        name, tag, state, why = line.split("|", 3)
        if element := _ELEMENT.match(name.strip()):
            found.append(_job(element[1], element[2], tag, state, why))
    return found


def _job(job: str, index: str | None, tag: str, state: str, why: str) -> Job:
    word = state.split()[0].rstrip("+") if state.split() else "UNKNOWN"
    # A word that we do not know is no proof of an end.
    phase = Phase.QUEUED if word in WAITS else Phase.ENDED if word in ENDED else Phase.RUNNING
    said = "" if why in ("None", "0:0") else why
    return Job(job, int(index or 0), tag, phase, word, said, ENDS.get(word), index is not None)
