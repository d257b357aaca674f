"""Campaigns of hosts other than the home case: files named like what comes with kalloy, moments and U by element,
left-handed cells, noble gases, crystals that are symmetric within a wider tolerance."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.errors import CampaignError, InputError, SpecError, SubstitutionError
from kalloy.parsers.result import read_result
from kalloy.structures.host import load_host
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.creation import new_campaign
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.checks.campaign import check_campaign
from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.members import in_poscar_order

FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
A = 5.64
CUBE = [[A, 0, 0], [0, A, 0], [0, 0, A]]


def _poscar(species: dict[str, list[list[float]]], lattice: Any = CUBE) -> str:
    rows = ["crystal", "1.0", *(" ".join(f"{x:.10f}" for x in row) for row in np.array(lattice))]
    rows += [" ".join(species), " ".join(str(len(sites)) for sites in species.values()), "Direct"]
    rows += [" ".join(f"{x:.10f}" for x in site) for sites in species.values() for site in sites]
    return "\n".join(rows) + "\n"


def _salt(cation: str = "Na", anion: str = "Cl", lattice: Any = CUBE, moved: float = 0.0) -> str:
    other = (np.array(FCC) + 0.5).tolist()
    other[0][2] += moved / A
    return _poscar({cation: np.array(FCC, float).tolist(), anion: other}, lattice)


def _make(folder: Path, host: Path | str, *replacements: str, extra: str = "", **asked: Any) -> Campaign:
    given = {"cell": "given", "preset": "paper-gamma", "engine": "vasp", **asked}
    new_campaign(folder, str(host), replacements or ["Na=K:1"], **given)
    spec = folder / "kalloy.toml"
    spec.write_text(spec.read_text().replace('engine = "vasp"\n', f'engine = "vasp"\n{extra}', 1))
    return Campaign(folder)


def _codes(campaign: Campaign) -> dict[str, Finding]:
    return {f.code: f for f in check_campaign(campaign)}


def _errors(campaign: Campaign) -> list[str]:
    return [f.message for f in check_campaign(campaign) if f.severity is Severity.ERROR]


# -- names -----------------------------------------------------------------------------


def test_a_file_named_like_a_bundled_host_is_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("CsPbBr3").write_text(_salt())
    campaign = _make(Path("c"), "./CsPbBr3")
    assert campaign.formula == "Na4Cl4"
    assert (tmp_path / "c" / "CsPbBr3").is_file()
    shutil.move("c", "d")
    assert Campaign(Path("d")).formula == "Na4Cl4"


@pytest.mark.parametrize("name", ["host", "K1", "refs", "report"])
def test_a_file_named_like_a_folder_of_the_campaign_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(_salt())
    with pytest.raises(InputError, match=f"'{name}' is the name of one of the campaign's own folders"):
        _make(tmp_path / "c", tmp_path / name)
    assert not (tmp_path / "c").exists()


def test_a_compressed_host_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "salt.vasp.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(InputError, match="is compressed; unpack it"):
        _make(tmp_path / "c", tmp_path / "salt.vasp.gz")


# -- what the structure is -------------------------------------------------------------


def test_a_left_handed_cell_is_the_same_crystal(tmp_path: Path) -> None:
    """Not its mirror image: the vectors are exchanged, no atom moves in space."""
    lattice = np.array([[0.0, 5.0, 0.3], [4.0, 0.0, 0.0], [0.5, 0.0, 6.0]])
    positions = np.random.default_rng(3).random((4, 3))
    sites: dict[str, list[list[float]]] = {"Na": positions[:2].tolist(), "Cl": positions[2:].tolist()}
    (tmp_path / "left.vasp").write_text(_poscar(sites, lattice))
    host = load_host(str(tmp_path / "left.vasp"))
    assert np.linalg.det(host.crystal.lattice) > 0
    assert any("left-handed" in warning for warning in host.warnings)
    for element in sites:
        own = np.array([p for s, p in zip(host.crystal.species, host.crystal.positions, strict=True) if s == element])
        apart = (own @ host.crystal.lattice)[:, None] - (np.array(sites[element]) @ lattice)[None]
        whole = apart @ np.linalg.inv(lattice)
        assert (np.abs(whole - np.rint(whole)).max(axis=2).min(axis=0) < 1e-8).all()
    campaign = _make(tmp_path / "c", tmp_path / "left.vasp")
    attempt = write_attempt(campaign, campaign.member("host"), Stage.RELAX)
    rows = [list(map(float, line.split())) for line in (attempt.folder / "POSCAR").read_text().splitlines()[2:5]]
    assert np.allclose(rows, lattice[[1, 0, 2]])


def test_elements_without_electronegativity_stand_together(tmp_path: Path) -> None:
    crystal = load_host("KBr", "conventional").crystal
    mixed = crystal.with_species(["He", "Na", "He", "Ne", "Na", "He", "Ar", "Na"])
    ordered = in_poscar_order(mixed).species
    assert ordered == ("Na", "Na", "Na", "Ar", "He", "He", "He", "Ne")
    assert len(ordered) == len(mixed)


def test_nothing_but_vacancies_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "salt.vasp").write_text(_salt())
    with pytest.raises(SubstitutionError, match="Vac4-Vac4 leaves no atom; give fewer vacancies"):
        _make(tmp_path / "c", tmp_path / "salt.vasp", "Na=vacancy:4", "Cl=vacancy:4")


def test_a_campaign_has_the_tolerance_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "noisy.vasp").write_text(_salt(moved=0.03))
    strict = _make(tmp_path / "strict", tmp_path / "noisy.vasp")
    loose = _make(tmp_path / "loose", tmp_path / "noisy.vasp", tolerance=0.1)
    assert (len(strict.configurations), len(loose.configurations)) == (3, 1)
    assert loose.configurations[0].degeneracy == 4
    assert "tolerance = 0.1\n" in (tmp_path / "loose" / "kalloy.toml").read_text()
    assert "tolerance" not in (tmp_path / "strict" / "kalloy.toml").read_text()


def test_a_host_that_was_changed_is_noticed(tmp_path: Path) -> None:
    """Before anything is computed for the old one, and after."""
    (tmp_path / "salt.vasp").write_text(_salt())
    campaign = _make(tmp_path / "c", tmp_path / "salt.vasp")
    attempt = write_attempt(campaign, campaign.member("host"), Stage.RELAX)
    assert not _errors(campaign)
    before = campaign.host_version
    copy = tmp_path / "c" / "salt.vasp"
    copy.write_text(copy.read_text().replace("5.64", "5.94"))
    changed = Campaign(tmp_path / "c")
    assert changed.host_version != before
    finding = _codes(changed)["host-changed"]
    assert finding.severity is Severity.ERROR
    assert finding.members == ("host",)
    (attempt.folder / "kalloy-end.json").write_text('{"schema": 1, "outcome": "done", "cause": null}')
    with pytest.raises(CampaignError, match=r"holds another structure than kalloy\.toml now asks for as host"):
        Index(changed).collect()


# -- tags that go by atom or species ---------------------------------------------------

MN = """
[calculation.incar]
ISPIN = 2
MAGMOM = { Mn = 5, Fe = 4.5 }
LDAU = true
LDAUL = { Mn = 2, Fe = 2 }
LDAUU = { Mn = 4, Fe = 3 }
"""


def test_moments_and_u_by_element(tmp_path: Path) -> None:
    (tmp_path / "oxide.vasp").write_text(_salt("Mn", "O"))
    campaign = _make(tmp_path / "c", tmp_path / "oxide.vasp", "Mn=Fe:1-4", extra=MN)
    assert not _errors(campaign)
    composer = Composer(campaign)
    said = {}
    for label in ("host", "Fe1/c1", "Fe4/c1"):
        tags = composer.tags(campaign.member(label), Stage.STATIC).tags
        said[label] = [tags[name] for name in ("MAGMOM", "LDAUL", "LDAUU")]
    assert said == {
        "host": ["4*5 4*0", "2 -1", "4 0.0"],
        "Fe1/c1": ["3*5 1*4.5 4*0", "2 2 -1", "4 3 0.0"],
        "Fe4/c1": ["4*4.5 4*0", "2 -1", "3 0.0"],
    }
    assert "MAGMOM = 3*5 1*4.5 4*0\n" in composer.incar(campaign.member("Fe1/c1"), Stage.RELAX)


def test_moments_by_element_of_spinors_lie_along_z(tmp_path: Path) -> None:
    (tmp_path / "oxide.vasp").write_text(_salt("Mn", "O"))
    extra = "incar = { LSORBIT = true, MAGMOM = { Mn = 5 } }\n"
    campaign = _make(tmp_path / "c", tmp_path / "oxide.vasp", "Mn=Fe:1", extra=extra)
    moments = Composer(campaign).tags(campaign.member("Fe1/c1"), Stage.STATIC).tags["MAGMOM"]
    assert str(moments).split() == ["0", "0", "5"] * 3 + ["0", "0", "0"] * 5


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("ENCUT = { Mn = 400 }", "the tag ENCUT does not go by element, as MAGMOM"),
        ("LDAUU = { Xx = 4.0 }", "no element 'Xx'"),
        ('LDAUU = { Mn = "4" }', "the LDAUU of Mn is no number"),
        ("relax = { SIGMA = { Mn = 4 } }", "the tag SIGMA does not go by element"),
    ],
)
def test_tables_that_mean_nothing(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "oxide.vasp").write_text(_salt("Mn", "O"))
    with pytest.raises(SpecError, match=words):
        _make(tmp_path / "c", tmp_path / "oxide.vasp", "Mn=Fe:1", extra=f"incar = {{ {table} }}\n")


def test_a_list_by_species_cannot_fit_all_members(tmp_path: Path) -> None:
    (tmp_path / "oxide.vasp").write_text(_salt("Mn", "O"))
    extra = "incar = { LDAU = true, LDAUL = [2, -1], LDAUU = [4.0, 0.0], LDAUJ = [0.0, 0.0] }\n"
    campaign = _make(tmp_path / "c", tmp_path / "oxide.vasp", "Mn=Fe:1", extra=extra)
    finding = _codes(campaign)["species-length"]
    assert "give it by element" in str(finding.mend)
    # Of the end member alone the list fits, and means another element.
    campaign = _make(tmp_path / "d", tmp_path / "oxide.vasp", "Mn=Fe:4", extra=extra)
    assert not _errors(campaign)


def test_moments_atom_by_atom_are_doubted_in_configurations(tmp_path: Path) -> None:
    (tmp_path / "oxide.vasp").write_text(_salt("Mn", "O"))
    extra = 'incar = { ISPIN = 2, MAGMOM = "5 5 -5 -5 4*0" }\n'
    campaign = _make(tmp_path / "c", tmp_path / "oxide.vasp", "Mn=Fe:1", extra=extra)
    finding = _codes(campaign)["moments-by-atom"]
    assert finding.severity is Severity.WARNING
    assert "atoms of Mn" in finding.message
    extra = 'incar = { ISPIN = 2, MAGMOM = "4*5 4*0" }\n'
    alike = _make(tmp_path / "d", tmp_path / "oxide.vasp", "Mn=Fe:4", extra=extra)
    assert "moments-by-atom" not in _codes(alike)


def test_configurations_chosen_by_energy_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "salt.vasp").write_text(_salt())
    wrong = "incar = { dos = { NSW = 5, IBRION = 2 } }\n"
    for name, choice in {"a": "lowest = 1", "b": "within_meV = 20", "c": "weight = 0.9, temperature = 300"}.items():
        _make(tmp_path / name, tmp_path / "salt.vasp", extra=wrong)
        spec = tmp_path / name / "kalloy.toml"
        spec.write_text(spec.read_text().replace("host = true, lowest = 1", choice))
        finding = _codes(Campaign(tmp_path / name))["moves-when-static"]
        assert finding.members == ("K1/c1",), choice


MNO = Path(__file__).parents[3] / "shared" / "vasp" / "vise_MnO_spin"


@pytest.mark.skipif(not MNO.is_dir(), reason="the real calculations are not beside this checkout (../shared/vasp)")
@pytest.mark.parametrize(("asked", "differs"), [(2.0, True), (5.0, False)])
def test_a_calculation_with_another_u_is_not_adopted(tmp_path: Path, asked: float, differs: bool) -> None:
    """A real MnO of VASP with U = 5 eV on Mn."""
    crystal = read_result(MNO).crystal
    assert crystal is not None
    sites: dict[str, list[list[float]]] = {}
    for species, position in zip(crystal.species, crystal.positions, strict=True):
        sites.setdefault(species, []).append(position.tolist())
    (tmp_path / "mno.vasp").write_text(_poscar(sites, crystal.lattice))
    shutil.copytree(MNO, tmp_path / "old")
    extra = f"incar = {{ LDAU = true, LDAUL = {{ Mn = 2 }}, LDAUU = {{ Mn = {asked} }} }}\n"
    _make(tmp_path / "c", tmp_path / "mno.vasp", "O=S:1", extra=extra)
    words = ["adopt", str(tmp_path / "old"), "--campaign", str(tmp_path / "c"), "--dry-run"]
    said = CliRunner().invoke(cli, words).output
    assert ("Hubbard U of Mn" in said) is differs
    assert "LDAU " not in said
