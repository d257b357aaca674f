"""k-meshes are exact: against brute force over points, against VASP's own lists, and as whole KPOINTS files."""

from __future__ import annotations

import gzip
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.io.vasp.inputs import Kpoints

from kalloy.errors import InputError
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.workflows.inputs.equivalence import equivalent_mesh
from kalloy.workflows.inputs.expected import expected_points, mesh_from
from kalloy.workflows.inputs.kpoints import generating_text, host_mesh, mesh_text, mesh_warnings
from kalloy.workflows.inputs.mesh import Mesh, Row, Style
from kalloy.workflows.inputs.preset import LineSettings, MeshSettings, load_preset
from kalloy.workflows.inputs.reduction import SymmetryTags, irreducible, rotations_of
from kalloy.workflows.inputs.stage import Stage

Array = NDArray[np.float64]
STYLES: tuple[Style, ...] = ("Monkhorst-Pack", "Gamma")
DIVISIONS = st.tuples(*[st.integers(1, 5)] * 3)


def _same(one: Array, other: Array) -> NDArray[np.bool_]:
    """Shape (…): whether fractional points are the same, reciprocal vectors apart."""
    gap = one - other
    return np.asarray(np.abs(gap - np.rint(gap)).max(axis=-1) < 1e-6)


def _by_hand(divisions: Row, style: Style) -> Array:
    """The formulae of VASP's manual, point by point; fractional."""
    shifted = style == "Monkhorst-Pack"
    # Monkhorst and Pack: (2r - N - 1) / 2N for r = 1 … N; Γ-centred: n / N.
    axes = [[(2 * i + 1 - n) / (2 * n) if shifted else i / n for i in range(n)] for n in divisions]
    return np.array(list(product(*axes)))


def _members(points: Array, mesh: Array) -> NDArray[np.bool_]:
    return np.asarray(_same(points[:, None], mesh[None]).any(axis=1))


@settings(max_examples=60)
@given(DIVISIONS, st.sampled_from(STYLES))
def test_uniform_meshes_are_those_of_the_manual(divisions: Row, style: Style) -> None:
    mesh = Mesh.uniform(divisions, style)
    by_hand = _by_hand(divisions, style)
    points = mesh.points()
    assert len(points) == len(by_hand) == mesh.count
    assert _members(by_hand, points).all()
    assert (points > -0.5).all()
    assert (points <= 0.5).all()
    assert mesh.divisions == divisions
    assert mesh.holds_gamma == _members(np.zeros((1, 3)), by_hand).all()


@st.composite
def _matrices(draw: st.DrawFn, low: int = -3, high: int = 3, most: int = 24) -> NDArray[np.int64]:
    matrix = np.array(draw(st.lists(st.integers(low, high), min_size=9, max_size=9))).reshape(3, 3)
    volume = round(float(np.linalg.det(matrix)))
    assume(volume and abs(volume) <= most)
    return matrix if volume > 0 else matrix[[1, 0, 2]]


@st.composite
def _unimodular(draw: st.DrawFn) -> NDArray[np.int64]:
    """Products of shears and exchanges."""
    matrix = np.eye(3, dtype=np.int64)
    for row, column, times in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-2, 2)), max_size=5)
    ):
        step = np.eye(3, dtype=np.int64)
        step[row, column] += times if row != column else 0
        matrix = matrix @ step[draw(st.permutations([0, 1, 2]))]
    return matrix


@settings(max_examples=100)
@given(_matrices(), st.tuples(*[st.integers(0, 1)] * 3), _unimodular())
def test_a_mesh_does_not_depend_on_its_generating_vectors(
    matrix: NDArray[np.int64], halves: Row, change: NDArray[np.int64]
) -> None:
    mesh = Mesh.of(matrix, np.array(halves))
    # P = P' U with G' = U G: the shift h G / 2 = h U⁻¹ G' / 2.
    assert Mesh.of(matrix @ change, np.array(halves) @ change) == mesh
    points = mesh.points()
    assert len(points) == mesh.count == round(np.linalg.det(matrix))
    assert _same(points[:, None], points[None]).sum() == mesh.count
    inside = points @ matrix - np.array(halves) / 2
    assert np.abs(inside - np.rint(inside)).max() < 1e-9


