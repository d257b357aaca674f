"""A site that is reached over ssh: whether it is, with what kalloy, rsync, room and clock."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from kalloy import __version__
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.doctor.finding import Finding, Mark, missing, ok, warning
from kalloy.workflows.doctor.machine import difference
from kalloy.workflows.elsewhere import AT_SITE, RECORD, ssh_program
from kalloy.workflows.spec_sites import SiteTable

PATIENCE = 30
"""Seconds for a connection."""


@dataclass(frozen=True)
class Far:
    """What the far end said."""

    version: str
    rsync: str
    folder: str
    """The nearest folder above the site's that is there, and ``writable`` or ``read-only``."""
    epoch: float
    free_kB: int | None


def ssh_site(site: str, table: SiteTable, needed: bool) -> Iterator[Finding]:
    """Everything about a machine behind ssh, by one connection that asks and changes nothing."""
    subject = f"{site}: ssh"
    for program in ("ssh", "rsync"):
        if shutil.which(program) is None:
            mend = f"install it (Debian: apt-get install {'openssh-client' if program == 'ssh' else 'rsync'})"
            yield missing(needed, subject, f"no {program} on this machine", mend)
            return
    assert table.ssh is not None
    said = _ask(table.ssh, question(table))
    if isinstance(said, str):
        mend = f"make `ssh -o BatchMode=yes {table.ssh} true` work without a question: keys, agent, ~/.ssh/config"
        yield missing(needed, subject, f"{table.ssh} is not reached: {said}", mend)
        return
    yield from told(site, table, read_answer(said.stdout), time.time(), needed)


def question(table: SiteTable) -> str:
    """One line of shell for the far end."""
    program = shlex.join(shlex.split(table.kalloy))
    folder = shlex.quote(table.folder or ".")
    return (
        f'echo "version=$({program} --version 2>/dev/null)"; echo "rsync=$(command -v rsync)"; '
        f'd={folder}; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; '
        'if [ -w "$d" ]; then echo "folder=writable $d"; else echo "folder=read-only $d"; fi; '
        'echo "epoch=$(date +%s)"; echo "free=$(df -Pk "$d" 2>/dev/null | tail -1 | awk \'{print $4}\')"'
    )


def read_answer(text: str) -> Far:
    """The lines of `question`; what is not there is empty."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    epoch, free = found.get("epoch", ""), found.get("free", "")
    return Far(
        found.get("version", ""),
        found.get("rsync", ""),
        found.get("folder", ""),
        float(epoch) if epoch.isdigit() else 0.0,
        int(free) if free.isdigit() else None,
    )


def told(site: str, table: SiteTable, far: Far, now: float, needed: bool) -> Iterator[Finding]:
    """What the far end's words mean."""
    subject, mine = f"{site}: ssh", f"kalloy {__version__}"
    if not far.version.startswith("kalloy "):
        mend = f'install {mine} there, or name it: [site.{site}] kalloy = "/path/to/kalloy"'
        yield missing(needed, subject, f"{table.ssh} has no '{table.kalloy}'", mend)
    elif far.version != mine:
        yield missing(needed, subject, f"{far.version} there and {mine} here", "install the same version at both ends")
    else:
        yield ok(subject, f"{table.ssh}, with {far.version}")
    if not far.rsync:
        yield missing(needed, f"{site}: rsync", f"none on {table.ssh}", "have it installed there, or load its module")
    state, _, folder = far.folder.partition(" ")
    if state != "writable":
        words = f"{folder or table.folder} on {table.ssh} is not writable"
        yield missing(needed, f"{site}: folder", words, f"name another in [site.{site}] folder")
    else:
        free = f", {far.free_kB / 1e6:.0f} GB free" if far.free_kB is not None else ""
        yield ok(f"{site}: folder", f"{table.folder}{free}")
    if far.epoch:
        # The question takes its time, and the answer is in whole seconds.
        yield difference(f"{site}: clock", f"{table.ssh}'s clock", max(abs(now - far.epoch) - 1.0, 0.0))


def far_findings(campaign: Campaign, site: str, table: SiteTable) -> Iterator[Finding]:
    """What ``kalloy doctor`` says at the far end of a campaign that lies there; its own marks, its own words."""
    if not (campaign.root / RECORD).is_file():
        words = "the campaign is not there yet: engine, POTCARs and scheduler there are looked at once it is"
        yield ok(f"{site}: campaign", words)
        return
    folder = PurePosixPath(table.folder or ".") / campaign.root.resolve().name
    program = shlex.join(shlex.split(table.kalloy))
    line = f"cd {shlex.quote(str(folder))} && {AT_SITE}={shlex.quote(site)} {program} doctor . --json"
    said = _ask(table.ssh or "", line)
    try:
        found = json.loads("" if isinstance(said, str) else said.stdout)
    except json.JSONDecodeError:
        words = f"kalloy doctor does not answer there: {said if isinstance(said, str) else _last(said.stderr)}"
        yield warning(f"{site}: campaign", words, "type it there")
        return
    yield from (_at(site, row) for row in found)


def _at(site: str, row: Mapping[str, str]) -> Finding:
    return Finding(Mark(row["mark"]), f"{site}: {row['subject']}", row["words"], row["mend"])


def _ask(host: str, line: str) -> subprocess.CompletedProcess[str] | str:
    """The far shell's answer, or why there is none; no password is asked for and no socket is left."""
    options = ("BatchMode=yes", f"ConnectTimeout={PATIENCE}", "ControlPath=none")
    words = [*ssh_program(), *(w for option in options for w in ("-o", option)), host, line]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=6 * PATIENCE
        )
    except FileNotFoundError:
        return f"no '{words[0]}'"
    except subprocess.TimeoutExpired:
        return f"no answer within {6 * PATIENCE} s"
    return done if done.returncode != 255 else _last(done.stderr) or "the connection failed"


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
