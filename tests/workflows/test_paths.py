"""One band path for a whole set: whose it is, that it fits everybody, and its three ways into KPOINTS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.io.vasp.inputs import Kpoints
from scipy.spatial.transform import Rotation

from kalloy.errors import CampaignError, InputError, SpecError
from kalloy.structures.cells import supercell
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.substitution import parse_replacement
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.completion import complete
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.kpoints import kpoints_files, line_text
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.path import BandPath, band_path
from kalloy.workflows.inputs.poscar import poscar_text
from kalloy.workflows.inputs.preset import LineSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.steps import select, selected

HEXAGONAL = [("Γ", "M"), ("M", "K"), ("K", "Γ"), ("Γ", "A"), ("A", "L"), ("L", "H"), ("H", "A"), ("L", "M"), ("H", "K")]
SCF = {"mesh": [2, 2, 2], "style": "Gamma"}


def test_the_path_of_a_p321_member_is_the_hexagonal_one() -> None:
    space = ConfigurationSpace(load_host("Cs4PbBr6"), [parse_replacement("Cs=K:3")])
    (content,) = space.contents
    member = next(c for c in space.configurations(content) if c.space_group.symbol == "P321")
    path = band_path(member.crystal(), member.label)
    assert (path.member, path.space_group) == (member.label, "P321")
    # Γ-M-K-Γ-A-L-H-A, L-M and K-H, which may be walked either way.
    assert [frozenset(s) for s in path.segments] == [frozenset(s) for s in HEXAGONAL]
    assert path.points["M"] == pytest.approx((0.5, 0, 0))
    assert path.points["K"] == pytest.approx((1 / 3, 1 / 3, 0))
    assert path.points["H"] == pytest.approx((1 / 3, 1 / 3, 0.5))
    assert BandPath.from_json(json.loads(json.dumps(path.to_json()))) == path


def test_a_path_is_in_the_basis_of_the_poscar_as_written() -> None:
    """The same crystal in another cell: other fractional coordinates, the same Cartesian points up to the group."""
    primitive = load_host("Cs4PbBr6", cell="primitive").crystal
    turned = supercell(primitive, np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]))
    one, other = band_path(primitive, "one"), band_path(turned, "other")
    assert one.segments == other.segments
    assert one.points != other.points
    for label, point in one.points.items():
        length = np.linalg.norm(np.array(point) @ primitive.reciprocal)
        assert np.linalg.norm(np.array(other.points[label]) @ turned.reciprocal) == pytest.approx(length), label


def test_line_mode_is_read_back_by_pymatgen() -> None:
    path = band_path(load_host("Cs4PbBr6", cell="primitive").crystal, "host")
    text = line_text(path, 7)
    assert text.splitlines()[:6] == [
        "path of host (R-3c), the same for the whole set",
        "7",
        "Line_mode",
        "Reciprocal",
        "0.0 0.0 0.0 ! GAMMA",
        f"{' '.join(map(str, path.points['T']))} ! T",
    ]
    read = Kpoints.from_str(text)
    assert read.style == Kpoints.supported_modes.Line_mode
    assert read.num_kpts == 7
    assert np.allclose(read.kpts, [point for _, point in path.ends])
    assert read.labels == [label.replace("Γ", "GAMMA") for label, _ in path.ends]


# -- the same directions for everybody -----------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.floats(-0.02, 0.02), min_size=6, max_size=6),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: float(np.linalg.norm(v)) > 0.1),
    st.floats(0, 90),
)
def test_strain_is_no_other_cell_but_a_turn_is(strain: list[float], axis: list[float], degrees: float) -> None:
    path = band_path(load_host("Cs4PbBr6").crystal, "K1/c1")
    xx, yy, zz, yz, xz, xy = strain
    stretch = np.eye(3) + np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()
    lattice = np.array(path.lattice) @ stretch
    path.require_same_directions(lattice, "K1/c2")
    if abs(degrees - 2) > 1e-6:
        if degrees < 2:
            path.require_same_directions(lattice @ turn, "K1/c2")
        else:
            with pytest.raises(CampaignError, match=rf"turned by {degrees:.1f}°"):
                path.require_same_directions(lattice @ turn, "K1/c2")


@pytest.mark.parametrize("larger", [0.85, 1.0, 1.12])
def test_a_cell_that_is_larger_all_round_has_the_same_lines(larger: float) -> None:
    """KCl's lattice constant is 12 % above NaCl's, and its L is where NaCl's is."""
    host = load_host("Cs4PbBr6").crystal
    path = band_path(host, "host")
    path.require_same_directions(larger * np.asarray(host.lattice), "K8/c1")
    with pytest.raises(CampaignError, match=r"at the same volume its cell is strained by 1[12]\.\d%"):
        path.require_same_directions(larger * np.asarray(host.lattice) @ np.diag([1, 1, 1.18]), "K8/c1")