@settings(max_examples=80)
@given(DIVISIONS, st.sampled_from(STYLES), st.lists(_unimodular(), min_size=1, max_size=4), st.booleans())
def test_mesh_symmetry_against_brute_force(
    divisions: Row, style: Style, rotations: list[NDArray[np.int64]], inverted: bool
) -> None:
    turns = [-r if inverted else r for r in rotations]
    points = _by_hand(divisions, style)
    kept = [_members(points @ np.linalg.inv(turn), points).mean() for turn in turns]
    mesh = Mesh.uniform(divisions, style)
    assert mesh.share_off(np.array(turns)) == pytest.approx(1 - np.mean(kept))
    assert mesh.keeps(np.array(turns)) == (min(kept) == 1)


@settings(max_examples=60)
@given(_matrices(), st.tuples(*[st.integers(0, 1)] * 3), _unimodular())
def test_images_against_brute_force(matrix: NDArray[np.int64], halves: Row, turn: NDArray[np.int64]) -> None:
    mesh = Mesh.of(matrix, np.array(halves))
    points = mesh.points()
    alike = _same((points @ np.linalg.inv(turn))[:, None], points[None])
    expected = np.where(alike.any(axis=1), alike.argmax(axis=1), -1)
    assert mesh.images(turn).tolist() == expected.tolist()


# -- the same points in another cell ---------------------------------------------------


@st.composite
def _lattices(draw: st.DrawFn) -> Array:
    flat = draw(st.lists(st.floats(-1, 1), min_size=9, max_size=9))
    return np.diag([4.0, 5.0, 6.5]) + np.reshape(flat, (3, 3))


def _holds(mesh: Mesh, lattice: Array, points: Array) -> bool:
    """Whether a mesh of a lattice holds all these Cartesian points (1/Å), by looking for each among its points."""
    return bool(_members(points @ lattice.T, mesh.points()).all())


@settings(max_examples=120)
@given(_lattices(), _matrices(-2, 2, 4), DIVISIONS, st.sampled_from(STYLES), st.booleans())
def test_equivalent_meshes_against_brute_force(
    lattice: Array, supercell: NDArray[np.int64], divisions: Row, style: Style, folding: bool
) -> None:
    """From a cell into its supercell (``folding``) and back: the same Cartesian points, or none can be."""
    larger = supercell @ lattice
    start, end = (lattice, larger) if folding else (larger, lattice)
    mesh = Mesh.uniform(divisions, style)
    there = mesh.points() @ np.linalg.inv(start).T
    period = np.linalg.inv(end).T
    try:
        found = equivalent_mesh(mesh, start, end)
    except InputError as error:
        assert folding
        # Moved by a reciprocal vector of the supercell, some point falls off the mesh: no mesh there can hold them.
        assert not all(_holds(mesh, start, there + vector) for vector in period)
        nearest = re.search(r"nearest that has one is (\d+)x(\d+)x(\d+)", str(error))
        assert nearest
        n1, n2, n3 = map(int, nearest.groups())
        equivalent_mesh(Mesh.uniform((n1, n2, n3), style), start, end)
        return
    assert _holds(found, end, there)
    here = found.points() @ period
    assert _holds(mesh, start, here)
    assert found.count * abs(np.linalg.det(period)) ** -1 == pytest.approx(
        mesh.count * abs(np.linalg.det(np.linalg.inv(start))) ** -1
    )
    back = equivalent_mesh(found, end, start)
    assert back == mesh


def test_uniform_stays_uniform_where_it_can() -> None:
    lattice = np.diag([4.0, 5.0, 6.0])
    mesh = equivalent_mesh(Mesh.uniform((4, 4, 3), "Gamma"), lattice, np.diag([2, 1, 3]) @ lattice)
    assert (mesh.divisions, mesh.style) == ((2, 4, 1), "Gamma")


def test_cells_that_have_nothing_in_common_are_refused() -> None:
    with pytest.raises(InputError, match="no common multiple"):
        equivalent_mesh(Mesh.uniform((2, 2, 2), "Gamma"), np.eye(3) * 4, np.eye(3) * np.pi)
    with pytest.raises(InputError, match="left-handed"):
        equivalent_mesh(Mesh.uniform((2, 2, 2), "Gamma"), np.eye(3) * 4, np.diag([4, 4, -4]))


# -- files ---------------------------------------------------------------------------


