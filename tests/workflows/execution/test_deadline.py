"""The job's time: engines are asked to end while they still can, and what they reached is gone on from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kalloy.errors import InputError
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.causes import repeats
from kalloy.workflows.execution.deadline import Deadline, Steps, Warden
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt


def write(campaign: Campaign, stage: Stage, after: Attempt | None = None) -> Attempt:
    return write_attempt(campaign, campaign.member("K1/c2"), stage, after=after)


def run(attempt: Attempt, seconds: float, margin: float) -> dict[str, Any]:
    """The end record of an attempt whose job has so many seconds."""
    with Warden(Deadline(time.time() + seconds, margin)) as warden:
        assert execute(attempt.folder, warden=warden) is Outcome.FAILED
    end = attempt.end
    assert end is not None
    return end


def test_a_relaxation_is_stopped_in_time_and_the_next_attempt_goes_on(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_STEPS", "1000")
    monkeypatch.setenv("STANDIN_SECONDS", "0.1")
    first = write(campaign, Stage.RELAX)
    end = run(first, 5, 3)
    assert (first.folder / "STOPCAR").read_text() == "LSTOP = .TRUE.\n"
    assert (end["cause_class"], end["goes_on"]) == ("walltime", True)
    assert end["cause"].startswith("stopped: 3 s of the job's time were left")
    assert end["runs"][0]["exit"] == 0  # by itself: nobody killed it
    assert "soft stop" in (first.folder / "OUTCAR").read_text()
    monkeypatch.setenv("STANDIN_STEPS", "2")
    second = write(campaign, Stage.RELAX, after=first)
    assert second.written["after"] == {"attempt": "a01", "goes_on_from": "CONTCAR"}
    assert execute(second.folder) is Outcome.DONE


def test_three_long_steps_are_more_than_the_margin(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes 0.8 s: three of them before the deadline, not 0.2 s before it, the relaxation is asked to end."""
    monkeypatch.setenv("STANDIN_STEPS", "1000")
    monkeypatch.setenv("STANDIN_SECONDS", "0.8")
    attempt = write(campaign, Stage.RELAX)
    began = time.time()
    end = run(attempt, 6, 0.2)
    stopped = (attempt.folder / "STOPCAR").stat().st_mtime
    assert began + 6 - stopped > 3 * 0.8 - 0.2
    assert end["runs"][0]["exit"] == 0
    assert end["goes_on"]


