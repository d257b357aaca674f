"""Oddities of the machine and the account: characters, clock, time zone, processes, threads."""

from __future__ import annotations

import locale
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from zoneinfo import ZoneInfo

from kalloy.workflows.attempt import MOUNT_PROC, processes_are_visible
from kalloy.workflows.doctor.finding import Finding, failure, ok, warning

CLOSE, FAR = 2.0, 20.0
"""Seconds between two clocks: what nobody minds; what the wait before a job is submitted again cannot bear."""
DAY = 86400.0
THREADS = "OMP_NUM_THREADS"


def examine_machine(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Everything of this room that is no folder's."""
    yield characters(locale.getpreferredencoding(False), environment)
    yield clock(time.time(), Path(__file__).stat().st_mtime)
    yield time_zone(environment)
    if not processes_are_visible():
        yield failure("processes", "none can be seen under /proc: nothing tells whether a calculation runs", MOUNT_PROC)
    if found := threads(environment, len(os.sched_getaffinity(0))):
        yield found


def characters(encoding: str, environment: Mapping[str, str]) -> Finding:
    """Whether what kalloy prints (Γ, Å, Δ) can be shown."""
    named = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "none")
    if encoding.lower().replace("-", "") == "utf8":
        return ok("locale", f"{named}, {encoding}")
    words = f"{named} is {encoding}, not UTF-8: Γ, Å and Δ are printed as question marks"
    return warning("locale", words, "export LC_ALL=C.UTF-8")


def clock(now: float, installed: float) -> Finding:
    """Against the time at which kalloy itself was installed.

    Parameters
    ----------
    now, installed : seconds since 1970.
    """
    said = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    if now < installed - DAY:
        mend = "set it: ssh, certificates and the order of records depend on it"
        return failure("clock", f"{said} UTC, before kalloy was installed", mend)
    return ok("clock", f"{said} UTC")


def time_zone(environment: Mapping[str, str]) -> Finding:
    """Records are in UTC whatever it is; a name that the system does not know silently means UTC."""
    asked = environment.get("TZ", "").lstrip(":")
    if asked and not _is_zone(asked):
        return warning("time zone", f"TZ={asked} is none that this machine knows", "mend or unset TZ")
    return ok("time zone", f"{time.strftime('%Z %z')}; records are in UTC")


def _is_zone(name: str) -> bool:
    if re.match(r"[A-Za-z]{3,}[+-]?\d|<", name):  # POSIX: CET-1CEST
        return True
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return Path(name).is_file()
    return True


def threads(environment: Mapping[str, str], cores: int) -> Finding | None:
    """What engines take that are started by hand or by a queue's job; None where it is of no account.

    Jobs on this machine get one thread each from their script.
    """
    stated = environment.get(THREADS)
    if stated is None and cores > 1:
        words = f"{THREADS} is not set: an engine started by hand takes every core (kalloy's own jobs take one)"
        return ok("threads", words)
    if stated and not re.fullmatch(r"\d+(,\d+)*", stated):
        return warning("threads", f"{THREADS}={stated} is no number", f"export {THREADS}=1")
    return ok("threads", f"{THREADS}={stated}") if stated else None


def threads_of_jobs(site: str, setup: list[str], stated: str | None) -> Finding:
    """How many threads VASP takes in jobs of a queueing system."""
    if lines := [line for line in setup if THREADS in line]:
        return ok(f"{site}: threads", lines[0].removeprefix("export "))
    if stated:
        return ok(f"{site}: threads", f"{THREADS}={stated}, from this shell if the scheduler hands it on")
    words = (
        f"{THREADS} is set neither here nor in the site's setup: a VASP built with OpenMP takes every core a process"
    )
    return warning(f"{site}: threads", words, f'[site.{site}] setup = ["export {THREADS}=1"]')


def clock_of_files(subject: str, folder: Path, now: Callable[[], float] = time.time) -> Finding | None:
    """The file server's clock against this machine's, by a file that is made and removed; None where none can be."""
    try:
        before = now()
        with TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            stamp = os.fstat(file.fileno()).st_mtime
        after = now()
    except OSError:
        return None
    return difference(subject, "the files' clock", max(stamp - after, before - stamp - CLOSE / 2, 0.0))


def difference(subject: str, whose: str, seconds: float) -> Finding:
    """Two clocks that differ by so many seconds."""
    if seconds <= CLOSE:
        return ok(subject, f"{whose} agrees with this machine's")
    words = f"{whose} is {seconds:.0f} s away from this machine's"
    mend = "let both follow one time server (chrony, ntpd)"
    if seconds <= FAR:
        return warning(subject, words, mend)
    return failure(subject, f"{words}: what is waited for before a job is sent again cannot be told", mend)


def future(folder: Path, now: float) -> Finding | None:
    """Records that are newer than now: the clock was set back, or another machine's is ahead."""
    names = ("kalloy.toml", "driver.lock", "kalloy.db", "selections/*", "batches/*/manifest.json")
    files = [path for pattern in names for path in folder.glob(pattern)]
    late = [(stamp - now, path) for path in files if (stamp := path.stat().st_mtime) > now + FAR]
    if not late:
        return None
    seconds, path = max(late)
    words = f"{path.relative_to(folder)} is {seconds:.0f} s newer than now"
    return warning("clock of the records", words, "the clock was set back, or another machine's is ahead: set both")
