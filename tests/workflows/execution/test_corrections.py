"""custodian's own handlers on outputs that trigger them: each cure is kept or undone, as the data says."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kalloy.errors import SpecError
from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.corrections import Guard, Guarded, guarded_handlers, input_changes
from kalloy.workflows.execution.policy import load_policy, parse_policy
from kalloy.workflows.execution.reading import read
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt

POLICY = parse_policy(None)
ERRORS: dict[str, str] = POLICY.handlers["vasp"]["VaspErrorHandler"]  # type: ignore[assignment]
INCAR = "ENCUT = 400\nALGO = Fast\nEDIFF = 1E-05\nISMEAR = -5\nNSW = 10\nIBRION = 2\nLREAL = Auto\n"
POSCAR = "KBr\n1.0\n0 3.3 3.3\n3.3 0 3.3\n3.3 3.3 0\nK Br\n1 1\ndirect\n0 0 0\n0.5 0.5 0.5\n"
CONTCAR = POSCAR.replace("3.3", "3.2")
MESH = "mesh\n0\nMonkhorst-Pack\n4 4 4\n0 0 0\n"
OUTCAR = """   number of dos      NEDOS =    301   number of ions     NIONS =      2
   total plane-waves  NPLWV =   1000
   NELECT =      16.0000    total number of electrons
   IBRION =      2    ionic relax
   k-points           NKPTS =      4   k-points in BZ     NKDIM =      4   number of bands    NBANDS=     10
 number of electron      16.0000000 magnetization
 General timing and accounting informations for this job:
"""
HEAD = "       N       E                     dE             d eps       ncg     rms          rms(c)\n"
SPECIAL: dict[str, dict[str, str]] = {
    "algo_tet": {"INCAR": INCAR.replace("Fast", "All")},
    "grad_not_orth": {"INCAR": INCAR.replace("Fast", "All")},
    "elf_kpar": {"INCAR": INCAR + "KPAR = 2\n"},
    "dfpt_ncore": {"INCAR": INCAR + "NCORE = 4\n"},
    "spin_polarized_harris": {"INCAR": INCAR + "ICHARG = 11\n"},
}
"""Where the usual inputs would not need the cure."""


@dataclass
class Bench:
    """A folder with what VASP and custodian leave, and one guarded handler on it."""

    folder: Path
    guard: Guard = field(default_factory=lambda: Guard(POLICY.numerical_path))

    def write(self, **files: str) -> None:
        usual = {"INCAR": INCAR, "KPOINTS": MESH, "POSCAR": POSCAR, "CONTCAR": CONTCAR, "OUTCAR": OUTCAR}
        for name, text in {**usual, "vasp.out": "", "std_err.txt": "", "CHGCAR": "density", **files}.items():
            (self.folder / name.replace("vasp_out", "vasp.out")).write_text(text)

    def inputs(self) -> dict[str, str]:
        return {name: (self.folder / name).read_text() for name in ("INCAR", "KPOINTS", "POSCAR")}

    def handler(self, name: str, errors: list[str] | None = None, watches: bool = False) -> Guarded:
        return Guarded(name, errors, self.guard, watches)

    def correct(self, handler: Guarded) -> dict[str, Any]:
        assert handler.check(str(self.folder))
        answer = handler.correct(str(self.folder))
        assert bool(answer["actions"]) is self.guard.corrections[-1]["kept"]
        return self.guard.corrections[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def message(error: str) -> str:
    from custodian.vasp.handlers import StdErrHandler, VaspErrorHandler

    return {**StdErrHandler.error_msgs, **VaspErrorHandler.error_msgs}[error][-1]


@pytest.mark.filterwarnings("ignore::UserWarning:custodian")
@pytest.mark.parametrize("error", sorted(ERRORS))
def test_every_cure_of_the_main_handler_is_of_the_class_that_the_data_says(bench: Bench, error: str) -> None:
    bench.write(vasp_out=f" some words\n {message(error)}\n", **SPECIAL.get(error, {}))
    before = bench.inputs()
    record = bench.correct(bench.handler("VaspErrorHandler", [error]))
    assert record["errors"] == [error]
    assert record["class"] == {"path": "numerical path", "physics": "physics", "none": "none"}[ERRORS[error]]
    if ERRORS[error] == "path":
        assert record["kept"]
        assert record["changes"] or error == "coef"  # which only takes a WAVECAR away
        assert (bench.inputs() != before) is (error != "coef")
    else:
        assert not record["kept"]
        assert bench.inputs() == before
        assert (bench.folder / "CHGCAR").read_text() == "density"
        assert bool(bench.guard.refused) is (ERRORS[error] == "physics")


def test_the_data_names_every_error_that_custodian_knows() -> None:
    """A new custodian with new errors fails here: somebody has to read what their cures change."""
    from custodian.vasp.handlers import StdErrHandler, VaspErrorHandler

    # auto_nbands is but a warning of custodian's, and grad_not_orth of stderr is the same message twice.
    assert set(ERRORS) == set(VaspErrorHandler.error_msgs) - {"auto_nbands"}
    assert set(POLICY.handlers["vasp"]["StdErrHandler"]) == set(StdErrHandler.error_msgs) - {"grad_not_orth"}


@pytest.mark.parametrize(
    ("error", "incar", "kind"), [("kpoints_trans", INCAR, "physics"), ("out_of_memory", INCAR + "KPAR = 4\n", "path")]
)
def test_cures_of_what_stands_on_stderr(bench: Bench, error: str, incar: str, kind: str) -> None:
    from custodian.vasp.handlers import StdErrHandler

    bench.write(INCAR=incar, **{"std_err.txt": StdErrHandler.error_msgs[error][0]})
    record = bench.correct(bench.handler("StdErrHandler", [error]))
    assert record["kept"] is (kind == "path")
    assert ("KPAR = 2" in bench.inputs()["INCAR"]) is (kind == "path")


def test_the_mesh_symmetry_cure_is_physics(bench: Bench) -> None:
    bench.write(vasp_out="Reciprocal lattice and k-lattice belong to different class of lattices.\n")
    record = bench.correct(bench.handler("MeshSymmetryErrorHandler"))
    assert record["changes"] == ["KPOINTS: another mesh"]
    assert bench.inputs()["KPOINTS"] == MESH


def test_brmix_is_mended_by_mixing_first_and_by_another_mesh_never(bench: Bench) -> None:
    bench.write(vasp_out=message("brmix"))
    handler = bench.handler("VaspErrorHandler", ["brmix"])
    assert bench.correct(handler)["changes"] == ["ISTART: unset → 1"]
    for expected in ("IMIX: unset → 1", "KPOINTS: another mesh"):
        bench.guard.is_cured = False
        assert bench.correct(handler)["changes"] == [expected]
    assert bench.guard.refused == ["KPOINTS: another mesh"]
    assert "IMIX = 1" in bench.inputs()["INCAR"]  # as the last kept cure left it


def test_handlers_of_relaxations_and_of_electrons(bench: Bench) -> None:
    def electrons(count: int) -> str:
        line = "DAV: {:3d}    -0.100000000000E+01   -0.10000E-01   -0.10000E-02    16   0.100E-01\n"
        return HEAD + "".join(line.format(n) for n in range(1, count + 1))

    ions = "{:4d} F= {:.8E} E0= {:.8E}  d E ={:.6E}\n".format
    stuck = "".join(electrons(60) + ions(n, -1, -1, 0) for n in range(1, 13))
    bench.write(OSZICAR=stuck, INCAR=INCAR + "NELM = 60\n")
    record = bench.correct(bench.handler("NonConvergingErrorHandler"))
    assert record["changes"] == ["ALGO: Fast → Normal"]
    bench.guard.is_cured = False
    bench.write(OSZICAR=electrons(5) + ions(1, -10, -10, -10) + electrons(5) + ions(2, 10, 10, 20))
    assert bench.correct(bench.handler("PotimErrorHandler"))["changes"] == ["POTIM: unset → 0.25"]
    assert not bench.guard.refused


@pytest.mark.filterwarnings("ignore")  # pymatgen warns of what is looked for here
def test_unconverged_electrons_of_real_vasp(bench: Bench, shared: Path) -> None:
    bench.write()
    packed = shared / "vasp/custodian_unconverged_electronic/vasprun.xml.gz"
    (bench.folder / "vasprun.xml").write_bytes(gzip.decompress(packed.read_bytes()))
    found = read(bench.folder)
    assert found.lacks_electrons
    assert not found.is_sound
    assert bench.correct(bench.handler("UnconvergedErrorHandler"))["class"] == "numerical path"


# -- when handlers are asked --------------------------------------------------------


def test_nobody_looks_where_there_is_nothing_to_cure(bench: Bench) -> None:
    bench.write(vasp_out=message("edddav") + message("inv_rot_mat"))
    watching, final = (bench.handler("VaspErrorHandler", ["edddav"], watches) for watches in (True, False))
    folder = str(bench.folder)
    assert [h.check(folder) for h in (watching, final)] == [False, True]  # it has ended
    bench.guard.is_running = lambda: True
    assert [h.check(folder) for h in (watching, final)] == [True, False]  # it runs
    bench.guard.is_running = lambda: False
    for state in ("is_sound", "is_over"):
        setattr(bench.guard, state, lambda: True)
        assert not final.check(folder)
        setattr(bench.guard, state, lambda: False)
    bench.guard.is_cured = True
    assert not final.check(folder)  # one cure a run


def test_only_errors_with_a_cure_of_the_path_stop_a_running_engine() -> None:
    handlers = guarded_handlers(POLICY, "vasp", Guard(POLICY.numerical_path))
    watched = {(h.name, e) for h in handlers if h.is_monitor for e in h.errors or ()}
    assert ("VaspErrorHandler", "edddav") in watched
    assert not {e for _, e in watched} & {e for e, kind in ERRORS.items() if kind != "path"}
    assert guarded_handlers(POLICY, "gpaw", Guard(POLICY.numerical_path)) == []


def test_a_handler_that_stumbles_over_a_missing_file_finds_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not bench.handler("VaspErrorHandler", ["edddav"]).check(str(bench.folder))
    assert "VaspErrorHandler could not look" in capsys.readouterr().err
    bench.write(vasp_out=message("nbands_not_sufficient"), OUTCAR="")
    assert bench.correct(bench.handler("VaspErrorHandler", ["nbands_not_sufficient"]))["class"] == "none"


def test_changes_are_told_apart() -> None:
    def changes(before: str, after: str) -> list[tuple[str, bool]]:
        return [(c.text, c.is_path(POLICY.numerical_path)) for c in input_changes({"INCAR": before}, {"INCAR": after})]

    assert changes("ALGO = Fast", "Algo = Normal") == [("ALGO: Fast → Normal", True)]
    assert changes("", "ICHARG = 2") == [("ICHARG: unset → 2", True)]
    assert changes("ICHARG = 11", "ICHARG = 2") == [("ICHARG: 11 → 2", False)]
    assert changes("ISYM = 2", "") == [("ISYM: 2 → unset", False)]
    moved = partial(input_changes, {"POSCAR": "a"}, {"POSCAR": "b"})
    assert [c.starts_only for c in (*moved("b"), *moved("c"), *moved(""))] == [True, False, False]
    assert input_changes({"POSCAR": "a 1"}, {"POSCAR": "a  1\n"}) == []


# -- the user's own policy ------------------------------------------------------------


def test_allowed_tags_are_kept(bench: Bench) -> None:
    policy = parse_policy(load_policy({"allow": ["ediff", "ISYM"]}, Path()))
    assert policy.numerical_path == POLICY.numerical_path | {"EDIFF", "ISYM"}
    bench.guard.path_tags = policy.numerical_path
    bench.write(vasp_out=message("zbrent"))
    record = bench.correct(bench.handler("VaspErrorHandler", ["zbrent"]))
    assert record["kept"]
    assert "POSCAR: from CONTCAR" in record["changes"]
    assert bench.inputs()["POSCAR"] == CONTCAR


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("most: -1\n", "'most' is -1"),
        ("mots: 5\n", "unknown key 'mots'"),
        ("handlers: {vasp: {VaspErorHandler: path}}\n", "no handler 'VaspErorHandler'"),
        ("handlers: {vasp: {VaspErrorHandler: {edddev: path}}}\n", "knows no error 'edddev'.*'edddav'"),
        ("- 1\n", "holds no mapping"),
        ("a: [\n", "not YAML"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        load_policy("mine.yaml", tmp_path)


def test_a_missing_policy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no file .*mine\.yaml"):
        load_policy("mine.yaml", tmp_path)


def test_a_tag_that_no_cure_can_touch_is_named() -> None:
    with pytest.raises(SpecError, match=r"calculation.corrections: VASP knows no tag EDIF; did you mean 'EDIFF'"):
        load_policy({"allow": ["EDIF"]}, Path())


# -- the whole way ----------------------------------------------------------------------


@pytest.fixture
def vasp(campaign: Campaign, potcar_library: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Campaign]:
    """The campaign for VASP, the stand-in in its place."""

    def make(corrections: str = "") -> Campaign:
        path = campaign.root / "kalloy.toml"
        text = path.read_text().replace('engine = "gpaw"', f'engine = "vasp"\n{corrections}')
        path.write_text(text.replace("commands = { gpaw", "commands = { std"))
        monkeypatch.setenv("STANDIN_FAIL", "K1/c2/relax")
        return Campaign(campaign.root)

    return make


def relax(campaign: Campaign) -> dict[str, Any]:
    attempt = write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX)
    outcome = execute(attempt.folder)
    end = attempt.end
    assert end is not None
    assert end["outcome"] == outcome
    return {**end, "folder": attempt.folder}


def test_an_error_of_the_path_is_mended_and_reported(
    vasp: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_SAYS", message("edddav"))
    monkeypatch.setenv("STANDIN_CURE", "ALGO = All")
    end = relax(vasp())
    assert end["outcome"] == "done"
    assert [c["class"] for c in end["corrections"]] == ["numerical path"]
    assert end["corrections"][0]["changes"][0].startswith("ALGO: ")
    assert [r["exit"] for r in end["runs"]] == [1, 0]
    assert "ALGO = All" in (end["folder"] / "INCAR").read_text()
    assert "ALGO = All" not in (end["folder"] / "INCAR.orig").read_text()
    with tarfile.open(end["folder"] / "error.1.tar.gz") as kept:
        assert "error.1/vasp.out" in kept.getnames()


def test_an_error_whose_cure_is_physics_needs_a_decision(
    vasp: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_SAYS", message("posmap"))
    end = relax(vasp())
    assert end["outcome"] == Outcome.NEEDS_DECISION
    assert end["cause_class"] is None
    assert "SYMPREC" in end["cause"]
    assert (end["folder"] / "INCAR").read_text() == (end["folder"] / "INCAR.orig").read_text()
    assert (end["folder"] / "error.1.tar.gz").is_file()
    assert len(end["runs"]) == 1


def test_an_allowed_cure_is_made(vasp: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_SAYS", message("posmap"))
    monkeypatch.setenv("STANDIN_CURE", "SYMPREC = 1e-06")
    end = relax(vasp('corrections = { allow = ["SYMPREC"] }'))
    assert end["outcome"] == "done"
    assert end["corrections"][0]["changes"] == ["SYMPREC: unset → 1e-06"]


def test_an_error_that_no_cure_ends_is_the_engines(
    vasp: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_SAYS", f"  |  {message('edddav')}  |")
    end = relax(vasp())
    assert (end["outcome"], end["cause_class"]) == ("failed", "engine")
    assert message("edddav") in end["cause"]
    assert len(end["runs"]) == 1 + POLICY.most  # NCORE was doubled again and again
    assert not end["goes_on"]