def _read_as_vasp(text: str) -> Array:
    """Every point that VASP makes of a mesh's KPOINTS, from the words of its manual; fractional."""
    read = Kpoints.from_str(text)
    shift = np.array(read.kpts_shift, float)
    if read.style.name in ("Gamma", "Monkhorst"):
        divisions = read.kpts[0]
        base = _by_hand(divisions, "Gamma" if read.style.name == "Gamma" else "Monkhorst-Pack")
        return np.asarray(base + shift / divisions)
    vectors = np.array(read.kpts)
    n = np.array(list(product(range(-12, 13), repeat=3)))
    points = (n + shift) @ vectors
    return np.unique(np.round(points % 1, 8) % 1, axis=0)


def _kpoints(settings: MeshSettings, host: Crystal, comment: str) -> str:
    return mesh_text(host_mesh(settings, host), host, f"{comment}, {settings.plain_words}")


def test_whole_files() -> None:
    host, primitive = load_host("Cs4PbBr6").crystal, load_host("Cs4PbBr6", cell="primitive").crystal
    stated = MeshSettings(mesh=(4, 4, 3), style="Monkhorst-Pack")
    assert _kpoints(stated, host, "paper: relax") == "paper: relax, Monkhorst-Pack 4x4x3\n0\nMonkhorst\n4 4 3\n"
    spaced = MeshSettings(kspacing=0.15, style="Gamma")
    expected = "x: dos, Gamma by KSPACING = 0.15 1/A (with 2pi) of the host's cell\n0\nGamma\n4 4 3\n"
    assert _kpoints(spaced, host, "x: dos") == expected
    moved = MeshSettings(mesh=(4, 4, 3), style="Monkhorst-Pack", of="conventional")
    assert _kpoints(moved, primitive, "x").splitlines() == [
        "x, Monkhorst-Pack 4x4x3 of the conventional cell",
        "0",
        "Reciprocal",
        "0.1111111111111111 0.1111111111111111 0.1111111111111111",
        "-0.16666666666666666 0.08333333333333333 0.08333333333333333",
        "0.08333333333333333 -0.16666666666666666 0.08333333333333333",
        "0.0 0.0 0.5",
    ]
    centred = _kpoints(MeshSettings(mesh=(4, 4, 3), style="Gamma", of="conventional"), primitive, "x")
    assert centred.splitlines()[-1] == "0.0 0.0 0.0"
    assert Kpoints.from_str(centred).kpts_shift == (0, 0, 0)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("divisions", [(4, 4, 3), (3, 2, 1)])
def test_the_primitive_cell_gets_the_conventional_cells_points(divisions: Row, style: Style) -> None:
    conventional, primitive = load_host("Cs4PbBr6").crystal, load_host("Cs4PbBr6", cell="primitive").crystal
    text = _kpoints(MeshSettings(mesh=divisions, style=style, of="conventional"), primitive, "x")
    written = _read_as_vasp(text)
    stated = _by_hand(divisions, style)
    cartesian = stated @ conventional.reciprocal
    assert _members(cartesian @ primitive.lattice.T, written).all()
    assert _members(written @ primitive.reciprocal @ conventional.lattice.T, stated).all()
    assert len(written) == 3 * len(stated)


@settings(max_examples=40)
@given(_lattices(), _matrices(-2, 2, 12), st.tuples(*[st.integers(0, 1)] * 3))
def test_generating_vectors_make_the_mesh(lattice: Array, matrix: NDArray[np.int64], halves: Row) -> None:
    mesh = Mesh.of(matrix, np.array(halves))
    written = _read_as_vasp(generating_text(mesh, Crystal(lattice, ("Si",), np.zeros((1, 3))), "any"))
    assert len(written) == mesh.count
    assert _members(written, mesh.points()).all()


@settings(max_examples=40)
@given(_lattices(), st.floats(0.05, 2.0))
def test_spacing_is_vasps(lattice: Array, spacing: float) -> None:
    """No two neighbours are further apart than asked, and one subdivision fewer would be too few."""
    crystal = Crystal(lattice, ("Si",), np.zeros((1, 3)))
    mesh = host_mesh(MeshSettings(kspacing=spacing, style="Gamma"), crystal)
    assert mesh.divisions
    lengths = 2 * np.pi * np.linalg.norm(crystal.reciprocal, axis=1)
    for n, length in zip(mesh.divisions, lengths, strict=True):
        assert length / n <= spacing * (1 + 1e-5)
        assert n == 1 or length / (n - 1) > spacing * (1 - 1e-5)


