"""A stand-in for OpenPBS, Torque and LSF: it checks its arguments as the manuals have them, and runs jobs one by one.

Called under the name of the command it stands for; state in $FAKE_SCHEDULER. It proves that our calls are well formed
by the manuals, and nothing of the real programs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(os.environ["FAKE_SCHEDULER"])
ARRAYS = {"pbs": "PBS_ARRAY_INDEX", "torque": "PBS_ARRAYID", "lsf": "LSB_JOBINDEX"}


def options(words: list[str], valued: str, flags: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in flags:
            found[word] = ""
        elif word[1:] in valued.split():
            found[word] = rest.pop(0)
        else:
            sys.exit(f"invalid option {word}")
    return found, rest


def run(script: Path, name: str, indices: list[int | None], kind: str) -> str:
    number = str(1000 + len(list(ROOT.glob("*.json"))))
    jobs = {}
    (ROOT / f"{number}.json").write_text("{}")
    for index in indices:
        env = dict(os.environ)
        if index is not None:
            env[ARRAYS[kind]] = str(index)
        env["LSB_JOBID" if kind == "lsf" else "PBS_JOBID"] = number if index is None else f"{number}[{index}]"
        done = subprocess.run(
            ["bash", str(script)], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        jobs[str(index)] = done.returncode
    (ROOT / f"{number}.json").write_text(json.dumps({"name": name, "jobs": jobs}))
    return number


def span(text: str) -> list[int | None]:
    match = re.fullmatch(r"(\d+)-(\d+)", text)
    assert match, f"illegal array {text}"
    first, last = int(match[1]), int(match[2])
    if last <= first:
        sys.exit(f"illegal array {text}")
    return list(range(first, last + 1))


def qsub(words: list[str], kind: str) -> None:
    found, rest = options(words, "N j o S J t r")
    assert len(rest) == 1
    assert re.fullmatch(r"[A-Za-z][\w-]{0,14}", found["-N"]), "illegal -N value"
    array = found.get("-J" if kind == "pbs" else "-t")
    if array and "-r" in found:
        sys.exit("qsub: cannot use -r with job array")
    number = run(Path(rest[0]), found["-N"], span(array) if array else [None], kind)
    print(f"{number}{'[]' if array else ''}.srv")


def qstat(words: list[str], kind: str) -> None:
    forgets = "FAKE_NO_HISTORY" in os.environ
    if kind == "pbs" and forgets and words == ["-f", "-t", "-x"]:
        print("qstat: PBS is not configured to maintain job history", file=sys.stderr)
        sys.exit(1)
    assert words == (["-f", "-t", "-x"] if kind == "pbs" and not forgets else ["-f", "-t"]), words
    if forgets:
        return  # jobs here have always ended
    for path in sorted(ROOT.glob("*.json")):
        record = json.loads(path.read_text())
        for index, code in record.get("jobs", {}).items():
            name = path.stem if index == "None" else f"{path.stem}[{index}]"
            letter = "F" if kind == "pbs" else "C"
            print(f"Job Id: {name}.srv\n    Job_Name = {record['name']}\n    job_state = {letter}")
            print(f"    Exit_status = {code}\n")


def bsub(words: list[str]) -> None:
    found, rest = options(words, "J cwd o", ("-rn",))
    assert not rest, "the script comes by stdin"
    script = ROOT / "given.sh"
    script.write_text(sys.stdin.read())
    match = re.fullmatch(r"(\w+)(?:\[(\d+-\d+)\])?", found["-J"])
    assert match
    print(f"Job <{run(script, match[1], span(match[2]) if match[2] else [None], 'lsf')}> is submitted to queue <test>.")


def bjobs(words: list[str]) -> None:
    assert words[:3] == ["-a", "-noheader", "-o"]
    assert words[3].endswith("delimiter='|'")
    for path in sorted(ROOT.glob("*.json")):
        record = json.loads(path.read_text())
        for index, code in record.get("jobs", {}).items():
            name = record["name"] + ("" if index == "None" else f"[{index}]")
            state = "DONE" if code == 0 else "EXIT"
            print("|".join([path.stem, state, "-", "host", "me", "1", "-", "host", "test", "-", "-", "-", "-", name]))


if __name__ == "__main__":
    command, kind = Path(sys.argv[0]).name, os.environ["FAKE_KIND"]
    if command in ("qsub", "qstat"):
        {"qsub": qsub, "qstat": qstat}[command](sys.argv[1:], kind)
    elif command in ("bsub", "bjobs"):
        {"bsub": bsub, "bjobs": bjobs}[command](sys.argv[1:])
