"""Schedulers that are missing, silent, old, another one, or refuse: by programs that say what real ones say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kalloy.workflows.doctor.finding import Finding, Mark
from kalloy.workflows.doctor.schedulers import bare_script, scheduler
from kalloy.workflows.spec_sites import SiteTable
from kalloy.workflows.submission.schedulers import scheduler_of
from tests.doctor.conftest import MakePrograms

RECORDED = Path(__file__).parents[1] / "schedulers/recorded"
CONFIG = (
    'printf "MaxArraySize = 500\\nMessageTimeout = 10 sec\\nAccountingStorageType = accounting_storage/slurmdbd\\n"'
)
SLURM = {
    "sbatch": '[ "$1" = --version ] && echo "slurm 23.11.4" || echo "sbatch: Job 1 to start at X" >&2',
    "squeue": "",
    "sacct": "",
    "scancel": "",
    "scontrol": CONFIG,
}


def looked(name: str, needed: bool = True, **table: object) -> list[Finding]:
    site = SiteTable.model_validate({"scheduler": name, **table})
    return list(scheduler("here", site, [bare_script(site)], needed))


def marks(found: list[Finding]) -> list[str]:
    return [f.mark.value for f in found]


def test_commands_that_are_not_here(programs: MakePrograms) -> None:
    programs(sbatch="", squeue="")
    (found,) = looked("slurm")
    assert (found.mark, found.words) == (Mark.FAILURE, "sacct, scancel, scontrol not on PATH")
    assert looked("slurm", needed=False)[0].mark is Mark.WARNING


@pytest.mark.parametrize("name", ["slurm", "sge", "pbs", "lsf"])
def test_programs_are_those_that_the_adapter_calls(name: str) -> None:
    """By the adapter's source: the first word of everything that it calls."""
    adapter = scheduler_of(name)
    source = Path(__file__).parents[2] / "workflows/submission/schedulers" / f"{name}.py"
    called = {
        first.value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.List) and node.elts and isinstance(first := node.elts[0], ast.Constant)
        if isinstance(first.value, str) and first.value.isalpha() and first.value.islower()
    }
    assert called == set(adapter.programs)
    assert adapter.version[0] in adapter.programs


def test_a_slurm_that_is_well(programs: MakePrograms) -> None:
    programs(**SLURM)
    found = looked("slurm", options={"partition": "batch", "time": "01:00:00"})
    assert marks(found) == ["ok"] * 3
    assert found[0].words == "version 23.11.4 (tested with 22.05)"
    assert found[1].words == "answers; arrays of 500 jobs at most, longer ones are divided"
    assert found[2].words == "would take a job with partition=batch, time=01:00:00"


def test_a_slurm_without_accounts(programs: MakePrograms) -> None:
    programs(**{**SLURM, "scontrol": CONFIG.replace("slurmdbd", "none")})
    assert any("keeps no accounts" in f.words for f in looked("slurm"))


def test_a_controller_that_does_not_answer(programs: MakePrograms) -> None:
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    programs(**{**SLURM, "squeue": f"echo '{words}' >&2; exit 1", "scontrol": "exit 1"})
    found = looked("slurm")
    assert (found[1].mark, found[1].words) == (Mark.FAILURE, f"does not answer: {words}")


def test_accounts_that_do_not_answer(programs: MakePrograms) -> None:
    programs(**{**SLURM, "sacct": "echo 'sacct: error: Problem talking to the database' >&2; exit 1"})
    (found,) = [f for f in looked("slurm") if f.mark is Mark.WARNING]
    assert "Problem talking to the database" in found.words


@pytest.mark.parametrize(
    ("said", "version", "mark"),
    [
        ("slurm 17.02.7", "17.02.7", "warning"),
        ("slurm-wlm 22.05.8", "22.05.8", "ok"),
        ("slurm 25.11.0", "25.11.0", "ok"),
    ],
)
def test_versions_of_slurm(said: str, version: str, mark: str, programs: MakePrograms) -> None:
    programs(**{**SLURM, "sbatch": f"echo '{said}'"})
    found = looked("slurm")[0]
    assert found.mark == mark
    assert f"version {version}" in found.words


def test_an_old_sbatch_that_does_not_know_our_options(programs: MakePrograms) -> None:
    """SLURM 17.02 calls --chdir --workdir; the words are getopt's, as a real sbatch prints them."""
    old = (
        'for word in "$@"; do case "$word" in --version) echo "slurm 17.02.7"; exit 0;; '
        "--chdir=*) echo \"sbatch: unrecognized option '$word'\" >&2; "
        "echo 'Try \"sbatch --help\" for more information' >&2; exit 255;; esac; done"
    )
    programs(**{**SLURM, "sbatch": old})
    found = looked("slurm")
    assert found[0].mark is Mark.WARNING
    assert "older than 22.05" in found[0].words
    assert found[-1].mark is Mark.FAILURE
    assert "refuses a job with no options: unrecognized option '--chdir=" in found[-1].words


