"""What submission costs: 500 jobs as an array on a real SLURM, and where 10,000 recorded calculations stand.

Prints CPU seconds of kalloy's own processes and ratios to what the same takes without it: bare sbatch and squeue, and a
bare walk over the same files. SLURM is started by tests/schedulers/start-slurm.sh (root, Debian) and ended afterwards.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "conventional"
[[substitution]]
replace = "Cs"
with = "K"
count = [{count}]
[calculation]
preset = "laptop"
engine = "gpaw"
site = "here"
[[step]]
stages = {stages}
on = {on}
[site.here]
scheduler = "slurm"
poll = 2
commands = {{ gpaw = "{python} {repository}/tests/standin_engine.py" }}
"""


def cpu(what: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU seconds here and in children that ended, wall seconds, and the result."""
    begun, before = time.perf_counter(), _spent()
    found = what()
    return _spent() - before, time.perf_counter() - begun, found


def _spent() -> float:
    mine, theirs = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def kalloy(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kalloy", *words], env=env, capture_output=True, text=True, check=False
    )


def make(folder: Path, on: str, count: int, stages: str) -> None:
    folder.mkdir(parents=True)
    text = SPEC.format(on=on, count=count, stages=stages, python=sys.executable, repository=REPOSITORY)
    (folder / "kalloy.toml").write_text(text)


def labels(count: int) -> list[str]:
    from kalloy.workflows.campaign import Campaign

    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "c", '"all"', count, '["relax"]')
        return [m.label for m in Campaign(Path(folder) / "c").configurations]


STAGES = ["relax", "static", "dos"]
END = json.dumps({"schema": 1, "outcome": "done", "ended": "2026-01-01T00:00:00+00:00", "cause": None})


def select_all(folder: Path, members: list[str]) -> None:
    make(folder, '"all"', 6, json.dumps(STAGES))
    selection = {
        "schema": 1,
        "step": 1,
        "stages": STAGES,
        "rule": {"on": "all"},
        "made": "2026-01-01T00:00:00+00:00",
        "missing": [],
        "inputs": [],
        "members": members,
        "path": None,
    }
    (folder / "selections").mkdir()
    (folder / "selections" / "01-relax-static-dos.json").write_text(json.dumps(selection))


def recorded(folder: Path, wanted: int) -> None:
    """Status of a campaign whose every calculation has ended."""
    members = labels(6)[: wanted // len(STAGES) + 1]
    select_all(folder, members)
    for member in members:
        for stage in STAGES:
            attempt = folder / member / stage / "a01"
            attempt.mkdir(parents=True)
            (attempt / "kalloy-end.json").write_text(END)
    measure_status(folder, len(STAGES) * len(members), "all of them done")


def unfinished(folder: Path, wanted: int) -> None:
    """Status of one in full work: of the relaxations a third done, running and queued each; all else waits for them."""
    members = labels(6)[: wanted // len(STAGES) + 1]
    select_all(folder, members)
    for number, member in enumerate(members):
        for stage in STAGES:
            (folder / member / stage / "a01").mkdir(parents=True)
        relax = folder / member / "relax" / "a01"
        if number % 3 == 0:
            (relax / "kalloy-end.json").write_text(END)
        elif number % 3 == 1:
            (relax / "claim").mkdir()
            owner = {"host": "node017", "boot": "x", "namespace": "", "pid": 1, "group": 1, "started": 1}
            (relax / "claim" / "owner.json").write_text(json.dumps({**owner, "tag": tag(number), "job": "1_1"}))
    for first in range(0, len(members), ARRAY):
        jobs = [[f"{m}/{stage}/a01" for stage in STAGES] for m in members[first : first + ARRAY]]
        batch = folder / "batches" / tag(first)
        batch.mkdir(parents=True)
        record = {"schema": 2, "tag": batch.name, "made": "2026-01-01T00:00:00+00:00", "scheduler": "slurm"}
        (batch / "manifest.json").write_text(json.dumps({**record, "options": {}, "commands": {}, "attempts": jobs}))
        (batch / "submitted.json").write_text(json.dumps({"schema": 1, "id": str(first)}))
    measure_status(folder, len(STAGES) * len(members), "two thirds of the jobs running or queued")


ARRAY = 1000


def tag(number: int) -> str:
    """Of the batch that holds a member."""
    return f"k{number // ARRAY:014d}"


def measure_status(folder: Path, number: int, what: str) -> None:
    from kalloy.workflows.campaign import Campaign

    names = ("kalloy-end.json", "claim/owner.json")
    walk, _, _ = cpu(
        lambda: (
            [json.loads(p.read_text()) for n in names for p in folder.glob("*/*/*/*/" + n)]
            + [list(p.iterdir()) for p in folder.glob("K*/*/*")]
        )
    )
    whole, wall, done = cpu(lambda: kalloy("status", "--json", "--no-query", str(folder)))
    start, _, _ = cpu(lambda: Campaign(folder))
    listed = json.loads(done.stdout)
    assert len(listed) == number, done.stderr
    states = Counter(s["state"] for s in listed)
    print(f"status of {number} recorded calculations, {what}: {whole:.2f} s CPU, {wall:.2f} s on the clock")
    print("  " + ", ".join(f"{n} {state}" for state, n in states.items()))
    print(f"  opening the campaign: {start:.2f} s; the same folders listed and records read, bare: {walk:.2f} s")
    print(f"  ratio to the bare walk: {whole / walk:.1f}")


def array(folder: Path, jobs: int) -> None:
    """An array of jobs on a real SLURM, submitted by kalloy and by hand."""
    root = Path(tempfile.mkdtemp(prefix="kbench", dir="/tmp"))
    env = {**os.environ, "SLURM_TEST_ROOT": str(root), "SLURM_TEST_PORT": "28817"}
    scripts = REPOSITORY / "tests" / "schedulers"
    if subprocess.run(["bash", str(scripts / "start-slurm.sh")], env=env, capture_output=True, check=False).returncode:
        print("no SLURM can be started here: the array is not measured")
        return
    try:
        env["SLURM_CONF"] = str(root / "etc" / "slurm.conf")
        members = labels(5)[: jobs - 1]
        make(folder, f"{{ host = true, members = {json.dumps(members)} }}", 5, '["relax"]')
        kalloy("write", str(folder), env=env)
        submitted, wall, said = cpu(lambda: kalloy("submit", str(folder), env=env))
        assert f"{jobs} jobs as slurm" in said.stdout, said
        asked, _, _ = cpu(lambda: kalloy("status", "--json", str(folder), env=env))
        files, _, _ = cpu(lambda: kalloy("status", "--json", "--no-query", str(folder), env=env))
        bare, _, _ = cpu(
            lambda: subprocess.run(
                ["sbatch", f"--array=0-{jobs - 1}", "--begin=now+1hour", "-o", "/dev/null", "--wrap=true"],
                env=env,
                capture_output=True,
                check=True,
            )
        )
        query, _, _ = cpu(lambda: subprocess.run(["squeue", "-h", "-r", "-t", "all"], env=env, capture_output=True))
        subprocess.run(["scancel", "-u", "root"], env=env, check=False)
        print(
            f"submission of {jobs} jobs in one array: {submitted:.2f} s CPU ({wall:.2f} s); sbatch alone {bare:.3f} s"
        )
        print(f"status of them: {asked:.2f} s CPU, {files:.2f} s without the question; squeue alone {query:.3f} s")
        print(f"  the question costs {asked / files - 1:+.0%}")
    finally:
        subprocess.run(["bash", str(scripts / "stop-slurm.sh"), "--purge"], env=env, capture_output=True, check=False)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kalloy-bench"))
    try:
        recorded(folder / "recorded", 10_000)
        unfinished(folder / "unfinished", 10_000)
        array(folder / "array", 500)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
