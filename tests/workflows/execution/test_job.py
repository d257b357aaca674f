"""A job runs its attempts in order, tells its batch, and writes nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kalloy.errors import InputError
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.deadline import Deadline
from kalloy.workflows.execution.events import Events, job_name
from kalloy.workflows.execution.job import run_job
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.submission.batch import attempts_of


def write(campaign: Campaign, member: str, *stages: Stage) -> list[Attempt]:
    return [write_attempt(campaign, campaign.member(member), stage) for stage in stages]


def manifest_of(campaign: Campaign, *jobs: Sequence[Attempt] | Sequence[Sequence[Attempt]]) -> Path:
    def named(job: Any) -> Any:
        return [named(part) for part in job] if isinstance(job, list) else str(job.folder.relative_to(campaign.root))

    folder = campaign.batches / "ktesttesttestte"
    (folder / "events").mkdir(parents=True)
    record = {"commands": campaign.commands, "scheduler": "local", "attempts": [named(job) for job in jobs]}
    (folder / "manifest.json").write_text(json.dumps(record))
    return folder / "manifest.json"


def events_of(manifest: Path, index: int) -> list[tuple[str, str | None, str | None]]:
    lines = (manifest.parent / "events" / f"{index}.jsonl").read_text().splitlines()
    return [(e["event"], e["attempt"], e["outcome"]) for e in map(json.loads, lines)]


def execute(manifest: Path, index: int, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kalloy", "execute", "--manifest", str(manifest), "--index", str(index)]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def test_a_failed_parent_skips_its_children_and_others_go_on(campaign: Campaign) -> None:
    """One configuration's chain breaks; the next one of the same (packed) job runs to its end."""
    broken = write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC)
    sound = write(campaign, "K1/c2", Stage.RELAX, Stage.STATIC)
    manifest = manifest_of(campaign, [broken, sound])
    done = execute(manifest, 0, STANDIN_FAIL="K1/c1/relax", KALLOY_JOB="7")
    assert done.returncode == 1
    assert events_of(manifest, 0) == [
        ("started", None, None),
        ("claimed", "K1/c1/relax/a01", None),
        ("ended", "K1/c1/relax/a01", "failed"),
        ("skipped", "K1/c1/static/a01", events_of(manifest, 0)[3][2]),
        ("claimed", "K1/c2/relax/a01", None),
        ("ended", "K1/c2/relax/a01", "done"),
        ("claimed", "K1/c2/static/a01", None),
        ("ended", "K1/c2/static/a01", "done"),
        ("left", None, None),
    ]
    assert "parent 'K1/c1/relax' is not done" in str(events_of(manifest, 0)[3][2])
    assert "parent 'K1/c1/relax' is not done" in done.stdout
    assert broken[1].owner is None
    assert broken[1].end is None
    first = json.loads((manifest.parent / "events/0.jsonl").read_text().splitlines()[0])
    assert set(first) == {"at", "event", "attempt", "job", "outcome"}
    assert first["job"] == "7"


def test_manifests_of_either_form_are_read(campaign: Campaign) -> None:
    relax, static = write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC)
    manifest = manifest_of(campaign, [relax, static], [[relax], [static]])
    for index in (0, 1):
        found, record = attempts_of(manifest, index)
        assert [a.folder.resolve() for a in found] == [relax.folder.resolve(), static.folder.resolve()]
        assert record["scheduler"] == "local"
    with pytest.raises(InputError, match="index 2 is not in the manifest's 0–1"):
        attempts_of(manifest, 2)


def test_nothing_new_begins_when_the_time_is_nearly_over(campaign: Campaign) -> None:
    relax, static = write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC)
    found = run_job([relax, static], deadline=Deadline(time.time() + 5, 10))
    assert [(outcome, words) for _, outcome, words in found] == [(None, "skipped: the job's time is nearly over")] * 2
    assert relax.owner is None


def test_the_batch_is_told_why_nothing_began(campaign: Campaign) -> None:
    manifest = manifest_of(campaign, write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC))
    attempts, _ = attempts_of(manifest, 0)
    run_job(attempts, deadline=Deadline(time.time() + 5, 10), events=Events.of_batch(manifest, 0, "7"), tag="k")
    why = "skipped: the job's time is nearly over"
    assert events_of(manifest, 0) == [
        ("started", None, None),
        ("late", "K1/c1/relax/a01", why),
        ("late", "K1/c1/static/a01", why),
        ("left", None, None),
    ]


def test_one_process_runs_many_attempts(campaign: Campaign) -> None:
    attempts = write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC, Stage.DOS)
    assert [o for _, o, _ in run_job(attempts, deadline=Deadline())] == [Outcome.DONE] * 3
    assert {a.owner["pid"] for a in attempts if a.owner} == {os.getpid()}


def test_events_of_many_writers_never_mix(tmp_path: Path) -> None:
    events = Events(tmp_path / "0.jsonl", tmp_path, "1")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: events.tell("ended", Attempt(tmp_path / f"a{n:02d}"), Outcome.DONE), range(200)))
    lines = [json.loads(line) for line in (tmp_path / "0.jsonl").read_text().splitlines()]
    assert sorted(line["attempt"] for line in lines) == sorted(f"a{n:02d}" for n in range(200))


def test_an_event_that_cannot_be_told_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").write_text("a file where the folder should be")
    Events(tmp_path / "events" / "0.jsonl", tmp_path).tell("started")
    assert "cannot tell the batch 'started'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, None),
        ({"KALLOY_JOB": "x", "SLURM_JOB_ID": "7"}, "x"),
        ({"SLURM_JOB_ID": "7"}, "7"),
        ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}, "7_3"),
        ({"PBS_JOBID": "12[3].server"}, "12[3].server"),
        ({"LSB_JOBID": "5", "LSB_JOBINDEX": "0"}, "5"),
        ({"LSB_JOBID": "5", "LSB_JOBINDEX": "2"}, "5[2]"),
        ({"JOB_ID": "8", "SGE_TASK_ID": "undefined"}, "8"),
        ({"JOB_ID": "8", "SGE_TASK_ID": "4"}, "8.4"),
        ({"JOB_ID": "somebody else's variable"}, None),
    ],
)
def test_a_job_knows_its_name(env: dict[str, str], name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in ("KALLOY_JOB", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"):
        monkeypatch.delenv(known, raising=False)
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    assert job_name() == name


def test_a_job_writes_in_its_attempts_and_its_event_file_alone(
    campaign: Campaign, in_namespace: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    """Everything else is mounted read-only: the campaign, its database's place, home, /tmp; and there is no network."""
    attempts = write(campaign, "K1/c1", Stage.RELAX, Stage.STATIC)
    manifest = manifest_of(campaign, attempts)
    writable = [str(a.folder) for a in attempts] + [str(manifest.parent / "events")]
    done = in_namespace(
        "".join(f"mount --bind {path} {path}\n" for path in writable)
        + "mount -o remount,bind,ro /\n"
        + f"! touch {campaign.root}/x {Path.home()}/x /tmp/x 2>/dev/null\n"
        + f"{sys.executable} -m kalloy execute --manifest {manifest} --index 0"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [a.end["outcome"] for a in attempts if a.end] == ["done", "done"]
    assert [event for event, _, _ in events_of(manifest, 0)] == ["started", *["claimed", "ended"] * 2, "left"]
