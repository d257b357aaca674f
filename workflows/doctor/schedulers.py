"""A site's scheduler: its commands, whether it answers, its version, what it would say to a job, its limits."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from kalloy.errors import SpecError
from kalloy.workflows.doctor.finding import Finding, failure, missing, ok, warning
from kalloy.workflows.spec_sites import Needs, SiteTable
from kalloy.workflows.submission.schedulers import scheduler_of
from kalloy.workflows.submission.schedulers.calling import Said, call
from kalloy.workflows.submission.schedulers.options import lines
from kalloy.workflows.submission.schedulers.vocabulary import Accepted, LimitReached, Order, Scheduler, Unknown
from kalloy.workflows.submission.script import walltime

TAG = "kdoctor"
"""A job's name that no batch has."""
KINDS = {
    "torque": r"(?im)^\s*version:\s*\d",
    "pbs": r"pbs_version",
    "sge": r"\b[A-Z]{0,2}GE \d|Grid Engine",
    "slurm": r"\bslurm",
    "lsf": r"\bLSF\b",
}
"""How each names itself when it is asked for its version."""
SLOW = 10.0
"""Seconds for an answer that a driver asks for every ``poll`` seconds."""


def scheduler(site: str, table: SiteTable, scripts: Sequence[tuple[Needs, str]], needed: bool) -> Iterator[Finding]:
    """Everything about the scheduler of one site that is reached from this machine.

    Parameters
    ----------
    scripts : job scripts to rehearse, each with what it needs; of a campaign's stages, or `bare_script`.
    needed : whether the campaign runs there.
    """
    adapter, subject = scheduler_of(table.scheduler), f"{site}: {table.scheduler}"
    if absent := [name for name in adapter.programs if shutil.which(name) is None]:
        mend = f"type this on a login node of the cluster, or load its module; else mend [site.{site}] scheduler"
        yield missing(needed, subject, f"{', '.join(absent)} not on PATH", mend)
        return
    yield version(subject, adapter, call(adapter.version))
    yield from answers(subject, adapter, needed)
    for needs, text in scripts:
        if found := rehearsal(site, subject, adapter, table, needs, text, needed):
            yield found
    if adapter.unproved:
        words = f"unproved on a real {table.scheduler}: {', '.join(adapter.unproved)}"
        yield warning(subject, words, "try one small job first (docs/hpc.md)")


def version(subject: str, adapter: Scheduler, said: Said) -> Finding:
    """Whose commands these are, and whether they are older than the ones that the tests know."""
    text = f"{said.out}\n{said.err}"
    kind = next((name for name, pattern in KINDS.items() if re.search(pattern, text)), None)
    if kind and kind != adapter.name:
        return failure(subject, f"{adapter.version[0]} here is that of {kind}", f'say scheduler = "{kind}"')
    found = re.search(r"\d+(?:\.\d+)+\w*", text)
    if found is None:
        mend = "ask the cluster's people; it may be older than the options that are used"
        return warning(subject, f"its version is not understood: {said.unknown.words}", mend)
    if adapter.proved_with and _numbers(found[0]) < _numbers(adapter.proved_with):
        words = f"version {found[0]}, older than {adapter.proved_with}, with which kalloy is tested"
        return warning(subject, words, "try one small job first; what it refuses is told in its own words")
    tested = f" (tested with {adapter.proved_with})" if adapter.proved_with else ""
    return ok(subject, f"version {found[0]}{tested}")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def answers(subject: str, adapter: Scheduler, needed: bool) -> Iterator[Finding]:
    """The questions of a driver: the queue, the accounts, the limits."""
    began = time.monotonic()
    queue = adapter.poll([TAG])
    took = time.monotonic() - began
    if isinstance(queue, Unknown):
        mend = "wait until it answers: nothing is submitted and nothing is called lost meanwhile"
        yield missing(needed, subject, f"does not answer: {queue.words}", mend)
        return
    if took > SLOW:
        yield warning(
            subject, f"answers after {took:.0f} s", "raise poll, the seconds between two questions, in the site"
        )
    limits = adapter.limits()
    yield ok(subject, f"answers; arrays of {limits.max_array_size:,} jobs at most, longer ones are divided")
    accounts = adapter.accounting([TAG])
    if isinstance(accounts, Unknown):
        mend = "jobs that end without a word are called lost later; ask for access to the accounts"
        yield warning(subject, f"its accounts do not answer: {accounts.words}", mend)
    elif accounts is None:
        yield ok(subject, "keeps no accounts: how a job ended is known from its records alone")


def rehearsal(
    site: str, subject: str, adapter: Scheduler, table: SiteTable, needs: Needs, text: str, needed: bool
) -> Finding | None:
    """What the scheduler would say to a job of the site; nothing is submitted."""
    with TemporaryDirectory(prefix="kalloy-doctor-") as folder:
        script = Path(folder) / "job.sh"
        script.write_text(text, encoding="utf-8")
        after = "1" if table.jobs.per == "stage" and adapter.can_chain else None
        answer = adapter.rehearse(Order(TAG, script, 2, after, walltime(needs)))
    said = ", ".join(f"{name}={value}" for name, value in needs.options.items()) or "no options"
    if answer is None:
        return None
    if isinstance(answer, Accepted):
        return ok(subject, f"would take a job with {said}")
    if isinstance(answer, LimitReached):
        return ok(subject, f"would take a job with {said}, later: {answer.words}")
    mend = f"mend the options of [site.{site}]"
    return missing(needed, subject, f"refuses a job with {said}: {answer.words}", mend)


def bare_script(table: SiteTable) -> tuple[Needs, str]:
    """A job script with the site's options alone."""
    needs = Needs(table.commands, table.options, table.incar)
    prefix = scheduler_of(table.scheduler).prefix
    heads = [f"{prefix} {line}" for line in lines(table.scheduler, table.options)]
    return needs, "\n".join(["#!/bin/bash", *heads, "exit 0", ""])


def limit_of_jobs(site: str, table: SiteTable) -> Iterator[Finding]:
    """Cores of this machine against what runs side by side on it."""
    cores, side_by_side = len(os.sched_getaffinity(0)), table.side_by_side
    for program, text in table.commands.items():
        ranks = re.search(r"(?:^|\s)(?:-np?|--ntasks|-c)[ =]?(\d+)(?=\s)", text)
        needed = side_by_side * (int(ranks[1]) if ranks else 1)
        if needed > cores:
            words = f"{side_by_side} at a time by '{text}' want {needed} cores, and there are {cores}"
            fewer = max(1, cores * side_by_side // needed)
            mend = f"[site.{site}] jobs = {fewer}, or fewer processes in commands.{program}"
            yield warning(f"{site}: cores", words, mend)
            return
    yield ok(f"{site}: cores", f"{side_by_side} calculations at a time on {cores} cores, each with one thread")


def unreadable(site: str, error: SpecError) -> Finding:
    """A table, script or template that is wrong."""
    place = f"{error.where}: " if error.where else ""
    return failure(f"{site}: table", f"{place}{error.what}", error.mend or "mend it")