@pytest.mark.parametrize(
    "other", [[[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 2]]]
)
def test_other_cells_are_refused(other: list[list[int]]) -> None:
    host = load_host("Cs4PbBr6").crystal
    with pytest.raises(
        CampaignError, match="the band path of host does not fit refs/KBr: at the same volume its cell is"
    ):
        band_path(host, "host").require_same_directions(np.array(other) @ host.lattice, "refs/KBr")


# -- files in the three ways ------------------------------------------------------------------


def _campaign(folder: Path, lines: dict[str, Any], steps: str | None = None, stage: str = "bands") -> Campaign:
    folder.mkdir()
    settings = {"dated": "2026-01-01", "summary": "a test", "parent": "laptop", "kpoints": {stage: lines}}
    engine = "vasp" if stage == "hse" else "gpaw"
    (folder / "own.yaml").write_text(json.dumps(settings))
    steps = steps or '[[step]]\nstages = ["static"]\n[[step]]\nstages = ["bands"]\non = { host = true, lowest = 1 }\n'
    (folder / "kalloy.toml").write_text(
        '[host]\nstructure = "Cs4PbBr6"\ncell = "primitive"\n'
        '[[substitution]]\nreplace = "Cs"\nwith = "K"\ncount = [1]\n'
        f'[calculation]\npreset = "own.yaml"\nengine = "{engine}"\n{steps}'
    )
    return Campaign(folder)


def _finished(campaign: Campaign, member: str) -> Attempt:
    """A static calculation that is done, as far as its structure goes."""
    attempt = write_attempt(campaign, campaign.member(member), Stage.STATIC)
    (attempt.folder / "CONTCAR").write_text(poscar_text(campaign.member(member).crystal, member))
    (attempt.folder / "gpaw.gpw").write_text("a density")
    attempt.finish(Outcome.DONE)
    return attempt


def test_kpoints_opt_lies_beside_the_mesh() -> None:
    host = load_host("Cs4PbBr6", cell="primitive").crystal
    asked = LineSettings.model_validate({"line_points": 4, "as": "kpoints-opt", "mesh": SCF})
    path = band_path(host, "host")
    files = kpoints_files(asked, Mesh.uniform((2, 2, 2), "Gamma"), host, path, "own: hse")
    assert files == {"KPOINTS": "own: hse\n0\nGamma\n2 2 2\n", "KPOINTS_OPT": line_text(path, 4)}


def test_kpoints_opt_is_vasps_alone(tmp_path: Path) -> None:
    campaign = _campaign(tmp_path / "c", {"line_points": 3, "as": "kpoints-opt", "mesh": SCF})
    member = campaign.member("K1/c1")
    with pytest.raises(InputError, match="KPOINTS_OPT, which is VASP's alone"):
        write_attempt(campaign, member, Stage.BANDS, path=band_path(member.crystal, "K1/c1"))
    assert not (tmp_path / "c" / "K1").exists()


