"""The installed wheel does its work in an empty folder: counts, a campaign's inputs, a refusal."""

import json
import subprocess
import sys
from pathlib import Path

KALLOY = sys.argv[1]


def kalloy(*words: str, code: int = 0) -> str:
    """What a command prints; its exit code must be the expected one."""
    done = subprocess.run([KALLOY, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


import kalloy as package  # noqa: E402

assert "site-packages" in package.__file__, package.__file__
assert kalloy("--version").startswith("kalloy ")
counts = json.loads(kalloy("count", "Cs4PbBr6", "--replace", "Cs=K:3", "--json"))["counts"]
assert counts == [{"count": 3, "fraction": 0.125, "distinct": 70, "total": 2024}], counts
kalloy("new", "c", "--host", "Cs4PbBr6", "--cell", "primitive", "--replace", "Cs=K:1", "--preset", "paper-gamma")
kalloy("write", "c")
assert Path("c/K1/c2/static/a01/INCAR").is_file()
assert "3 blocked, 3 ready" in kalloy("status", "c", code=3)
assert "not on PATH" in kalloy("run", "c", code=2)
print("the wheel works")