def test_what_has_no_ionic_steps_is_aborted(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    assert execute(write(campaign, Stage.RELAX).folder) is Outcome.DONE
    monkeypatch.setenv("STANDIN_SECONDS", "60")
    static = write(campaign, Stage.STATIC)
    end = run(static, 4, 2)
    assert (static.folder / "STOPCAR").read_text() == "LABORT = .TRUE.\n"
    assert (end["cause_class"], end["goes_on"]) == ("walltime", False)
    assert end["wall_seconds"] < 4  # it left before its time was over


def test_an_engine_that_obeys_no_stopcar_is_ended_before_the_job_is(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One endless ionic step: LSTOP never gets its turn."""
    monkeypatch.setenv("STANDIN_SECONDS", "60")
    attempt = write(campaign, Stage.RELAX)
    end = run(attempt, 3, 1)
    assert end["cause_class"] == "walltime"
    assert end["runs"][0]["exit"] == -signal.SIGTERM
    assert end["wall_seconds"] < 3
    assert not end["goes_on"]  # no step was finished


def test_a_relaxation_that_reaches_its_end_when_asked_is_done(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end in its last step, it has everything that was asked for."""
    monkeypatch.setenv("STANDIN_STEPS", "1")
    monkeypatch.setenv("STANDIN_SECONDS", "1")
    attempt = write(campaign, Stage.RELAX)
    with Warden(Deadline(time.time() + 4, 3.5)) as warden:
        assert execute(attempt.folder, warden=warden) is Outcome.DONE
    assert warden.why is not None
    assert (attempt.folder / "STOPCAR").is_file()


SIGNALS = {
    "USR1": ("walltime", "the scheduler sent SIGUSR1"),
    "USR2": ("walltime", "the scheduler sent SIGUSR2"),
    "XCPU": ("walltime", "the scheduler sent SIGXCPU"),
    "TERM": ("walltime", "the scheduler sent SIGTERM"),
}


def start(attempt: Attempt, tmp_path: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kalloy", "execute", str(attempt.folder), *words]
    return subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        preexec_fn=_hear_everything,
    )


def _hear_everything() -> None:
    """A shell's background job ignores Ctrl-C, one of nohup SIGHUP; and what they start inherits that."""
    for sign in (signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)


def await_steps(attempt: Attempt, process: subprocess.Popen[str]) -> None:
    while not (attempt.folder / "OSZICAR").is_file():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


@pytest.mark.parametrize("name", list(SIGNALS))
def test_signals_of_schedulers_end_the_engine_at_once(campaign: Campaign, tmp_path: Path, name: str) -> None:
    attempt = write(campaign, Stage.RELAX)
    process = start(attempt, tmp_path, STANDIN_STEPS="1000", STANDIN_SECONDS="0.1", KALLOY_JOB="17")
    await_steps(attempt, process)
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, _ = process.communicate(timeout=30)
    end = attempt.end
    assert end is not None, out
    assert (end["cause_class"], end["cause"]) == (SIGNALS[name][0], f"stopped: {SIGNALS[name][1]}")
    assert end["goes_on"]
    assert end["runs"][0]["exit"] == 0
    assert process.returncode == 1
    assert attempt.owner is not None
    assert attempt.owner["job"] == "17"


def test_a_job_that_is_ended_long_before_its_time_is_no_walltime(campaign: Campaign, tmp_path: Path) -> None:
    attempt = write(campaign, Stage.RELAX)
    later = str(time.time() + 12000)
    process = start(attempt, tmp_path, "--deadline", later, STANDIN_STEPS="1000", STANDIN_SECONDS="0.1", KALLOY_JOB="1")
    await_steps(attempt, process)
    process.terminate()
    process.communicate(timeout=30)
    end = attempt.end
    assert end is not None
    assert end["cause_class"] == "node"
    assert "SIGTERM came 3:1" in end["cause"]
    assert "cancelled" in end["cause"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_person_may_end_a_job_of_this_machine_as_often_as_they_like(
    campaign: Campaign, tmp_path: Path, sign: signal.Signals
) -> None:
    attempt = write(campaign, Stage.RELAX)
    process = start(attempt, tmp_path, STANDIN_STEPS="100", STANDIN_SECONDS="0.1")
    await_steps(attempt, process)
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode == 128 + sign
    end = attempt.end
    assert end
    assert (end["outcome"], end["cause_class"]) == ("failed", "stopped")
    assert repeats([end] * 50)  # no failure of the calculation's, as being lost four times would be
    engine = attempt.folder / "OSZICAR"
    steps = engine.read_text()
    time.sleep(0.5)
    assert engine.read_text() == steps  # the engine has ended with it


# -- where the deadline comes from -------------------------------------------------


def test_the_deadline_is_the_given_one_then_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KALLOY_DEADLINE", "SLURM_JOB_END_TIME"):
        monkeypatch.delenv(name, raising=False)
    assert Deadline.of_job() == Deadline(None, 600)
    soon = time.time() + 36000
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(soon)))
    assert Deadline.of_job() == Deadline(int(soon), 600)
    monkeypatch.setenv("KALLOY_DEADLINE", str(soon + 1))
    assert Deadline.of_job(margin=60) == Deadline(soon + 1, 60)
    assert Deadline.of_job(soon + 2) == Deadline(soon + 2, 600)
    monkeypatch.setenv("KALLOY_DEADLINE", "tomorrow")
    with pytest.raises(InputError, match="KALLOY_DEADLINE: 'tomorrow' is no time"):
        Deadline.of_job()


def test_a_short_job_has_a_short_margin() -> None:
    """Ten minutes on a debug queue are not all margin."""
    assert Deadline.of_job(time.time() + 600).margin == pytest.approx(150, abs=1)
    assert Deadline.of_job(time.time() - 5).margin == 0
    assert Deadline.of_job(time.time() - 5).is_near


def test_steps_are_timed_from_oszicar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("kalloy.workflows.execution.deadline.time.monotonic", lambda: now[0])
    steps = Steps(tmp_path, ionic=True)
    assert steps.look() == 0
    for seconds, text in [(7, "DAV:   1  x\n   1 F= -1\n"), (3, "DAV: 1\n"), (2, "   2 F= -1\n   3 F"), (9, "= -1\n")]:
        now[0] += seconds
        with (tmp_path / "OSZICAR").open("a") as file:
            file.write(text)
        steps.look()
    assert steps.longest == 9
    now[0] += 50
    (tmp_path / "OSZICAR").write_text("   1 F= -1\n")  # another run of the engine, corrected
    assert steps.look() == 50
    electronic = Steps(tmp_path, ionic=False)
    now[0] += 10
    (tmp_path / "OSZICAR").write_text("       N       E\nDAV:   1  x\nRMM:   2  x\n   1 F= -1\n")
    assert electronic.look() == 5