def test_a_zero_weight_list_is_written_once_the_structure_is_known(tmp_path: Path) -> None:
    campaign = _campaign(tmp_path / "c", {"line_points": 3, "as": "zero-weight", "mesh": SCF})
    member = campaign.member("K1/c2")
    _finished(campaign, "K1/c2")
    path = band_path(member.crystal, "K1/c2")
    attempt = write_attempt(campaign, member, Stage.BANDS, path=path)
    assert not (attempt.folder / "KPOINTS").exists()
    assert attempt.written["asked"] == Composer(campaign).asked(member, Stage.BANDS, path)
    complete(attempt)
    text = (attempt.folder / "KPOINTS").read_text()
    read = Kpoints.from_str(text)
    assert read.comment == (
        f"own: bands, Gamma 2x2x2, irreducible, then the path of K1/c2 ({path.space_group}), the same for the whole set"
    )
    weights = np.array(read.kpts_weights)
    walk = [
        point for segment in path.segments for point in np.linspace(path.points[segment[0]], path.points[segment[1]], 3)
    ]
    assert np.allclose(np.array(read.kpts)[weights == 0], walk)
    assert weights.sum() == 8
    scf = np.array(read.kpts)[weights > 0]
    assert len(scf) < 8
    assert len(read.kpts) == len(scf) + len(walk)
    labels = [label for segment in path.segments for label in (segment[0], None, segment[1])]
    assert read.labels == [None] * len(scf) + [label and label.replace("Γ", "GAMMA") for label in labels]
    taken = json.loads((attempt.folder / "taken.json").read_text())["taken"][-1]
    assert taken == {
        "what": "k-points",
        "file": "KPOINTS",
        "sha256": taken["sha256"],
        "irreducible": len(scf),
        "of": 8,
        "weightless": len(walk),
    }
    (attempt.folder / "KPOINTS").unlink()
    (attempt.folder / "taken.json").unlink()
    complete(attempt)  # killed between the two files: the same again
    assert (attempt.folder / "KPOINTS").read_text() == text


def test_a_list_holds_the_members_own_irreducible_points(tmp_path: Path) -> None:
    """Symmetry of each member's own structure, not of the host or of the path's owner."""
    campaign = _campaign(tmp_path / "c", {"line_points": 2, "as": "zero-weight", "mesh": SCF})
    path = band_path(campaign.member("host").crystal, "host")
    found = {}
    for label in ("host", "K1/c1", "K1/c2"):
        _finished(campaign, label)
        attempt = write_attempt(campaign, campaign.member(label), Stage.BANDS, path=path)
        complete(attempt)
        weights = Kpoints.from_file(attempt.folder / "KPOINTS").kpts_weights or []
        found[label] = sum(w > 0 for w in weights)
        assert sum(weights) == 8
    # R-3c, C2 and R32.
    assert found == {"host": 4, "K1/c1": 6, "K1/c2": 4}


