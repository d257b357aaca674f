"""`kalloy check` over whole campaigns: what is written, what would be, and that errors stop everything."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.errors import KalloyError, VaspInputError
from kalloy.workflows.attempt import TAKEN
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.creation import new_campaign
from kalloy.workflows.inputs.checks.campaign import check_campaign, disk_need, require_sound
from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.rules import RULES
from kalloy.workflows.inputs.checks.survey import Survey

INCAR = "incar = {{ {} }}\n"
QUIET = {"potcar-unheard-of", "disk-need", "mesh"}
"""What stand-in datasets get, every campaign, and the preset's mesh in the primitive cell."""


def make(folder: Path, extra: str = "", engine: str = "vasp") -> Path:
    """One K on the eight Cs of the primitive cell."""
    new_campaign(folder, "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="paper-gamma", engine=engine)
    spec = folder / "kalloy.toml"
    spec.write_text(spec.read_text().replace(f'engine = "{engine}"\n', f'engine = "{engine}"\n{extra}'))
    return folder


def found(folder: Path) -> list[Finding]:
    return [f for f in check_campaign(Campaign(folder)) if f.code not in QUIET]


def codes(folder: Path) -> dict[str, Finding]:
    return {f.code: f for f in found(folder)}


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def written(tmp_path: Path, potcar_library: Path) -> Path:
    """A sound campaign whose first step is written."""
    folder = make(tmp_path / "c")
    assert run("write", folder).return_value is None
    assert (folder / "K1/c1/relax/a01/POTCAR").is_file()
    return folder


def test_a_sound_campaign_before_and_after_it_is_written(written: Path) -> None:
    assert found(written) == []
    fresh = make(written.parent / "fresh")
    assert found(fresh) == []
    assert run("check", written).return_value == 0
    before = tree(written)
    result = run("check", written, "--json")
    assert tree(written) == before
    rows = json.loads(result.output)
    assert {row["code"] for row in rows} == QUIET
    assert set(rows[0]) == {"schema", "severity", "code", "message", "mend", "where"}
    assert set(rows[0]["where"]) == {"members", "stage", "file", "tag"}


def test_the_home_case_of_seventy_is_one_line_a_finding(tmp_path: Path, potcar_library: Path) -> None:
    new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K:3"], cell="conventional", preset="paper", engine="vasp")
    assert found(tmp_path / "c") == []
    assert [f.code for f in check_campaign(Campaign(tmp_path / "c"))].count("mesh") == 2
    spec = tmp_path / "c/kalloy.toml"
    spec.write_text(spec.read_text().replace('engine = "vasp"\n', 'engine = "vasp"\nincar = { ENCUT = 240 }\n'))
    low = [f for f in found(tmp_path / "c") if f.code == "encut-below-enmax" and f.stage == "relax"]
    assert [f.who for f in low] == ["71 members"]
    assert "255 eV" in low[0].message


# -- what kalloy.toml asks for -----------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "code", "severity", "words"),
    [
        (INCAR.format("EDIF = 1e-6"), "unknown-tag", "error", "did you mean 'EDIFF'?"),
        (INCAR.format('ALGO = "Norml"'), "wrong-value", "error", "ALGO = Norml"),
        (INCAR.format("NSW = 5, IBRION = 2"), "moves-when-static", "error", "NSW = 5"),
        (INCAR.format("ICHARG = 11"), "density-without-parent", "error", "ICHARG = 11"),
        (INCAR.format("LCHARG = false"), "density-not-written", "error", "LCHARG"),
        (INCAR.format("LHFCALC = true"), "hybrid-fixed-density", "error", "ICHARG = 11"),
        (INCAR.format("EDIFF = 0.0"), "ediff-zero", "error", "never"),
        (INCAR.format("NBANDS = 50"), "nbands-too-few", "error", "92 filled"),
        (INCAR.format("ISMEAR = -5"), "tetrahedra-on-a-path", "error", "tetrahedra"),
        (INCAR.format('ISPIN = 2, MAGMOM = "21*0"'), "magmom-length", "error", "21 numbers"),
        (INCAR.format("LMAXMIX = 2"), "lmaxmix", "warning", "LMAXMIX = 4"),
        (INCAR.format("KPAR = 64"), "kpar-idle", "warning", "irreducible"),
        (INCAR.format("ENCUT = 200"), "encut-below-enmax", "warning", "255 eV"),
        (INCAR.format("ENCUT = 300"), "encut-for-cell", "note", "332 eV"),
        (INCAR.format("ISPIN = 2"), "spin-without-moments", "warning", "ISPIN = 2"),
        ('[calculation.potcar]\nPb = "Pb"\n', "potcar-own", "note", "Pb for Pb"),
        ('[calculation.potcar]\nRb = "Rb_sv"\n', "potcar-not-used", "warning", "Rb"),
        ('[calculation.potcar]\nK = "K_svv"\n', "potcar-missing", "error", "K_pv, K_sv"),
        ('potcar_functional = "PBE_64"\n', "potcar-missing", "error", "it holds PBE_54"),
    ],
)
def test_what_is_asked_for_is_checked(
    tmp_path: Path, potcar_library: Path, extra: str, code: str, severity: str, words: str
) -> None:
    folder = make(tmp_path / "c", extra)
    mine = [f for f in found(folder) if f.code == code]
    assert mine
    assert {f.severity for f in mine} == {severity}
    assert words in mine[0].line
    assert (run("check", folder).return_value == 1) == any(f.severity is Severity.ERROR for f in found(folder))


