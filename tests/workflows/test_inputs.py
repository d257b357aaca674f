"""Inputs are what an expert writes by hand: whole files are compared, and read back by pymatgen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

from kalloy.errors import KalloyError, SpecError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.creation import new_campaign
from kalloy.workflows.inputs.incar import compose, format_tag
from kalloy.workflows.inputs.preset import MeshSettings, Tag, bundled_presets, load_preset
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import warnings_of, write_attempt

COMMON: dict[str, Tag] = {
    "GGA": "PE",
    "PREC": "Accurate",
    "ENCUT": 400,
    "EDIFF": 1e-6,
    "ALGO": "Normal",
    "NELM": 100,
    "ISPIN": 1,
    "ISYM": 2,
    "ISMEAR": 0,
    "SIGMA": 0.05,
    "LASPH": True,
    "LREAL": False,
    "LWAVE": False,
}
STILL: dict[str, Tag] = {"IBRION": -1, "NSW": 0, "LMAXMIX": 4}
PAPER: dict[Stage, dict[str, Tag]] = {
    Stage.RELAX: {**COMMON, "IBRION": 2, "ISIF": 3, "NSW": 100, "EDIFFG": -0.02, "LCHARG": False},
    Stage.STATIC: {**COMMON, **STILL, "LORBIT": 11, "LCHARG": True},
    Stage.DOS: {**COMMON, **STILL, "LORBIT": 11, "ICHARG": 11, "NEDOS": 3000, "LCHARG": False},
    Stage.BANDS: {**COMMON, **STILL, "LORBIT": 11, "ICHARG": 11, "LCHARG": False},
    Stage.OPTICS: {
        **(COMMON | STILL | {"ALGO": "Exact", "NELM": 1, "ICHARG": 11}),
        **{"LOPTICS": True, "CSHIFT": 0.1, "NEDOS": 2000, "LCHARG": False},
    },
    Stage.SOC: {
        **(COMMON | STILL | {"ICHARG": 1, "LORBIT": 11, "LSORBIT": True, "SAXIS": [0, 0, 1]}),
        **{"MAGMOM": "198*0", "LCHARG": False},
    },
    Stage.HSE: {
        **(COMMON | STILL | {"ALGO": "All", "ICHARG": 1, "LORBIT": 11}),
        **{"LHFCALC": True, "ISYM": 3, "HFSCREEN": 0.2, "AEXX": 0.25, "LCHARG": False},
    },
}
ACCURATE: dict[Stage, dict[str, Tag]] = {
    Stage.RELAX: {"EDIFF": 1e-7, "EDIFFG": -0.01},
    Stage.DOS: {"ISMEAR": -5},
    Stage.OPTICS: {"NEDOS": 4000},
}
ROUGH: dict[str, Tag] = {"ENCUT": 200, "PREC": "Normal", "EDIFF": 1e-4}
LAPTOP: dict[Stage, dict[str, Tag]] = {
    **dict.fromkeys(Stage, ROUGH),
    Stage.RELAX: {**ROUGH, "NSW": 40, "EDIFFG": -0.03},
    Stage.DOS: {**ROUGH, "NEDOS": 1500, "EDIFF": 1e-2},
    Stage.BANDS: {**ROUGH, "EDIFF": 1e-2},
    Stage.SOC: {**ROUGH, "ICHARG": 11},
}
SMOKE = {**LAPTOP, Stage.RELAX: {**LAPTOP[Stage.RELAX], "NSW": 20}, Stage.DOS: {**LAPTOP[Stage.DOS], "NEDOS": 500}}
CHANGES: dict[str, dict[Stage, dict[str, Tag]]] = {
    "paper": {},
    "paper-gamma": {},
    "accurate": ACCURATE,
    "laptop": LAPTOP,
    "smoke": SMOKE,
}
WHOLE: dict[str, dict[Stage, dict[str, Tag]]] = {
    name: {stage: {**PAPER[stage], **changes.get(stage, {})} for stage in Stage} for name, changes in CHANGES.items()
}


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("preset", list(WHOLE))
@pytest.mark.filterwarnings("error")
def test_whole_incars(stage: Stage, preset: str) -> None:
    """Every tag of every stage of every preset, as written and as pymatgen reads it, whose own check finds nothing."""
    expected = WHOLE[preset][stage]
    text = compose(load_preset(preset), stage, {}, {}, "home", {"Cs": 24, "Pb": 6, "Br": 36}).text
    lines = [[word.strip() for word in line.split("=")] for line in text.splitlines()]
    assert dict(lines) == {"SYSTEM": "home", **{k: format_tag(v) for k, v in expected.items()}}
    read = Incar.from_str(text)
    read.check_params()
    assert read.pop("GGA").upper() == "PE"  # pymatgen spells it Pe
    assert read.pop("MAGMOM", []) == [[0, 0, 0]] * (66 if stage is Stage.SOC else 0)
    assert read == {"SYSTEM": "home", **{k: v for k, v in expected.items() if k not in ("GGA", "MAGMOM")}}


def test_the_two_paper_presets_differ_in_their_meshes_alone() -> None:
    letter, gamma = load_preset("paper"), load_preset("paper-gamma")
    assert letter.tags == gamma.tags
    for stage in (Stage.RELAX, Stage.STATIC, Stage.DOS):
        one, other = letter.kpoints[stage], gamma.kpoints[stage]
        assert isinstance(one, MeshSettings)
        assert isinstance(other, MeshSettings)
        assert one.mesh == other.mesh
        assert (one.style, other.style) == ("Monkhorst-Pack", "Gamma")


def test_every_bundled_preset_is_whole() -> None:
    for name in bundled_presets():
        preset = load_preset(name)
        assert set(preset.kpoints) == set(Stage)
        assert preset.summary


def test_tags_of_the_user_win_over_the_machine_and_the_preset() -> None:
    tags = compose(load_preset("paper"), Stage.RELAX, {"ncore": 4, "ENCUT": 300}, {"ENCUT": 520}, "x", {"Br": 66})
    assert (tags.tags["ENCUT"], tags.tags["NCORE"]) == (520, 4)
    assert (tags.own, tags.machine) == (("ENCUT",), ("NCORE", "ENCUT"))


def test_a_preset_of_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("dated: '2026-01-01'\nsummary: mine\nparent: paper\nincar: {all: {ENCUT: 520}}\n")
    preset = load_preset("mine.yaml", tmp_path)
    assert preset.tags[Stage.DOS] == {**PAPER[Stage.DOS], "ENCUT": 520}
    assert preset.nbands == load_preset("paper").nbands
    own.write_text("dated: '2026-01-01'\nsummary: mine\nparent: mine.yaml\n")
    with pytest.raises(SpecError, match="own parents"):
        load_preset("mine.yaml", tmp_path)
    own.write_text("dated: '2026-01-01'\nsummary: mine\nparent: paper\nkpoint: {}\n")
    with pytest.raises(SpecError, match="did you mean 'kpoints'"):
        load_preset("mine.yaml", tmp_path)


# -- folders -------------------------------------------------------------------------


def test_an_attempt_of_a_first_stage_is_whole(tmp_path: Path) -> None:
    campaign = new_campaign(
        tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="paper-gamma", engine="vasp"
    )
    attempt = write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX)
    names = {p.name for p in attempt.folder.iterdir()}
    assert names == {"INCAR", "KPOINTS", "POSCAR", "POTCAR.spec", "attempt.json"}
    assert attempt.folder == tmp_path / "c" / "K1" / "c2" / "relax" / "a01"
    poscar = Poscar.from_file(attempt.folder / "POSCAR", check_for_potcar=False)
    assert poscar.site_symbols == ["Cs", "K", "Pb", "Br"]
    assert (attempt.folder / "POTCAR.spec").read_text().split() == ["Cs_sv", "K_sv", "Pb_d", "Br"]
    kpoints = Kpoints.from_file(attempt.folder / "KPOINTS")
    assert (kpoints.style.name, tuple(kpoints.kpts[0])) == ("Gamma", (4, 4, 3))
    assert attempt.written["inputs"].keys() == names - {"attempt.json"}
    assert write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX).folder.name == "a02"


@pytest.mark.parametrize(
    ("host", "preset", "words"),
    [
        ("Cs4PbBr7", "paper", "^no host 'Cs4PbBr7'.*'Cs4PbBr6'"),
        ("folder/bad.cif", "paper", "^folder/bad.cif: cannot be read"),
        ("Cs4PbBr6", "none.yaml", "^no preset file 'none.yaml'"),
    ],
)
def test_what_a_new_campaign_lacks_is_named_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, preset: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "bad.cif").write_text("no crystal")
    with pytest.raises(KalloyError, match=words):
        new_campaign(tmp_path / "c", host, ["Cs=K:1"], cell="given", preset=preset, engine="vasp")
    assert not (tmp_path / "c").exists()


def test_a_missing_policy_of_corrections_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="laptop", engine=None)
    spec = tmp_path / "c" / "kalloy.toml"
    spec.write_text(spec.read_text().replace("[calculation]", '[calculation]\ncorrections = "none.yaml"'))
    with pytest.raises(SpecError, match=r"no file .*none\.yaml"):
        Campaign(tmp_path / "c")


def test_written_structures_keep_every_digit(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="laptop", engine=None)
    member = campaign.member("K1/c1")
    attempt = write_attempt(campaign, member, Stage.RELAX)
    structure = Poscar.from_file(attempt.folder / "POSCAR", check_for_potcar=False).structure
    assert np.abs(structure.lattice.matrix - member.crystal.lattice).max() < 1e-14
    assert np.abs(structure.frac_coords - member.crystal.positions).max() < 1e-14
    assert [s.specie.symbol for s in structure] == list(member.crystal.species)


def test_all_members_name_their_elements_in_one_order(tmp_path: Path) -> None:
    campaign = new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K"], cell="primitive", preset="laptop", engine=None)
    orders = {tuple(m.crystal.composition) for m in campaign.members.values()}
    assert orders == {("Cs", "Pb", "Br"), ("Cs", "K", "Pb", "Br"), ("K", "Pb", "Br")}
    assert len(campaign.members) == 46  # 1 + 2 + 6 + 8 + 12 + 8 + 6 + 2 + 1, the host being the first


def test_a_folder_of_another_structure_is_refused(tmp_path: Path) -> None:
    from kalloy.errors import CampaignError

    root = tmp_path / "c"
    campaign = new_campaign(root, "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="laptop", engine=None)
    write_attempt(campaign, campaign.member("K1/c1"), Stage.RELAX)
    spec = (root / "kalloy.toml").read_text().replace("Cs4PbBr6", "Cs4PbBr6-measured")
    (root / "kalloy.toml").write_text(spec)
    changed = Campaign(root)
    with pytest.raises(CampaignError, match="belongs to another structure"):
        write_attempt(changed, changed.member("K1/c1"), Stage.STATIC)


def test_warnings_name_the_stages(tmp_path: Path) -> None:
    campaign = new_campaign(
        tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="conventional", preset="paper", engine=None, dry_run=True
    )
    assert not (tmp_path / "c").exists()
    assert [w.split(":")[0] for w in warnings_of(campaign)] == ["relax, static", "dos"]
