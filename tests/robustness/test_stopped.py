"""Ctrl-C, a kill and a closed terminal in every verb: a sentence, a shell's exit code, and the same end later."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kalloy.cli import VERBS
from kalloy.cli.stopping import SIGNALS, Stop, code_of, sentence

SENTENCE = re.compile(r"^kalloy: stopped( by SIG(TERM|HUP))?; .+$", re.MULTILINE)
STORY: list[str] = [
    "completion --help",
    "doctor {c}",
    "count Cs4PbBr6 --replace Cs=K:1-6",
    "enumerate Cs4PbBr6 --replace Cs=K:3 -o {d}/enumerated",
    "new {d}/other --host Cs4PbBr6 --replace Cs=K:2",
    "members {c}",
    "check {c}",
    "prescreen {c}",
    "select {c}",
    "write {c}",
    "execute {c}/host/relax/a01",
    "retry {c}",
    "run {c}",
    "cancel --all {c}",
    "submit --dry-run {c}",
    "status --watch --every 1 {c}",
    "collect {c}",
    "rank --json {c}",
    "average --of volume {c}",
    "extrapolate --to 1 {c}",
    "report {c}",
    "export {c} -o {d}/exported",
    "adopt --allow program --campaign {d}/adopting {c}/K1/c1/relax/a01",
    "parse {c}/K1/c1/static/a01 {c}/K1/c2/static/a01",
]
"""A campaign's life, every verb once."""
PRESCREEN = """
[prescreen]
model = "flat"
calculator = "flat:Flat"
keep = { lowest = 1 }
"""
FLAT = '''
"""A calculator for which every structure is at rest."""
import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Flat(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": -float(len(atoms)), "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
'''


# A relaxation that is begun anew from where it was stopped comes to the same end, as it would in an engine.
ENVIRONMENT = {"STANDIN_MINIMUM": "1"}


@dataclass
class Place:
    """A folder in which the story is told."""

    root: Path
    kalloy: str
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each command took when nobody disturbed it."""

    def words(self, line: str) -> list[str]:
        return [self.kalloy, *line.format(d=self.root, c=self.root / "c").split()]

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        began = time.monotonic()
        done = subprocess.run(
            self.words(line),
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        self.seconds[line] = time.monotonic() - began
        return done

    def stop(self, line: str, sign: signal.Signals, after: float) -> tuple[int, str]:
        """Send a signal so long after the program has begun to listen; exit code and stderr."""
        process = subprocess.Popen(
            self.words(line),
            env=os.environ | ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=hear_everything,
        )
        while process.poll() is None and not listens(process.pid):
            time.sleep(0.01)
        time.sleep(after)
        if process.poll() is None:
            os.killpg(process.pid, sign)  # a terminal's Ctrl-C and a shutdown reach the whole group
        _, err = process.communicate(timeout=600)
        return process.returncode, err

    def answers(self) -> dict[str, object]:
        """What it has come to, without anything of when and how often."""
        table = json.loads(self.run("rank --json {c}").stdout)
        standings = json.loads(self.run("status --json {c}").stdout)
        other = json.loads(self.run("members --json {d}/other").stdout)
        adopted = [p.parent.name for p in sorted((self.root / "adopting").rglob("attempt.json"))]
        done = sorted((s["member"], s["stage"], s["state"]) for s in standings)
        names = sorted(
            str(p.relative_to(self.root)) for f in ("enumerated", "exported") for p in (self.root / f).rglob("*")
        )
        sentinels = [str(p) for p in self.root.iterdir() if p.name.startswith(".")]
        return {"table": table, "done": done, "other": other, "adopted": adopted, "files": names, "hidden": sentinels}


def differences(found: object, expected: object) -> object:
    """What of rows differs, by name; anything else as it is."""
    if not (isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected)):
        return found, expected
    pairs = zip(found, expected, strict=True)
    rows = [(f, e) for f, e in pairs if f != e]
    if not all(isinstance(f, dict) and isinstance(e, dict) for f, e in rows):
        return rows
    return [{k: (f.get(k), e.get(k)) for k in f | e if f.get(k) != e.get(k)} for f, e in rows]


def hear_everything() -> None:
    """A shell's background job ignores Ctrl-C, one of nohup SIGHUP; and what they start inherits that."""
    for sign in SIGNALS:
        signal.signal(sign, signal.SIG_DFL)


def listens(pid: int) -> bool:
    """Whether a process has a handler of SIGTERM."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    caught = re.search(r"^SigCgt:\s*(\w+)", text, re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def place(root: Path, kalloy: str, state: Path) -> Place:
    root.mkdir()
    for name in ("c", "adopting"):
        shutil.copytree(state, root / name)
    spec = root / "c" / "kalloy.toml"
    spec.write_text(spec.read_text() + PRESCREEN)
    (root / "c" / "flat.py").write_text(FLAT)
    return Place(root, kalloy)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, kalloy: str, states: dict[str, Path]) -> Place:
    told = place(tmp_path_factory.mktemp("undisturbed") / "p", kalloy, states["new"])
    for line in STORY:
        done = told.run(line)
        assert done.returncode in ((0, 1) if line.startswith("doctor") else (0,)), done
    return told


def test_the_story_has_every_verb() -> None:
    assert {line.split()[0] for line in STORY} == set(VERBS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_stopped_anywhere_and_typed_again_it_comes_to_the_same_end(
    tmp_path: Path, kalloy: str, states: dict[str, Path], undisturbed: Place, seed: int
) -> None:
    chance = random.Random(seed)
    told = place(tmp_path / "p", kalloy, states["new"])
    for line in STORY:
        for _ in range(2):
            sign, after = chance.choice(SIGNALS), chance.uniform(0, undisturbed.seconds[line])
            code, err = told.stop(line, sign, after)
            assert "Traceback" not in err, (line, sign, after, err)
            assert "unexpected" not in err, (line, sign, after, err)
            if code not in (0, 1, 2, -sign):  # over before the signal came, or at its very end; or done before
                assert code == 128 + sign, (line, sign, after, code, err)
                assert len(SENTENCE.findall(err)) == 1, (line, sign, after, err)
        if line.startswith("execute"):
            told.run("retry {c}")  # its sentence says so
        told.run(line)
    assert told.run("run --retry-failed {c}").returncode == 0
    found, expected = told.answers(), undisturbed.answers()
    for name, answer in expected.items():
        assert found[name] == answer, differences(found[name], answer)


@pytest.mark.parametrize("sign", SIGNALS)
def test_a_signal_ends_by_the_codes_of_a_shell(kalloy: str, states: dict[str, Path], sign: signal.Signals) -> None:
    code, err = Place(states["written"], kalloy).stop(f"status --watch --no-query {states['written']}", sign, 1.0)
    assert code == 128 + sign
    assert SENTENCE.findall(err)
    assert "Traceback" not in err


def test_what_is_ignored_stays_ignored() -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop = Stop()
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        stop.listen()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with pytest.raises(SystemExit) as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert code_of(caught.value) == 143
        stop.forget()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    with pytest.raises(SystemExit):  # one that got lost is raised again
        stop.obey()
    assert "`kalloy retry`" in sentence(130, "execute")
    assert sentence(143, "run") == "stopped by SIGTERM; type the same command again to go on"