def test_completion_refuses_a_structure_that_the_path_does_not_fit(tmp_path: Path) -> None:
    campaign = _campaign(tmp_path / "c", {"line_points": 3})
    member = campaign.member("K1/c1")
    static = _finished(campaign, "K1/c1")
    attempt = write_attempt(campaign, member, Stage.BANDS, path=band_path(member.crystal, "K1/c1"))
    turned = supercell(member.crystal, np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    (static.folder / "CONTCAR").write_text(poscar_text(turned, "turned"))
    with pytest.raises(CampaignError, match="the band path of K1/c1 does not fit K1/c1"):
        complete(attempt)
    assert not (attempt.folder / "taken.json").exists()


def test_writing_refuses_a_member_that_the_path_does_not_fit(tmp_path: Path) -> None:
    campaign = _campaign(tmp_path / "c", {"line_points": 3})
    hexagonal = band_path(load_host("Cs4PbBr6").crystal, "another")
    with pytest.raises(CampaignError, match="the band path of another does not fit K1/c1"):
        write_attempt(campaign, campaign.member("K1/c1"), Stage.BANDS, path=hexagonal)
    assert not list((tmp_path / "c").glob("K1/c1/bands/a*"))


# -- whose path --------------------------------------------------------------------------


PATH_OF = """
[[step]]
stages = ["static"]

[[step]]
stages = ["bands"]
on = {{ members = ["K1/c1"] }}
path_of = "{}"
"""


def test_the_path_is_that_of_a_named_member(tmp_path: Path) -> None:
    campaign = _campaign(tmp_path / "c", {"line_points": 3}, PATH_OF.format("K1/c2"))
    for label in campaign.members:
        _finished(campaign, label)
    select(campaign, 1)
    made = select(campaign, 2)
    assert made.members == ("K1/c1",)
    assert made.path == band_path(campaign.member("K1/c2").crystal, "K1/c2")
    assert selected(campaign, 2) == made
    spec = tmp_path / "c" / "kalloy.toml"
    spec.write_text(spec.read_text().replace('path_of = "K1/c2"', 'path_of = "host"'))
    with pytest.raises(CampaignError, match="by another rule"):
        select(Campaign(tmp_path / "c"), 2)


def test_whose_path_is_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no member 'K1/c3'"):
        _campaign(tmp_path / "a", {"line_points": 3}, PATH_OF.format("K1/c3"))
    static = '[[step]]\nstages = ["static"]\npath_of = "host"\n'
    with pytest.raises(SpecError, match="step 1 has a path_of and no stage on a path"):
        _campaign(tmp_path / "b", {"line_points": 3}, static)


@pytest.mark.parametrize("owner", ["", 'path_of = "K1/c2"\n'])
@pytest.mark.parametrize("stage", ["bands", "hse"])
def test_a_path_and_what_it_follows_from_are_not_one_step(tmp_path: Path, stage: str, owner: str) -> None:
    """It is laid through a finished static structure, which no step of both would ever come to."""
    lines = {"line_points": 3, "as": "zero-weight", "mesh": SCF} if stage == "hse" else {"line_points": 3}
    together = f'[[step]]\nstages = ["static", "{stage}"]\n{owner}'
    with pytest.raises(SpecError, match=f"step 1 asks for '{stage}' beside its parent 'static'.*a later"):
        _campaign(tmp_path / "c", lines, together, stage=stage)
    steps = (
        f'[[step]]\nstages = ["static"]\n[[step]]\nstages = ["{stage}"]\non = {{ host = true, references = true }}\n'
    )
    with pytest.raises(SpecError, match="step 2 takes reference phases along a band path"):
        _campaign(tmp_path / "d", lines, steps + owner, stage=stage)


@pytest.mark.parametrize(
    "bands", [{"line_points": 3, "mesh": SCF}, {"line_points": 3, "as": "zero-weight"}, {"line_points": 1}, SCF]
)
def test_lines_that_say_too_little_or_too_much(tmp_path: Path, bands: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="bands"):
        _campaign(tmp_path / "c", bands)


@pytest.mark.parametrize(
    ("bands", "complaint"),
    [
        ({"line_point": 3}, "unknown key 'kpoints.bands.line_point': did you mean 'line_points'?"),
        ({"line_points": 3, "maesh": SCF}, "unknown key 'kpoints.bands.maesh': did you mean 'mesh'?"),
        ({"mesh": [2, 2, 2], "styl": "Gamma"}, "unknown key 'kpoints.bands.styl': did you mean 'style'?"),
        ({"mesh": [2, 2, 2]}, "'kpoints.bands.style' is missing"),
        ({"line_points": 3, "as": "zero_weight"}, "'kpoints.bands.as' is 'zero_weight': input should be 'line', "),
        ({"line_points": 3, "as": "zero-weight", "mesh": {**SCF, "kspacing": 0.2}}, "one of them"),
    ],
)
def test_complaints_name_the_key(tmp_path: Path, bands: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError) as error:
        _campaign(tmp_path / "c", bands)
    assert complaint in str(error.value)
