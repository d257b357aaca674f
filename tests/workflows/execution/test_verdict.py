"""How an attempt ended is told from its files, and in which class: from utterances, signals, and a full disk."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kalloy.parsers.endings import find_ending
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.inputs.contcar import has_moved, is_whole
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt


def write(campaign: Campaign) -> Attempt:
    return write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX)


def failed(attempt: Attempt) -> dict[str, Any]:
    assert execute(attempt.folder) is Outcome.FAILED
    end = attempt.end
    assert end is not None
    return end


SAYINGS = [
    # what the engine's output says, the class, what the cause repeats of it
    (" |     ZBRENT: fatal error in bracketing                    |", "engine", "ZBRENT: fatal error in bracketing"),
    ("Error EDDDAV: Call to ZHEGV failed. Returncode =   8 2  16", "engine", "Error EDDDAV: Call to ZHEGV failed."),
    (" VERY BAD NEWS! internal error in subroutine SGRCON:", "engine", "VERY BAD NEWS! internal error in subroutine"),
    ("vasp_std: error while loading shared libraries: libmkl.so", "engine", "error while loading shared libraries"),
    ("forrtl: severe (41): insufficient virtual memory", "memory", "insufficient virtual memory"),
    ("terminate called after throwing: std::bad_alloc", "memory", "std::bad_alloc"),
    ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=3.0", "memory", "oom-kill event(s)"),
    ("slurmstepd: error: *** STEP 3.0 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", "walltime", "DUE TO TIME LIMIT"),
    ("slurmstepd: error: *** STEP 3.0 ON n1 FAILED DUE TO NODE FAILURE ***", "node", "DUE TO NODE FAILURE"),
    ("ORTE has lost communication with a remote daemon.", "node", "ORTE has lost communication"),
    ("Fatal error in PMPI_Init_thread: Other MPI error", "node", "PMPI_Init_thread"),
    ("forrtl: Input/output error", "node", "Input/output error"),
    ("forrtl: No space left on device", "quota", "No space left on device"),
    ("write: Disk quota exceeded", "quota", "Disk quota exceeded"),
]


@pytest.mark.parametrize(("words", "kind", "repeated"), SAYINGS, ids=[s[2][:20] for s in SAYINGS])
def test_what_was_said_is_classed_and_repeated(tmp_path: Path, words: str, kind: str, repeated: str) -> None:
    (tmp_path / "vasp.out").write_text(f" running on 4 cores\n{words}\n something after\n")
    ending = find_ending(tmp_path)
    assert ending is not None
    assert (ending.kind, ending.file) == (kind, "vasp.out")
    assert repeated in ending.line
    assert "|" not in ending.line


def test_the_engines_words_are_the_cause(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FAIL", "K1/c2/relax")
    monkeypatch.setenv("STANDIN_SAYS", "Error EDDDAV: Call to ZHEGV failed. Returncode = 8")
    end = failed(write(campaign))
    assert end["cause_class"] == "engine"
    assert end["cause"] == (
        "engine error: Error EDDDAV: Call to ZHEGV failed. Returncode = 8 – VASP: EDDDAV, diagonalisation (vasp.out)"
    )
    assert [run["exit"] for run in end["runs"]] == [1]


@pytest.mark.parametrize(("number", "kind"), [("KILL", "memory"), ("BUS", "node"), ("SEGV", "engine")])
def test_a_signal_is_a_cause(campaign: Campaign, monkeypatch: pytest.MonkeyPatch, number: str, kind: str) -> None:
    sign = getattr(signal, f"SIG{number}")
    monkeypatch.setenv("STANDIN_FAIL", "K1/c2/relax")
    monkeypatch.setenv("STANDIN_SIGNAL", str(int(sign)))
    end = failed(write(campaign))
    assert end["cause_class"] == kind
    assert f"SIG{number}" in end["cause"]
    assert end["runs"][0]["exit"] == -sign


def test_a_missing_output_is_no_success(campaign: Campaign, tmp_path: Path, standin: str) -> None:
    """The engine ends with code 0 and a converged vasprun.xml, but no CONTCAR."""
    attempt = write(campaign)
    script = tmp_path / "engine.sh"
    script.write_text(f"#!/bin/sh\n{standin}\nrm CONTCAR\n")
    script.chmod(0o755)
    assert execute(attempt.folder, commands={"gpaw": str(script)}) is Outcome.FAILED
    assert attempt.end is not None
    assert attempt.end["cause_class"] == "engine"
    assert "no CONTCAR" in attempt.end["cause"]


def test_whole_results_of_an_engine_that_fell_at_the_end_are_doubted(
    campaign: Campaign, tmp_path: Path, standin: str
) -> None:
    attempt = write(campaign)
    script = tmp_path / "engine.sh"
    script.write_text(f"#!/bin/sh\n{standin}\nexit 3\n")
    script.chmod(0o755)
    assert execute(attempt.folder, commands={"gpaw": str(script)}) is Outcome.FAILED
    assert attempt.end is not None
    assert attempt.end["cause"] == "engine error: its results are whole, but it ended with exit code 3"


def test_unconverged_ions_go_on_from_contcar(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_UNCONVERGED", "K1/c2/relax")
    end = failed(write(campaign))
    assert (end["cause_class"], end["goes_on"]) == ("unconverged", True)


POSCAR = "x\n1.0\n3 0 0\n0 3 0\n0 0 3\nK Br\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"


@pytest.mark.parametrize(
    ("contcar", "moved"),
    [
        (POSCAR.replace("0.5 0.5 0.5", "0.5 0.5 0.51").replace("0 0 0\n0.5", "0.0 0.0 0.00\n0.5"), False),
        ("x\n1.0\n3 0 0\n0 3 0\n0 0 3\nK Br\n1 1\ndirect\n0.00 0.00 0.00\n0.50 0.50 0.51\n", True),
        ("x\n1.0\n3 0 0\n0 3 0\n0 0 3.1\nK Br\n1 1\ndirect\n0.00 0.00 0.00\n0.50 0.50 0.50\n", True),
        ("x\n1.0\n3 0 0\n0 3 0\n0 0 3\nK Br\n1 1\ndirect\n0.00 0.00 0.00\n0.50 0.50 0.50\n", False),
        ("x\n1.0\n3 0 0\n0 3 0\n0 0 3.1\nK Br\n1 1\ndirect\n0.00 0.00 0.00\n0.50 0.50 0.5", False),
        ("", False),
    ],
)
def test_only_a_whole_contcar_elsewhere_has_moved(tmp_path: Path, contcar: str, moved: bool) -> None:
    (tmp_path / "POSCAR").write_text(POSCAR)
    (tmp_path / "CONTCAR").write_text(contcar)
    assert has_moved(tmp_path, tmp_path / "POSCAR") is moved
    assert not moved or is_whole(contcar, 2)


# -- a full disk ----------------------------------------------------------------------


@pytest.mark.parametrize(("kilobytes", "recorded"), [(120, True), (72, False)])
def test_on_a_full_disk_the_end_is_recorded_while_it_can_be(
    campaign: Campaign,
    tmp_path: Path,
    in_namespace: Callable[[str], subprocess.CompletedProcess[str]],
    kilobytes: int,
    recorded: bool,
) -> None:
    """A small disk: the engine's outputs do not fit on it, or not even the room for the end record."""
    folder, kept = write(campaign).folder, tmp_path / "kept"
    done = in_namespace(
        f"cp -r {folder} {kept}; mount -t tmpfs -o size={kilobytes}k none {folder}; cp {kept}/* {folder}/\n"
        f"set +e; {sys.executable} -m kalloy execute {folder}; code=$?\n"
        f"cp -r {folder}/. {kept}/; exit $code"
    )
    assert done.returncode == 1, done.stderr
    assert "the disk or the quota is full" in done.stdout + done.stderr
    assert "free space or ask for a larger quota" in done.stderr or recorded
    end = Attempt(kept).end
    assert (end is not None) is recorded
    assert (kept / "claim").exists() is recorded  # without room for the end nothing begins
    if end is not None:
        assert (end["outcome"], end["cause_class"]) == ("failed", "quota")


def test_a_limit_on_the_size_of_files_is_a_quota(campaign: Campaign, tmp_path: Path) -> None:
    script = tmp_path / "engine.sh"
    script.write_text("#!/bin/sh\nexec head -c 300000 /dev/zero > CHGCAR\n")
    script.chmod(0o755)
    toml = campaign.root / "kalloy.toml"
    toml.write_text(re.sub(r"commands = .*", f'commands = {{ gpaw = "{script}" }}', toml.read_text()))
    attempt = write(Campaign(campaign.root))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-m", "kalloy", "execute", str(attempt.folder)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert attempt.end is not None, done.stderr
    assert attempt.end["cause_class"] == "quota"
    assert "SIGXFSZ" in attempt.end["cause"] or "File too large" in attempt.end["cause"]
