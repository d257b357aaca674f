"""Adapters on recorded utterances of real schedulers (recorded/sources.json): what each sentence proves."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kalloy.workflows.execution.causes import Cause
from kalloy.workflows.submission.schedulers import lsf, pbs, sge, slurm
from kalloy.workflows.submission.schedulers.calling import Said
from kalloy.workflows.submission.schedulers.options import Value, lines, refuse_option, seconds
from kalloy.workflows.submission.schedulers.vocabulary import (
    Accepted,
    Job,
    LimitReached,
    Phase,
    Refused,
    Unknown,
)

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


def test_every_recording_has_its_source() -> None:
    named = {entry["file"]: entry["licence"] for entry in json.loads(recorded("sources.json"))}
    assert set(named) == {p.name for p in RECORDED.iterdir()} - {"sources.json"}
    assert set(named.values()) == {"MIT", "BSD-3-Clause"}


def test_what_sbatch_was_heard_to_say() -> None:
    cases = [json.loads(c["parse_submit_kwargs"]) for c in yaml.safe_load(recorded("slurm_qtoolkit_parse_submit.yaml"))]
    heard = [Said(c["exit_code"], c["stdout"], c["stderr"]) for c in cases]
    submitted = [slurm.read_submission(s) for s in heard if "ubmitted" in s.out]
    assert submitted == [Accepted("24"), Accepted("15")] * 2
    assert slurm.read_submission(heard[0]) == Refused("invalid partition specified: abcd")


SENTENCES = {
    # SLURM 22.05, heard by these tests' own instance or found in its sources.
    "sbatch: error: Batch job submission failed: Invalid job array specification": Refused,
    "sbatch: unrecognized option '--foo=1'": Refused,
    "sbatch: error: Invalid --time specification": Refused,
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
    "accounting/QOS policy (job submit limit, user's size and/or time limits)": LimitReached,
    "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying": LimitReached,
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation": Unknown,
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)": Unknown,
    "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received": Unknown,
    "": Unknown,
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_only_proof_is_taken_as_proof(sentence: str) -> None:
    assert type(slurm.read_submission(Said(1, "", sentence))) is SENTENCES[sentence]


@given(st.text(max_size=80), st.sampled_from([None, 1, 2, 255]))
def test_a_failed_submission_is_never_taken_as_accepted(words: str, code: int | None) -> None:
    for read in (slurm.read_submission, sge.read_submission, pbs.read_submission, lsf.read_submission):
        assert not isinstance(read(Said(code, words, "")), Accepted)
    assert isinstance(slurm.read_submission(Said(None, words, "time-out")), Unknown)


def test_what_squeue_lists() -> None:
    text = (
        "5_0|k1|RUNNING|None\n5_7|k1|PENDING|Resources\n9|k2|TIMEOUT|None\n5_[8-9]|k1|PENDING|x\n3|k3|NEWFANGLED|None\n"
    )
    assert slurm.read_jobs(text) == [
        Job("5", 0, "k1", Phase.RUNNING, "RUNNING", in_array=True),
        Job("5", 7, "k1", Phase.QUEUED, "PENDING", "Resources", in_array=True),
        Job("9", 0, "k2", Phase.ENDED, "TIMEOUT", cause=Cause.WALLTIME),
        Job("3", 0, "k3", Phase.RUNNING, "NEWFANGLED"),  # an unknown word is no proof of an end
    ]
    (account,) = slurm.read_jobs("17_3|ktag|CANCELLED by 1000|0:0\n17_3.batch|batch|CANCELLED|0:15\n")
    assert (account.index, account.phase, account.word) == (3, Phase.ENDED, "CANCELLED")


def test_grid_engines_queue() -> None:
    jobs = sge.read_queue(recorded("sge_text_qstat_ext_urg_xml_test.txt"))
    assert isinstance(jobs, list)
    assert [(j.id, j.phase, j.word) for j in jobs] == [
        ("1212299", Phase.RUNNING, "r"),
        ("1212263", Phase.QUEUED, "qw"),
        ("1212322", Phase.QUEUED, "hqw"),
    ]
    for broken in ("sge_text_qstat_ext_urg_xml_test_raise.txt", "sge_text_xml_parsing_fails_raise.txt"):
        assert isinstance(sge.read_queue(recorded(broken)), Unknown)


def test_what_qsub_of_grid_engine_says() -> None:
    assert sge.read_submission(Said(0, "1.1-3:1\n", "")) == Accepted("1")
    refused = 'Unable to run job: Job was rejected because job requests unknown queue "nope"\nExiting.\n'
    assert sge.read_submission(Said(1, "", refused)) == Refused(
        'Job was rejected because job requests unknown queue "nope"'
    )
    assert isinstance(sge.read_submission(Said(1, "", "unable to contact qmaster")), Unknown)
    for limit in (
        "only 2 jobs are allowed per user (current job count: 2)",
        "you tried to submit a job with more than 3 tasks",
    ):
        said = Said(25, "", f"Unable to run job: job rejected: {limit}\nExiting.\n")
        assert sge.read_submission(said) == LimitReached(f"job rejected: {limit}")


@pytest.mark.parametrize(
    "name", ["pbspro_text_qstat_f_to_test.txt", "pbspro_text_qstat_f_to_test_with_unexpected_newlines.txt"]
)
def test_pbs_listing(name: str) -> None:
    jobs = pbs.read_jobs(recorded(name))
    text = recorded(name)
    assert len(jobs) == text.count("Job Id:")
    letters = Counter(
        line.split(" = ")[1].strip() for line in text.splitlines() if line.strip().startswith("job_state =")
    )
    phases = {"C": Phase.ENDED, "R": Phase.RUNNING, "E": Phase.RUNNING, "Q": Phase.QUEUED, "H": Phase.QUEUED}
    assert Counter(j.phase for j in jobs) == Counter(phases[x] for x in letters.elements())
    held = "Not Running: Node is in an ineligible state: offline"
    if "68350.mycluster" in text:
        assert (jobs[0].id, jobs[0].tag, jobs[0].phase) == ("68350.mycluster", "cell-Qnormal", Phase.QUEUED)
        assert jobs[0].why == held


def test_pbs_arrays_in_both_dialects() -> None:
    """From the manuals: no recording shows arrays."""
    array = "Job Id: 7[].srv\n    Job_Name = kt\n    job_state = B\n\n"
    text = f"{array}Job Id: 7[2].srv\n    Job_Name = kt\n    job_state = X\n    Exit_status = -29\n"
    assert pbs.read_jobs(text) == [
        Job("7[].srv", 2, "kt", Phase.ENDED, "failed", "exit status -29", Cause.WALLTIME, True)
    ]


def test_lsf_listing_and_words() -> None:
    jobs = lsf.read_jobs(recorded("lsf_bjobs_stdout_to_test.txt"))
    assert [j.phase for j in jobs] == [Phase.ENDED, *[Phase.QUEUED] * 2, *[Phase.RUNNING] * 3, Phase.ENDED]
    assert (jobs[0].cause, jobs[0].tag) == (Cause.WALLTIME, "aiida-1033269")
    assert lsf.read_submission(Said(0, recorded("lsf_submit_stdout_to_test.txt"), "")) == Accepted("764254593")


def test_options_become_lines_of_the_script() -> None:
    asked: dict[str, Value] = {
        "queue": "batch",
        "account": "me",
        "time": "24:00:00",
        "exclusive": True,
        "x": ["a", "b"],
        "hint": False,
    }
    assert lines("slurm", asked) == [
        *("--partition=batch", "--account=me", "--time=24:00:00", "--exclusive", "-x a", "-x b")
    ]
    assert lines("pbs", {"queue": "q1", "time": "01:00:00", "l": "select=2:ncpus=16"}) == [
        *("-q q1", "-l walltime=01:00:00", "-l select=2:ncpus=16")
    ]
    assert lines("sge", {"time": "60", "pe": "mpi 16"}) == ["-l h_rt=60", "-pe mpi 16"]
    assert lines("lsf", {"time": "24:00", "R": "span[ptile=16] rusage[mem=4]"})[1] == "-R span[ptile=16] rusage[mem=4]"


@pytest.mark.parametrize("bad", ["a\nb", "$(rm x)", "`x`", "a\\", 'a"b', "a'b", "a;b", "a#b", "\x00"])
def test_what_a_shell_would_act_on_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        refuse_option("slurm", "comment", bad)


@pytest.mark.parametrize("name", ["job-name", "array", "output", "parsable"])
def test_what_submission_rests_on_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="set by kalloy itself"):
        refuse_option("slurm", name, "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24:00:00", 86400), ("1-12:00:00", 129600), ("2-00", 172800), ("30", 1800), ("90:30", 5430), ("soon", None)],
)
def test_seconds(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


def test_the_sites_of_the_docs_are_valid() -> None:
    import tomllib

    from kalloy.workflows.spec_sites import SiteTable

    text = (Path(__file__).resolve().parents[2] / "docs" / "hpc.md").read_text()
    sites = [
        t for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) for t in [tomllib.loads(block)] if "site" in t
    ]
    assert len(sites) == 3
    for table in sites:
        for site in table["site"].values():
            assert SiteTable.model_validate(site).scheduler != "local"


def test_every_fault_of_the_docs_is_injected_by_a_test() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "hpc.md").read_text()
    rows = [line.split("|")[1:4] for line in text.splitlines() if "`test_" in line]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row[2])}
    there = "".join(p.read_text() for p in Path(__file__).resolve().parents[1].rglob("test_*.py"))
    assert len(rows) >= 14
    assert {name for name in named if f"def {name}(" not in there} == set()


NAMES = ("slurm", "sge", "pbs", "torque", "lsf")


def test_what_is_unproved_is_named_in_the_docs() -> None:
    from kalloy.workflows.submission.schedulers import scheduler_of

    text = (Path(__file__).resolve().parents[2] / "docs" / "hpc.md").read_text()
    rows = {name: next(line for line in text.splitlines() if f'`"{name}"`' in line) for name in NAMES}
    rows["torque"] += rows["pbs"]  # "as pbs", it says
    for name, row in rows.items():
        assert ("*unproved*" in row) is bool(scheduler_of(name).unproved)
        assert all(words in row for words in scheduler_of(name).unproved), row
