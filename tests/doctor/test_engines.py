"""Engines that are not there, or not the build that a stage needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kalloy.workflows.doctor.engines import command, free_engine, told_by_probe
from kalloy.workflows.doctor.examination import elements, examine_engines, sites
from kalloy.workflows.doctor.finding import Finding, Mark
from kalloy.workflows.inputs.stage import Program
from kalloy.workflows.spec_sites import SiteTable
from tests.doctor.conftest import MakeCampaign, MakePrograms

LOCAL, CLUSTER = SiteTable(), SiteTable(scheduler="slurm")


def judged(text: str, table: SiteTable = LOCAL, program: Program = Program.STANDARD, needed: bool = True) -> Finding:
    return command("here", table, program, text, needed)


@pytest.mark.engine
def test_the_free_engine_and_its_data() -> None:
    assert free_engine(["Cs", "Pb", "Br", "K"], needed=True).mark is Mark.OK
    found = free_engine(["Cs", "Pu"], needed=True)
    assert found.mark is Mark.FAILURE
    assert found.words.endswith("no PBE dataset of Pu")


def test_a_free_engine_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpaw.py").write_text("raise ImportError('no module named gpaw')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    needed, spare = free_engine(["Cs"], needed=True), free_engine(["Cs"], needed=False)
    assert (needed.mark, spare.mark) == (Mark.FAILURE, Mark.WARNING)
    assert "GPAW is not installed" in needed.words
    assert needed.mend == "in kalloy's source folder: CC=g++ pip install --no-cache-dir '.[gpaw]'"


def test_a_free_engine_that_kills_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpaw.py").write_text("import os; os.kill(os.getpid(), 4)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "ended by signal 4" in free_engine(["Cs"], needed=True).words


def test_data_that_are_missing_are_named() -> None:
    found = told_by_probe({"version": "26.7.0", "without": ["Cs", "Pb"]}, needed=True)
    assert (found.mark, found.words) == (Mark.FAILURE, "GPAW 26.7.0 has no PBE dataset of Cs, Pb")


def test_vasp_on_this_machine(programs: MakePrograms) -> None:
    programs(mpirun="", vasp_std="")
    assert judged("mpirun -n 8 vasp_std").mark is Mark.OK
    assert judged("mpirun -n $SLOTS vasp_std").mark is Mark.OK
    missing = judged("mpirun -n 8 vasp_ncl", program=Program.NONCOLLINEAR)
    assert (missing.mark, missing.words) == (Mark.FAILURE, "'vasp_ncl' of 'mpirun -n 8 vasp_ncl' is not found on PATH")
    assert missing.mend is not None
    assert "[site.here] commands = { ncl" in missing.mend
    assert judged("mpirun -n 8 vasp_ncl", program=Program.NONCOLLINEAR, needed=False).mark is Mark.WARNING
    assert judged("nowhere vasp_std").words == "'nowhere' of 'nowhere vasp_std' is not found on PATH"
    assert judged(f"mpirun {Path(__file__)}").mark is Mark.OK  # a script that a launcher reads


def test_commands_that_are_none() -> None:
    assert judged("").mark is Mark.FAILURE
    assert "cannot be split" in judged("srun 'vasp_std").words


@pytest.mark.parametrize(
    ("text", "program"), [("srun vasp_std", Program.NONCOLLINEAR), ("srun /opt/vasp_ncl", Program.GAMMA_ONLY)]
)
def test_the_wrong_build_is_told(text: str, program: Program) -> None:
    found = judged(text, CLUSTER, program)
    assert found.mark is Mark.FAILURE
    assert f"{program.value} is another build" in found.words


def test_what_only_a_job_can_find_is_not_called_missing(programs: MakePrograms) -> None:
    programs(srun="")
    assert judged("srun vasp_std", CLUSTER).mark is Mark.WARNING
    with_setup = SiteTable(scheduler="slurm", setup=["export PATH=/opt/vasp:$PATH"])
    assert judged("srun vasp_std", with_setup).mark is Mark.OK


def test_modules_are_loaded_to_look(programs: MakePrograms, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = programs(srun="")
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
    (own_home / "vasp").mkdir()
    (own_home / "vasp/vasp_std").write_text("#!/bin/sh\n")
    (own_home / "vasp/vasp_std").chmod(0o755)
    (own_home / ".bash_profile").write_text(
        'module() { [ "$2" = vasp/6.4.2 ] && PATH=$HOME/vasp:$PATH || { echo "no module $2" >&2; return 1; }; }\n'
        f"PATH={folder}:$PATH\n"
    )
    good = SiteTable(scheduler="slurm", modules=["vasp/6.4.2"])
    assert judged("srun vasp_std", good).mark is Mark.OK
    assert judged("srun vasp_ncl", good, Program.NONCOLLINEAR).words.endswith("is not found after its modules")
    bad = judged("srun vasp_std", SiteTable(scheduler="slurm", modules=["vasp/5"]))
    assert (bad.mark, bad.words) == (Mark.WARNING, "'srun vasp_std' after its modules: no module vasp/5")


def test_the_builds_that_a_campaign_needs(make: MakeCampaign, programs: MakePrograms) -> None:
    """Spin–orbit coupling needs another build than the rest, by its usual name where the site says none."""
    programs(vasp_std="")
    campaign = make()
    found = {f.subject: f for f in examine_engines(campaign, sites(campaign)[0])}
    assert found["local: std"].mark is Mark.OK
    assert found["local: ncl"].mark is Mark.FAILURE
    assert "local: gam" not in found
    assert found["kalloy-gpaw"].mark is not Mark.FAILURE  # not asked for
    assert found["POTCAR library"].mark is Mark.FAILURE
    assert sorted(elements(campaign)) == ["Br", "Cs", "K", "Pb"]


def test_what_a_campaign_does_not_use_may_be_missing(make: MakeCampaign, programs: MakePrograms) -> None:
    programs()
    campaign = make(engine="gpaw", tables='[site.other]\ncommands = { std = "mpirun vasp_std" }')
    found = {f.subject: f for f in examine_engines(campaign, sites(campaign)[0])}
    assert found["other: std"].mark is Mark.WARNING
    assert found["POTCAR library"].mark is Mark.OK


def test_more_processes_than_cores(make: MakeCampaign) -> None:
    cores = len(os.sched_getaffinity(0))
    campaign = make(tables=f'[site.local]\njobs = 2\ncommands = {{ std = "mpirun -n {cores} vasp_std" }}')
    found = {f.subject: f for f in examine_engines(campaign, sites(campaign)[0])}["local: cores"]
    assert found.mark is Mark.WARNING
    assert f"want {2 * cores} cores, and there are {cores}" in found.words
    assert found.mend == "[site.local] jobs = 1, or fewer processes in commands.std"


def test_a_prescreen_model_that_is_not_there(make: MakeCampaign) -> None:
    tables = (
        '[prescreen]\nmodel = "mine"\ncalculator = "no_such_module:calculator"\n'
        '[[step]]\nstages = ["dos"]\non = { prescreened = true }'
    )
    campaign = make(engine="gpaw", tables=tables)
    found = {f.subject: f for f in examine_engines(campaign, sites(campaign)[0])}["prescreen"]
    assert found.mark is Mark.FAILURE
    assert "no_such_module" in found.words