@pytest.mark.parametrize("verb", ["write", "run"])
@pytest.mark.parametrize("extra", [INCAR.format("EDIF = 1e-6"), '[calculation.potcar]\nK = "K_svv"\n'])
def test_errors_stop_everything_before_a_byte_is_written(
    tmp_path: Path, potcar_library: Path, extra: str, verb: str
) -> None:
    folder = make(tmp_path / "c", extra + '\n[site.local]\ncommands = { std = "true" }\n')
    before = tree(folder)
    result = run(verb, folder)
    assert isinstance(result.exception, VaspInputError)
    assert result.exception.exit_code == 2
    assert "`kalloy check` tells all" in str(result.exception)
    assert tree(folder) == before


def test_an_allowed_tag_passes(tmp_path: Path, potcar_library: Path) -> None:
    folder = make(tmp_path / "c", INCAR.format("ICHAIN = 0") + 'allow_tags = ["ichain"]\n')
    assert found(folder) == []


def test_strict_counts_warnings(tmp_path: Path, potcar_library: Path) -> None:
    folder = make(tmp_path / "c", INCAR.format("LMAXMIX = 2"))
    assert run("check", folder).return_value == 0
    assert run("check", folder, "--strict").return_value == 1
    require_sound(Campaign(folder))


def test_a_preset_with_a_misspelt_tag_makes_no_campaign(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("dated: '2026-01-01'\nsummary: mine\nparent: paper\nincar: {static: {ISMAER: 0}}\n")
    with pytest.raises(KalloyError, match=r"static INCAR: VASP knows no tag ISMAER; did you mean 'ISMEAR'"):
        new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset=str(own), engine="vasp")
    assert not (tmp_path / "c").exists()


def test_without_a_library_a_note_says_what_is_missing(tmp_path: Path) -> None:
    note = codes(make(tmp_path / "c"))["no-potcar-library"]
    assert note.severity is Severity.NOTE
    assert "PMG_VASP_PSP_DIR" in note.message


def test_datasets_that_nobody_named_are_listed(tmp_path: Path, potcar_library: Path) -> None:
    new_campaign(tmp_path / "c", "Cs4PbBr6", ["Br=Cl:1"], cell="primitive", preset="paper-gamma", engine="vasp")
    note = codes(tmp_path / "c")["potcar-by-default"]
    assert (note.severity, note.tag) == (Severity.NOTE, "Cl")
    assert '[calculation.potcar] Cl = "Cl"' in note.line
    assert "host" not in note.members


def test_the_free_engine_has_its_own_list(tmp_path: Path) -> None:
    folder = make(tmp_path / "c", INCAR.format("LHFCALC = true"), engine="gpaw")
    errors = [f for f in found(folder) if f.severity is Severity.ERROR]
    assert {(f.code, f.tag, f.who) for f in errors} == {("engine-refuses", "LHFCALC", "3 members")}
    fine = make(tmp_path / "fine", engine="gpaw")
    assert {(f.code, f.severity) for f in found(fine)} == {("engine-sets-aside", Severity.NOTE)}


# -- disk ----------------------------------------------------------------------------