def test_a_mesh_beyond_reason_is_refused() -> None:
    with pytest.raises(InputError, match="more than 100,000 points"):
        host_mesh(MeshSettings(kspacing=0.003, style="Gamma"), load_host("Cs4PbBr6").crystal)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"style": "Gamma"}, "one of them"),
        ({"style": "Gamma", "mesh": [2, 2, 2], "kspacing": 0.2}, "one of them"),
        ({"style": "Gamma", "mesh": [2, 2, 2], "of": "bigger"}, "no cell"),
        ({"style": "Gamma", "kspacing": 0}, "greater than 0"),
    ],
)
def test_meshes_that_say_too_little_or_too_much(raw: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MeshSettings.model_validate(raw)


def test_the_manual_shows_what_is_written() -> None:
    """docs/inputs.md: its presets are valid, and the file in it is the one that comes out."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "inputs.md").read_text()
    shown = [yaml.safe_load(block)["kpoints"] for block in re.findall(r"```yaml\n(kpoints:.*?)```", page, re.DOTALL)]
    assert len(shown) == 2
    for settings_ in (s for block in shown for s in block.values()):
        kind = LineSettings if "line_points" in settings_ else MeshSettings
        kind.model_validate(settings_)
    primitive = load_host("Cs4PbBr6", cell="primitive").crystal
    asked = MeshSettings(mesh=(4, 4, 3), style="Monkhorst-Pack", of="conventional")
    assert f"```text\n{_kpoints(asked, primitive, 'paper: relax')}```" in page


def _by_the_engine(folder: Path, text: str) -> Array:
    from kalloy.workflows.gpaw_engine.kpoints import GeneratedMesh, read_kpoints
    from kalloy.workflows.gpaw_engine.kpoints import Mesh as EngineMesh

    (folder / "KPOINTS").write_text(text)
    read = read_kpoints(folder / "KPOINTS")
    assert isinstance(read, GeneratedMesh | EngineMesh)
    return read.points()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("cell", ["primitive", "conventional", "1 1 2"])
def test_the_free_engine_reads_the_same_points(tmp_path: Path, style: Style, cell: str) -> None:
    host = load_host("Cs4PbBr6", cell=cell).crystal
    asked = MeshSettings(mesh=(4, 3, 2), style=style, of="given" if cell == "1 1 2" else "conventional")
    points = host_mesh(asked, host).points()
    read = _by_the_engine(tmp_path, _kpoints(asked, host, "x"))
    assert len(read) == len(points)
    assert _members(read, points).all()


def test_the_ranking_knows_a_generated_mesh_by_its_points() -> None:
    """Irreducible points differ from member to member; the mesh that was reduced does not."""
    from kalloy.parsers.model import KPoints
    from kalloy.parsers.sections import kpoints
    from kalloy.workflows.results import _mesh

    def said(vectors: Array, shift: Array, points: int) -> KPoints:
        rows = "".join(
            f'<v name="genvec{i + 1}"> {" ".join(f"{x:.8f}" for x in v)} </v>' for i, v in enumerate(vectors)
        )
        shifted = f'<v name="shift"> {" ".join(f"{x:.8f}" for x in shift)} </v>'
        listed = "".join("<v> 0.0 0.0 0.0 </v>" for _ in range(points))
        weights = "".join("<v> 0.1 </v>" for _ in range(points))
        return kpoints(
            f'<kpoints><generation param="Reciprocal">{rows}{shifted}</generation><varray name="kpointlist" >{listed}'
            f'</varray><varray name="weights" >{weights}</varray></kpoints>'.encode()
        )

    mesh = Mesh.of(np.array([[4, 0, 1], [0, 4, 2], [0, 0, 3]]), np.array([1, 0, 1]))
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    halves = np.array(mesh.halves) / 2
    one = _mesh(said(mesh.generators, halves, 7))
    assert one == _mesh(said(np.linalg.inv(change) @ mesh.generators, halves @ change, 12))
    assert one != _mesh(said(mesh.generators, 0 * halves, 7))
    assert one
    assert one.startswith("generated 48 points")


# -- warnings -------------------------------------------------------------------------


def test_the_papers_mesh_is_one_warning_with_both_facts_and_is_written_as_stated() -> None:
    host = load_host("Cs4PbBr6").crystal
    paper, gamma = load_preset("paper").kpoints, load_preset("paper-gamma").kpoints
    (line,) = mesh_warnings({s: paper[s] for s in (Stage.RELAX, Stage.STATIC)}, host)
    assert line == (
        "relax, static: the Monkhorst–Pack mesh 4x4x3 breaks the symmetry of the lattice (67% of the images of its "
        "points fall off it) and holds no Γ; a Γ-centred mesh would not"
    )
    assert mesh_warnings({Stage.DOS: paper[Stage.DOS]}, host) == [
        "dos: the Monkhorst–Pack mesh 9x9x6 holds no Γ; a Γ-centred mesh would not"
    ]
    assert mesh_warnings(gamma, host) == []
    relax = paper[Stage.RELAX]
    assert isinstance(relax, MeshSettings)
    assert _kpoints(relax, host, "p").splitlines()[2:] == ["Monkhorst", "4 4 3"]


def test_the_mesh_that_is_advised_has_no_fault() -> None:
    """On the rhombohedral cell a Γ-centred 4x4x3 is no better than a shifted one: equal subdivisions are."""
    primitive = load_host("Cs4PbBr6", cell="primitive").crystal
    for style in STYLES:
        (line,) = mesh_warnings({Stage.RELAX: MeshSettings(mesh=(4, 4, 3), style=style)}, primitive)
        assert line.endswith("; the Γ-centred mesh 4x4x4 would not")
    assert mesh_warnings({Stage.RELAX: MeshSettings(mesh=(4, 4, 4), style="Gamma")}, primitive) == []
    moved = MeshSettings(mesh=(4, 4, 3), style="Monkhorst-Pack", of="conventional")
    (line,) = mesh_warnings({Stage.RELAX: moved}, primitive)
    assert line.endswith("; a Γ-centred mesh would not")
    assert mesh_warnings({Stage.STATIC: moved.model_copy(update={"style": "Gamma"})}, primitive) == []


def test_a_mesh_beside_a_path_needs_no_gamma_but_symmetry() -> None:
    host = load_host("Cs4PbBr6").crystal
    shifted = MeshSettings(mesh=(9, 9, 6), style="Monkhorst-Pack")
    beside = LineSettings.model_validate({"line_points": 5, "as": "zero-weight", "mesh": shifted})
    assert mesh_warnings({Stage.BANDS: beside}, host) == []
    broken = beside.model_copy(update={"mesh": MeshSettings(mesh=(4, 4, 3), style="Monkhorst-Pack")})
    (line,) = mesh_warnings({Stage.BANDS: broken}, host)
    assert "breaks the symmetry" in line


# -- irreducible points --------------------------------------------------------------------


def _case(path: Path) -> dict[str, Any] | None:
    """Mesh, crystal, symmetry and list of a real vasprun.xml that was made with a mesh."""
    with gzip.open(path, "rt", errors="replace") as file:
        text = file.read()
    head = text[: text.find("<calculation>")]
    generation = re.search(r'<generation param="(Gamma|Monkhorst-Pack|Auto)"', head)
    initial = re.search(r'<structure name="initialpos" ?>(.*?)</structure>', head, re.DOTALL)
    if not generation or not initial:
        return None
    table = re.search(r'<array name="atoms" ?>(.*?)</array>', head, re.DOTALL)
    assert table
    parameters = head[head.index("<parameters>") :]
    kinds = re.findall(r"<rc><c>.*?</c><c>\s*(\d+)\s*</c>", table[1])
    tags: dict[str, Any] = {
        "ISYM": int(_found(r'name="ISYM">\s*(-?\d+)', parameters)),
        "ISPIN": int(_found(r'name="ISPIN">\s*(\d)', parameters)),
    }
    if moments := re.search(r'name="MAGMOM">(.*?)</v>', parameters):
        tags["MAGMOM"] = [float(x) for x in moments[1].split()]
    crystal = Crystal(_rows("basis", initial[1]), [f"X{k}" for k in kinds], _rows("positions", initial[1]))  # type: ignore[arg-type]
    vectors = np.array([_found(rf'name="genvec{i}">(.*?)</v>', head).split() for i in (1, 2, 3)], float)
    shift = [2 * float(x) for name in ("shift",) for x in _found(rf'<v name="{name}">(.*?)</v>', head).split()]
    mesh = Mesh.of(np.rint(np.linalg.inv(vectors)).astype(int), _shift_of(head, shift))
    weights = _rows("weights", head).ravel()
    return {
        "mesh": mesh,
        "crystal": crystal,
        "tags": SymmetryTags.read(tags, len(crystal)),
        "points": _rows("kpointlist", head),
        "counts": np.rint(weights / weights.sum() * mesh.count).astype(int),
    }


def _shift_of(head: str, shift: list[float]) -> NDArray[np.int64]:
    """In halves; VASP prints 0.5 for Monkhorst–Pack meshes along even subdivisions, and the user's own beside it."""
    own = [2 * float(x) for x in _found(r'name="usershift">(.*?)</v>', head).split()]
    return np.rint(np.add(shift, own)).astype(int) % 2


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, pattern
    return match[1]


def _rows(name: str, text: str) -> Array:
    match = re.search(rf'<varray name="{name}" ?>(.*?)</varray>', text, re.DOTALL)
    assert match, name
    return np.array([[float(x) for x in row.split()] for row in re.findall(r"<v>(.*?)</v>", match[1])])


def test_irreducible_lists_of_real_vasp_runs(shared: Path) -> None:
    """Of every real run with a mesh: as many points, the same stars, the same weights."""
    compared, with_moments, without_symmetry = 0, 0, 0
    for path in sorted((shared / "vasp").glob("*/vasprun.xml.gz")):
        case = _case(path)
        if case is None:
            continue
        name, mesh, tags = path.parent.name, case["mesh"], case["tags"]
        ours = irreducible(mesh, rotations_of(case["crystal"], tags), tags.time_reversal)
        assert len(ours.points) == len(case["points"]), name
        alike = _same(case["points"][:, None], mesh.points()[None])
        assert alike.any(axis=1).all(), name
        theirs = ours.stars[alike.argmax(axis=1)]
        assert sorted(theirs) == list(range(len(ours.points))), name
        assert ours.weights[theirs].tolist() == case["counts"].tolist(), name
        compared += 1
        with_moments += tags.moments is not None
        without_symmetry += tags.isym < 1
    assert (compared, with_moments, without_symmetry) == (38, 18, 9)


def test_symmetry_tags_decide() -> None:
    host = load_host("Cs4PbBr6", cell="primitive").crystal
    mesh = Mesh.uniform((3, 3, 3), "Gamma")

    def count(**tags: Any) -> int:
        symmetry = SymmetryTags.read(tags, len(host))
        return len(irreducible(mesh, rotations_of(host, symmetry), symmetry.time_reversal).points)

    assert (count(), count(LHFCALC=True), count(ISYM=0), count(ISYM=-1)) == (6, 6, 14, 27)
    noncollinear = SymmetryTags.read({"LSORBIT": True}, len(host))
    assert not noncollinear.time_reversal
    off_the_axis = host.species.index("Br")
    one_up = [2.0 * (i == off_the_axis) for i in range(len(host))]
    assert count(ISPIN=2, MAGMOM=one_up) > count(ISPIN=2)
    assert count(ISPIN=1, MAGMOM=one_up) == count()


# -- what a KPOINTS file costs -----------------------------------------------------------------


@settings(max_examples=40)
@given(_lattices(), _matrices(-2, 2, 12), st.tuples(*[st.integers(0, 1)] * 3))
def test_every_mesh_is_read_back_from_its_file(lattice: Array, matrix: NDArray[np.int64], halves: Row) -> None:
    cell = Crystal(lattice, ("Si",), np.zeros((1, 3)))
    mesh = Mesh.of(matrix, np.array(halves))
    assert mesh_from(Kpoints.from_str(mesh_text(mesh, cell, "any")), cell) == mesh


def test_other_shifts_are_not_guessed() -> None:
    cell = Crystal(np.eye(3) * 4, ("Si",), np.zeros((1, 3)))
    third = Kpoints.gamma_automatic((2, 2, 2), shift=(1 / 3, 0, 0))
    assert mesh_from(third, cell) is None
    assert expected_points(third, cell, {}) is None


@pytest.mark.parametrize(
    "case", ["custodian_K4Sn4O6_fullset", "quacc_Na12Pd4_45MB_spin", "pmg_kpoints_opt_Si8", "sumo_OsO2_metal_band"]
)
def test_expected_points_of_real_kpoints_files(shared: Path, case: str) -> None:
    """KPOINTS as its user wrote it, structure and effective tags from vasprun.xml: as many points as VASP computed."""
    from kalloy.parsers.result import read_result

    folder = shared / "vasp" / case
    run = read_result(folder).vasprun
    assert run is not None
    assert run.kpoints is not None
    tags = {k: list(v) if isinstance(v, tuple) else v for k, v in run.parameters.items()}
    crystal = run.steps[0].crystal
    assert crystal is not None
    kpoints = Kpoints.from_file(folder / "KPOINTS")
    assert expected_points(kpoints, crystal, tags) == len(run.kpoints.weights)
