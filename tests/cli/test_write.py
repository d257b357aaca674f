"""`kalloy write`: what differs from another preset, completion by hand, and refusals before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kalloy.cli import cli
from kalloy.errors import KalloyError
from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt

SPEC = """
[host]
structure = "Cs4PbBr6"

[[substitution]]
replace = "Cs"
with = "K"
count = [1]

[calculation]
preset = "{preset}"
engine = "{engine}"
{more}
[[step]]
stages = {stages}
"""


def campaign(folder: Path, preset: str, stages: list[str], *, engine: str = "vasp", more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    spec = SPEC.format(preset=preset, engine=engine, stages=json.dumps(stages), more=more)
    (folder / "kalloy.toml").write_text(spec)
    return folder


def write(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["write", *map(str, words)])


def diff(folder: Path, other: str) -> set[tuple[str, ...]]:
    done = write(folder, "--diff", other, "--json")
    assert done.exception is None
    found = json.loads(done.stdout)
    return {(d["stage"], d["setting"], d["here"], d["there"], d["by"]) for d in found}


def test_a_preset_does_not_differ_from_itself(tmp_path: Path) -> None:
    folder = campaign(tmp_path, "paper", ["relax", "static", "dos"])
    assert diff(folder, "paper") == set()
    assert "writes what preset paper says" in write(folder, "--diff", "paper").output


def test_the_two_paper_presets_differ_in_k_points_alone(tmp_path: Path) -> None:
    folder = campaign(tmp_path, "paper", ["relax", "static", "dos"])
    meshes = {stage: "9x9x6" if stage == "dos" else "4x4x3" for stage in ("relax", "static", "dos")}
    assert diff(folder, "paper-gamma") == {
        (stage, "k-points", f"Monkhorst–Pack {mesh}", f"Γ-centred {mesh}", "preset") for stage, mesh in meshes.items()
    }


def test_own_tags_and_the_sites_are_named_as_such(tmp_path: Path) -> None:
    more = """
incar = { SIGMA = 0.02, relax = { NSW = 200 } }
potcar = { Pb = "Pb" }
site = "big"

[site.big]
incar = { NCORE = 4 }
"""
    folder = campaign(tmp_path, "paper-gamma", ["relax", "static"], more=more)
    own = {(stage, "SIGMA", "0.02", "0.05", "you") for stage in ("relax", "static")}
    machine = {(stage, "NCORE", "4", None, "site") for stage in ("relax", "static")}
    potcar = {("all", "dataset of Pb", "Pb", "Pb_d", "you")}
    assert diff(folder, "paper-gamma") == own | machine | potcar | {("relax", "NSW", "200", "100", "you")}
    table = write(folder, "--diff", "paper-gamma").output
    assert "set here by" in table
    assert not list(folder.glob("*/"))  # nothing was written


def test_what_accurate_is_more_accurate_in(tmp_path: Path) -> None:
    folder = campaign(tmp_path, "accurate", ["relax", "static", "dos", "optics"])
    assert diff(folder, "paper-gamma") == {
        ("relax", "EDIFF", "1E-07", "1E-06", "preset"),
        ("relax", "EDIFFG", "-0.01", "-0.02", "preset"),
        ("dos", "ISMEAR", "-5", "0", "preset"),
        ("optics", "NEDOS", "4000", "2000", "preset"),
        ("optics", "nbands", "times_occupied 3", "times_occupied 2.5", "preset"),
    }


def test_hybrids_with_the_free_engine_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = campaign(tmp_path, "laptop", ["relax", "static", "hse"], engine="gpaw")
    done = write(folder)
    assert isinstance(done.exception, KalloyError)
    assert done.exception.exit_code == 2
    assert "stage 'hse' cannot be computed by engine 'gpaw'" in str(done.exception)
    assert 'engine = "vasp"' in str(done.exception)
    assert [p.name for p in folder.iterdir()] == ["kalloy.toml"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[calculation.incar.realx]\nNSW = 5\n", "did you mean 'relax'?"),
        ("[calculation.incar.relax]\nNSW = { a = 1 }\n", "NSW"),
    ],
)
def test_own_tags_of_no_stage_are_refused(tmp_path: Path, more: str, words: str) -> None:
    done = write(campaign(tmp_path, "paper", ["relax"], more=more))
    assert words in str(done.exception)


def test_finish_by_hand(tmp_path: Path, standin: str) -> None:
    engine = f"\n[site.local]\ncommands = {{ gpaw = {json.dumps(standin)} }}\n"
    folder = campaign(tmp_path, "laptop", ["relax", "static"], engine="gpaw", more=engine)
    opened = Campaign(folder)
    host = opened.member("host")
    relax, static = (write_attempt(opened, host, stage) for stage in (Stage.RELAX, Stage.STATIC))
    early = write("--finish", static.folder)
    assert "parent 'host/relax' is not done" in str(early.exception)
    assert not (static.folder / "POSCAR").exists()
    assert execute(relax.folder) is Outcome.DONE
    assert write("--finish", static.folder).output == f"{static.folder}: complete\n"
    assert (static.folder / "POSCAR").read_bytes() == (relax.folder / "CONTCAR").read_bytes()
    assert "is no attempt" in str(write("--finish", tmp_path).exception)
