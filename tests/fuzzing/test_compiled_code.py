"""The compiled code neither reads nor writes where it must not: its tests again, under the compiler's sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = ("tests/structures/test_kernel.py", "tests/parsers/test_scanning.py", "tests/parsers/test_safety.py")
NO_LIMIT = "not memory and not bounded"
"""Tests of peak memory, of which a sanitizer takes its own."""


@pytest.fixture
def sanitized(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose compiler puts sanitizers into everything."""
    gcc = shutil.which("gcc")
    if not gcc:
        pytest.skip("no gcc (Debian: apt-get install gcc)")
    said = subprocess.run(
        [gcc, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(said).is_file():
        pytest.skip("gcc has no address sanitizer here")
    compiler = tmp_path / "bin/cc"
    compiler.parent.mkdir()
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -g"
    compiler.write_text(f'#!/bin/sh\nunset LD_PRELOAD\nexec {gcc} {flags} "$@"\n')
    compiler.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{compiler.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "LD_PRELOAD": said,
        "ASAN_OPTIONS": "detect_leaks=0:log_path=" + str(tmp_path / "said"),
    }


@pytest.mark.slow
def test_its_tests_hold_under_sanitizers(sanitized: dict[str, str], tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        "-k",
        NO_LIMIT,
    ]
    done = subprocess.run(
        [*words, *TESTS], cwd=REPOSITORY, env=sanitized, capture_output=True, text=True, check=False, timeout=1800
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not list(tmp_path.glob("said*"))
    made = sorted(path.name.split("-")[0] for path in (tmp_path / "cache/kalloy").glob("*.so"))
    assert made == ["kernel", "scanner"]


def test_sanitizers_see_a_write_too_far(sanitized: dict[str, str], tmp_path: Path) -> None:
    """What the test above rests on."""
    (tmp_path / "wrong.c").write_text("int main(int n, char **v) { int a[2] = {0}; a[n + 1] = n; return a[0]; }\n")
    subprocess.run(["cc", "wrong.c", "-o", "wrong"], cwd=tmp_path, env=sanitized, check=True)
    done = subprocess.run([str(tmp_path / "wrong")], env=sanitized, capture_output=True, text=True, check=False)
    assert done.returncode != 0