def test_what_is_rehearsed_submits_nothing(programs: MakePrograms, tmp_path: Path) -> None:
    """Every sbatch is asked for its version or told --test-only, and the script that it saw is gone afterwards."""
    log = tmp_path / "log"
    programs(**{**SLURM, "sbatch": f'echo "$@" >> {log}; [ "$1" = --version ] && echo "slurm 23.11.4"; true'})
    assert all(f.mark is Mark.OK for f in looked("slurm", jobs={"per": "stage"}))
    asked, rehearsed = log.read_text().splitlines()
    assert asked == "--version"
    assert " --test-only " in rehearsed
    assert "--dependency=aftercorr:1" in rehearsed
    assert "--array=0-1" in rehearsed
    assert not Path(rehearsed.split()[-1]).exists()


def test_a_refused_partition(programs: MakePrograms) -> None:
    words = "sbatch: error: invalid partition specified: nope\\nallocation failure: Invalid partition name specified\\n"
    programs(
        **{**SLURM, "sbatch": f'[ "$1" = --version ] && echo "slurm 23.11.4" || {{ printf "{words}" >&2; exit 1; }}'}
    )
    found = looked("slurm", options={"partition": "nope"})[-1]
    assert (found.mark, found.words) == (
        Mark.FAILURE,
        "refuses a job with partition=nope: error: invalid partition specified: nope"
        if "error: invalid" in found.words
        else "refuses a job with partition=nope: invalid partition specified: nope",
    )


def test_grid_engine(programs: MakePrograms) -> None:
    programs(
        qsub='echo "verification: found suitable queue(s)"',
        qstat=f'[ "$1" = -help ] && echo "SGE 8.1.9" || cat {RECORDED}/sge_text_qstat_ext_urg_xml_test.txt',
        qacct='echo "error: job name kdoctor not found" >&2; exit 1',
        qdel="",
        qconf='echo "max_aj_tasks                 7500"',
    )
    found = looked("sge", options={"queue": "all.q"})
    assert marks(found) == ["ok", "ok", "ok"]
    assert "7,500" in found[1].words


def test_an_old_grid_engine_whose_listing_is_none(programs: MakePrograms) -> None:
    recorded = f"cat {RECORDED}/sge_text_xml_parsing_fails_raise.txt"
    programs(qsub="", qstat=f'[ "$1" = -help ] && echo "GE 6.2u5" || {recorded}', qacct="", qdel="", qconf="")
    found = looked("sge")
    assert (found[0].mark, found[1].mark) == (Mark.WARNING, Mark.FAILURE)
    assert "version 6.2u5, older than 8.1.9" in found[0].words
    assert "XML cannot be read" in found[1].words


def test_pbs_is_told_to_be_unproved(programs: MakePrograms) -> None:
    listing = f"cat {RECORDED}/pbspro_text_qstat_f_to_test.txt"
    programs(qsub="exit 1", qstat=f'[ "$1" = --version ] && echo "pbs_version = 20.0.1" || {listing}', qdel="", qmgr="")
    found = looked("pbs")
    assert marks(found) == ["ok", "ok", "ok", "warning"]
    assert found[0].words == "version 20.0.1"
    assert "submission, arrays, limits, cancelling" in found[-1].words


@pytest.mark.parametrize(
    ("asked", "version", "said"),
    [
        ("pbs", "echo 'Version: 6.1.2' >&2; echo 'Commit: 661e092' >&2", "torque"),
        ("torque", "echo 'pbs_version = 19.1.3'", "pbs"),
        ("pbs", "echo 'Unknown option --version'; echo 'SGE 8.1.9'; exit 1", "sge"),
    ],
)
def test_a_scheduler_taken_for_another(asked: str, version: str, said: str, programs: MakePrograms) -> None:
    programs(qsub="", qstat=f'[ "$1" = --version ] && {{ {version}; }}', qdel="", qmgr="")
    found = looked(asked)[0]
    assert (found.mark, found.mend) == (Mark.FAILURE, f'say scheduler = "{said}"')


def test_lsf(programs: MakePrograms) -> None:
    listing = f"cat {RECORDED}/lsf_bjobs_stdout_to_test.txt"
    programs(
        bsub="echo 'IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021' >&2",
        bjobs=listing,
        bkill="",
        bparams="echo 'MAX_JOB_ARRAY_SIZE = 2000'",
    )
    found = looked("lsf")
    assert found[0].words == "version 10.1.0.12"
    assert "2,000" in found[1].words
    assert marks(found) == ["ok", "ok", "ok", "warning"]


def test_a_version_that_nobody_understands(programs: MakePrograms) -> None:
    programs(**{**SLURM, "sbatch": "echo hello"})
    found = looked("slurm")[0]
    assert (found.mark, found.words) == (Mark.WARNING, "its version is not understood: hello")