def test_disk_need_against_what_is_free(tmp_path: Path, potcar_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "c")
    campaign = Campaign(folder)
    need = disk_need(campaign, list(Survey(campaign).cases()))
    assert 1e8 < need < 1e10
    free = shutil.disk_usage(folder)._replace(free=need - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert codes(folder)["disk-full"].severity is Severity.WARNING
    (waves := make(tmp_path / "w", INCAR.format("LWAVE = true")))
    campaign = Campaign(waves)
    assert disk_need(campaign, list(Survey(campaign).cases())) > 1.5 * need


# -- what lies in the folders ----------------------------------------------------------


def exchange(attempt: Path) -> None:
    text = (attempt / "POTCAR").read_text()
    end = " End of Dataset\n"
    cs, k, *rest = text.split(end)
    (attempt / "POTCAR").write_text(end.join([k, cs, *rest]))


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(attempt: Path) -> None:
        text = (attempt / name).read_text()
        assert old in text
        (attempt / name).write_text(text.replace(old, new, 1))

    return change


def complete_without_density(attempt: Path) -> None:
    """As if it had taken from its parents, and somebody removed what it took."""
    static = attempt.parents[1] / "static/a01"
    shutil.copy(attempt / "POSCAR", static / "POSCAR")
    (static / TAKEN).write_text('{"schema": 1, "taken": []}')
    rewrite("INCAR", "SYSTEM", "ICHARG = 11\nSYSTEM")(static)


FOLDER_FAULTS: list[tuple[str, Callable[[Path], None], str, str]] = [
    ("potcar-order", exchange, "K1/c1", "is 'PAW_PBE K_sv 01Jan2001' where POSCAR has Cs"),
    ("potcar-order", rewrite("POTCAR", " End of Dataset", " End"), "K1/c1", "POTCAR"),
    ("poscar-differs", rewrite("POSCAR", "7 1 2 12", "6 2 2 12"), "K1/c1", "Cs6K2Pb2Br12"),
    ("edited-by-hand", rewrite("INCAR", "EDIFFG", "NELMIN = 5\nEDIFFG"), "K1/c1", "INCAR is not as it was written"),
    ("incar-differs", rewrite("INCAR", "400", "500"), "K1/c1", "ENCUT = 500 where most members have ENCUT = 400"),
    (
        "incar-differs",
        rewrite("INCAR", "LASPH", "IVDW = 12\nLASPH"),
        "K1/c1",
        "IVDW = 12 where most members have no IVDW",
    ),
    ("kpoints-differ", rewrite("KPOINTS", "4 4 3", "5 5 4"), "K1/c1", "5 5 4"),
    ("unknown-tag", rewrite("INCAR", "NELM ", "NELN "), "K1/c1", "did you mean"),
    ("input-missing", lambda attempt: (attempt / "KPOINTS").unlink(), "K1/c1", "KPOINTS was written and is gone"),
    ("density-missing", complete_without_density, "K1/c1", "CHGCAR"),
    ("still-when-relaxing", rewrite("INCAR", "EDIFFG", "NSW = 0\nEDIFFG"), "K1/c1", "NSW = 0"),
]


@pytest.mark.parametrize(
    ("code", "change", "member", "words"), FOLDER_FAULTS, ids=[f"{n}-{f[0]}" for n, f in enumerate(FOLDER_FAULTS)]
)
def test_a_fault_in_one_folder_is_found_and_named(
    written: Path, code: str, change: Callable[[Path], None], member: str, words: str
) -> None:
    change(written / member / "relax/a01")
    finding = codes(written)[code]
    assert finding.members == (member,)
    assert words in finding.line
    if finding.severity is Severity.ERROR:
        with pytest.raises(VaspInputError):
            require_sound(Campaign(written))


def test_numerical_mends_of_a_run_are_no_difference(written: Path) -> None:
    """What custodian changed on the way (ALGO, mixing) in a calculation that is done stays out of it."""
    attempt = written / "K1/c1/relax/a01"
    rewrite("INCAR", "Normal", "All\nAMIX = 0.1")(attempt)
    (attempt / "kalloy-end.json").write_text('{"schema": 1, "outcome": "done", "ended": "2026-01-01"}')
    assert found(written) == []
    rewrite("INCAR", "400", "500")(attempt)
    assert codes(written)["incar-differs"].members == ("K1/c1",)


def test_what_will_be_written_anew_is_not_held_against_the_campaign(written: Path) -> None:
    """A wrong tag was mended in kalloy.toml: the attempts with it never started, and are followed by new ones."""
    spec = written / "kalloy.toml"
    good = spec.read_text()
    for name in ("host", "K1/c1", "K1/c2"):
        file = written / name / "relax/a01/INCAR"
        file.write_text(file.read_text().replace("NELM ", "NELN "))
    assert "unknown-tag" in codes(written)
    spec.write_text(good.replace('engine = "vasp"\n', 'engine = "vasp"\nincar = { NELMIN = 5 }\n'))
    assert found(written) == []
    run("write", written)
    assert (written / "K1/c1/relax/a02").is_dir()
    assert found(written) == []


def test_another_dataset_in_the_middle_of_a_campaign_is_named(written: Path, standin_potcars: ModuleType) -> None:
    """The library was changed between two members: same name, other content."""
    library = written.parent / "potcars/potpaw_PBE.54"
    shutil.rmtree(written / "K1/c2")
    (library / "K_sv/POTCAR").write_text(standin_potcars.potcar("K_sv", "K", 9, 230.0))
    finding = codes(written)["dataset-differs"]
    assert finding.members == ("K1/c1",)  # what is written of it; more is to be written with the new one
    assert "K by PAW_PBE K_sv 01Jan2001 (sha256 " in finding.message


def test_the_docs_list_every_finding() -> None:
    """Each rule in the row of its severity, and every other word that the code can say."""
    root = Path(__file__).resolve().parents[2]
    rows = re.findall(r"^\| (error|warning|note)[^|]*\|(.*)\|$", (root / "docs/inputs.md").read_text(), re.MULTILINE)
    listed = {(severity, code) for severity, row in rows for code in re.findall(r"`([a-z-]+)`", row)}
    assert {(rule.severity.value, rule.code) for rule in RULES.values()} <= listed
    folder = root / "workflows/inputs/checks"
    said = {c for p in folder.glob("*.py") for c in re.findall(r'"([a-z]+(?:-[a-z]+)+|mesh|host)"', p.read_text())}
    assert {code for _, code in listed} <= said | set(RULES)
    assert {code for _, code in listed} >= {c for c in said if "-" in c} - {"utf-8"}
