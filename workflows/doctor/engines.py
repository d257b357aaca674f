"""Whether engines can be started: the free one with its data, VASP's builds by the sites' tables."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kalloy.errors import how_to_install
from kalloy.workflows.doctor.finding import Finding, failure, missing, ok, warning
from kalloy.workflows.inputs.stage import Program
from kalloy.workflows.spec_sites import SiteTable

GPAW_MEND = how_to_install("gpaw")
PATIENCE = 120.0
"""Seconds for what is asked of another process."""


def free_engine(elements: Sequence[str], needed: bool) -> Finding:
    """GPAW is imported, and its PBE datasets of these elements are read, in a process of their own."""
    code = "import sys; from kalloy.workflows.doctor.gpaw_probe import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "ignore", "-c", code, *elements]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        words = f"GPAW is not loaded after {PATIENCE:.0f} s"
        return missing(needed, "kalloy-gpaw", words, "put the environment on a faster disk")
    try:
        found = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        last = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
        return missing(needed, "kalloy-gpaw", f"GPAW cannot be loaded: {last}", GPAW_MEND)
    return told_by_probe(found, needed)


def told_by_probe(found: Mapping[str, object], needed: bool) -> Finding:
    """What the probe's answer means."""
    if why := found.get("missing"):
        return missing(needed, "kalloy-gpaw", f"GPAW is not installed ({why})", GPAW_MEND)
    if without := found.get("without"):
        assert isinstance(without, list)
        words = f"GPAW {found['version']} has no PBE dataset of {', '.join(without)}"
        mend = 'pip install gpaw-data, or name its folder in GPAW_SETUP_PATH; or take engine = "vasp"'
        return missing(needed, "kalloy-gpaw", words, mend)
    return ok("kalloy-gpaw", f"GPAW {found['version']}, with its datasets")


def commands(site: str, table: SiteTable, asked: Mapping[Program, str], needed: bool) -> Iterator[Finding]:
    """Each build's command on this machine; what a job finds after its own modules and setup is asked for there.

    Parameters
    ----------
    asked : how each build is started, ``kalloy-gpaw`` left out.
    needed : whether the campaign runs there.
    """
    for program, text in asked.items():
        yield command(site, table, program, text, needed)


def command(site: str, table: SiteTable, program: Program, text: str, needed: bool) -> Finding:
    """One build's."""
    subject = f"{site}: {program.value}"
    try:
        words = shlex.split(text)
    except ValueError as error:
        return failure(subject, f"{text!r} cannot be split into words: {error}", "mend its quotes")
    if not words:
        return failure(subject, "an empty command", f'[site.{site}] commands = {{ {program.value} = "srun vasp_std" }}')
    if wrong := _wrong_build(program, words):
        return failure(subject, f"'{text}' starts {wrong}, and {program.value} is another build", _mend(site, program))
    if table.script or table.setup:
        return ok(subject, f"'{text}', looked for by the job: its own lines come first")
    sought = [words[0], *([words[-1]] if _is_program(words) else [])]
    path, said = _after_modules(table.modules, sought) if table.modules else (None, None)
    if said:
        return warning(subject, f"'{text}' after its modules: {said}", "check the modules' names on a login node")
    absent = [word for word in dict.fromkeys(sought) if not _is_found(word, path)]
    if not absent:
        return ok(subject, f"'{text}'")
    words_ = f"'{absent[0]}' of '{text}' is not found" + (" after its modules" if table.modules else " on PATH")
    if table.scheduler != "local" and not table.modules:
        return warning(subject, f"{words_} of this machine; the job may know it", _mend(site, program))
    return missing(needed, subject, words_, _mend(site, program))


def _wrong_build(program: Program, words: Sequence[str]) -> str | None:
    """VASP's own names say which build they are."""
    named = re.search(r"vasp_(std|ncl|gam)\b", Path(words[-1]).name)
    return words[-1] if named and program.value in ("std", "ncl", "gam") and named[1] != program.value else None


def _is_program(words: Sequence[str]) -> bool:
    return len(words) > 1 and not words[-1].startswith("-") and not re.search(r"[$=]", words[-1])


def _is_found(word: str, path: str | None) -> bool:
    beside = os.pathsep.join((path or os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    return shutil.which(word, path=beside) is not None or Path(word).is_file()


def _after_modules(modules: Sequence[str], sought: Sequence[str]) -> tuple[str | None, str | None]:
    """PATH after the modules are loaded as a job loads them, and what went wrong."""
    lines = [f"module load {shlex.quote(name)} >&2" for name in modules]
    script = " && ".join([*lines, 'printf "\\nPATH=%s\\n" "$PATH"'])
    try:
        done = subprocess.run(
            ["bash", "-l", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return None, f"not loaded after {PATIENCE:.0f} s"
    found = re.findall(r"^PATH=(.*)$", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        return None, (done.stderr.strip().splitlines() or ["a login shell could not load them"])[-1]
    return found[-1], None


def _mend(site: str, program: Program) -> str:
    return (
        f'name it where it lies: [site.{site}] commands = {{ {program.value} = "srun /path/to/vasp_{program.value}" }}'
    )
