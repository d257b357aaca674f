"""What a new user meets: each step says what comes next, and what is typed too early leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(kalloy: str, *words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([kalloy, *words], capture_output=True, text=True, check=False, cwd=cwd, env=env)


@pytest.fixture
def campaign(kalloy: str, tmp_path: Path) -> Path:
    words = ("new", "c", "--host", "CsPbBr3", "--replace", "Cs=K:1", "--preset", "smoke", "--engine", "gpaw")
    assert run(kalloy, *words, cwd=tmp_path).returncode == 0
    return tmp_path / "c"


def test_kalloy_alone_is_kalloy_help(kalloy: str, tmp_path: Path) -> None:
    alone, asked = run(kalloy, cwd=tmp_path), run(kalloy, "--help", cwd=tmp_path)
    assert (alone.returncode, alone.stdout) == (0, asked.stdout)
    assert alone.stdout.startswith("Usage: kalloy")


def test_every_step_says_what_is_next(kalloy: str, campaign: Path) -> None:
    status = run(kalloy, "status", cwd=campaign)
    assert status.returncode == 3
    assert "nothing is selected yet: `kalloy run`" in status.stdout
    written = run(kalloy, "write", cwd=campaign)
    assert "next: `kalloy check`" in written.stdout
    assert run(kalloy, "cancel", "--all", cwd=campaign).returncode == 0
    again = run(kalloy, "retry", cwd=campaign)
    assert re.search(r"nothing to try again; --state cancelled means the \d+ cancelled", again.stdout)
    assert "new attempts" in run(kalloy, "retry", "--state", "cancelled", cwd=campaign).stdout


def test_an_export_that_is_too_early_leaves_no_folder(kalloy: str, campaign: Path) -> None:
    done = run(kalloy, "export", "-o", "out", cwd=campaign)
    assert done.returncode == 1
    assert "`--as archive` needs no energy" in done.stderr
    assert not (campaign / "out").exists()
    assert run(kalloy, "export", "-o", "out", "--as", "archive", cwd=campaign).returncode == 0


def test_lines_of_setup_are_run_on_this_machine_too(kalloy: str, campaign: Path, standin: str, tmp_path: Path) -> None:
    """An engine that only they bring onto PATH is found by the job."""
    (tmp_path / "engines").mkdir()
    engine = tmp_path / "engines/my-engine"
    engine.write_text(f'#!/bin/sh\necho "$OMP_NUM_THREADS" >> "{tmp_path}/threads"\nexec {standin} "$@"\n')
    engine.chmod(0o755)
    toml = campaign / "kalloy.toml"
    asked = toml.read_text().split("[[step]]")[0]
    setup = f'setup = ["export PATH={tmp_path}/engines:$PATH", "export OMP_NUM_THREADS=3"]'
    step = '[[step]]\nstages = ["static"]\non = { host = true }\n'
    toml.write_text(f'{asked}{step}\n[site.local]\ncommands = {{ gpaw = "my-engine" }}\n{setup}\n')
    done = run(kalloy, "run", cwd=campaign)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "threads").read_text() == "3\n"


def test_what_is_missing_is_named_by_make(tmp_path: Path) -> None:
    """A Python without venv, and one without its headers."""
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n[ "$1" = -m ] && exit 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    words = ["make", "-C", str(REPOSITORY), f"VENV={tmp_path}/venv", f"PYTHON={python}", f"{tmp_path}/venv/base.stamp"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "install its venv (Debian: apt-get install python3-venv)" in done.stdout
