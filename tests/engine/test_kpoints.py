"""k-points as VASP defines them: against the formula, brute force, and lists that VASP itself wrote."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kalloy.errors import VaspInputError
from kalloy.workflows.gpaw_engine.kpoints import GeneratedMesh, Lines, Mesh, PointList, read_kpoints, wrapped
from kalloy.workflows.gpaw_engine.sampling import sample
from kalloy.workflows.gpaw_engine.settings import read_settings
from kalloy.workflows.gpaw_engine.symmetry import (
    find_operations,
    is_group,
    mapping_mesh,
    reduce_mesh,
)

Array = NDArray[np.float64]


@pytest.mark.parametrize("n", range(1, 10))
def test_monkhorst_pack_is_the_papers_formula(n: int) -> None:
    formula = [(2 * r - n - 1) / (2 * n) for r in range(1, n + 1)]
    points = Mesh((n, 1, 1), (0, 0, 0), gamma_centred=False).points()[:, 0]
    np.testing.assert_allclose(np.sort(points), np.sort(wrapped(np.array(formula))), atol=1e-12)


@pytest.mark.parametrize("n", range(1, 10))
def test_gamma_mesh_holds_gamma_first(n: int) -> None:
    points = Mesh((n, n, n), (0, 0, 0), gamma_centred=True).points()
    assert len(points) == n**3
    np.testing.assert_array_equal(points[0], 0.0)
    assert points.max() <= 0.5
    assert points.min() > -0.5


def test_shift_counts_in_spacings() -> None:
    shifted = Mesh((2, 2, 2), (0.5, 0.5, 0.5), gamma_centred=True).points()
    np.testing.assert_allclose(shifted, Mesh((2, 2, 2), (0, 0, 0), gamma_centred=False).points())


def _brute_force_stars(points: Array, operations: Any) -> set[frozenset[int]]:
    turns = [r.T for r in operations.rotations] + [-r.T for r in operations.rotations]
    linked = np.zeros((len(points), len(points)), dtype=bool)
    for turn in turns:
        gap = (points @ turn)[:, None] - points[None]
        linked |= (np.abs(gap - np.round(gap)) < 1e-6).all(axis=-1)
    return {frozenset(np.flatnonzero(row).tolist()) for row in linked}


CRYSTALS = {
    "fcc": bulk("Cu"),
    "diamond": bulk("Si"),
    "hcp": bulk("Mg"),
    "rock salt, cubic cell": bulk("NaCl", "rocksalt", a=5.6, cubic=True),
    "tetragonal": make_supercell(bulk("NaCl", "rocksalt", a=5.6), [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]),
    "no symmetry": Atoms("KBr", [[0, 0, 0], [1.9, 2.2, 2.8]], cell=[[4, 0.1, 0], [0.3, 5, 0.2], [0, 0.7, 6]], pbc=True),
}


@pytest.mark.parametrize("name", CRYSTALS)
@settings(max_examples=15)
@given(divisions=st.tuples(*[st.integers(1, 4)] * 3), gamma=st.booleans())
def test_irreducible_points_against_brute_force(name: str, divisions: tuple[int, int, int], gamma: bool) -> None:
    points = Mesh(divisions, (0, 0, 0), gamma).points()
    operations = find_operations(CRYSTALS[name], None, 1e-5)
    operations = operations.subset(mapping_mesh(operations, points))
    reduced = reduce_mesh(points, operations)
    stars = _brute_force_stars(points, operations)
    found = {frozenset(np.flatnonzero(reduced.members == i).tolist()) for i in range(len(reduced.points))}
    assert found == stars
    assert sum(reduced.weights) == pytest.approx(1.0)
    shares = [float(np.mean(reduced.members == i)) for i in range(len(reduced.points))]
    assert reduced.weights.tolist() == pytest.approx(shares)


@pytest.mark.parametrize("name", CRYSTALS)
def test_operations_are_a_group_that_maps_the_crystal(name: str) -> None:
    atoms = CRYSTALS[name]
    operations = find_operations(atoms, None, 1e-5)
    assert is_group(operations)
    positions = atoms.get_scaled_positions()
    for rotation, shift, image in zip(operations.rotations, operations.translations, operations.images, strict=True):
        gap = positions @ rotation + shift - positions[image]
        np.testing.assert_allclose(gap - np.round(gap), 0.0, atol=1e-6)
        assert sorted(image) == list(range(len(atoms)))
        assert (atoms.numbers == atoms.numbers[image]).all()


def test_moments_lower_the_symmetry() -> None:
    iron = make_supercell(bulk("Fe", "bcc", a=2.87), [[1, 0, 1], [0, 1, 0], [-1, 0, 1]])
    plain = find_operations(iron, None, 1e-5)
    antiferromagnet = find_operations(iron, np.array([1.0, -1.0]), 1e-5)
    assert {tuple(image) for image in plain.images} == {(0, 1), (1, 0)}
    assert {tuple(image) for image in antiferromagnet.images} == {(0, 1)}


def test_hexagonal_mesh_of_the_paper_breaks_the_lattice() -> None:
    magnesium = bulk("Mg")
    operations = find_operations(magnesium, None, 1e-5)
    maps = mapping_mesh(operations, Mesh((4, 4, 3), (0, 0, 0), gamma_centred=False).points())
    assert 0 < maps.sum() < len(operations)
    assert mapping_mesh(operations, Mesh((4, 4, 3), (0, 0, 0), gamma_centred=True).points()).all()
    assert is_group(operations.subset(maps))


def _numbers(block: str) -> Array:
    return np.array([[float(x) for x in row.split()] for row in re.findall(r"<v>(.*?)</v>", block)])


def _varray(name: str, text: str) -> Array:
    found = re.search(rf'<varray name="{name}" ?>(.*?)</varray>', text, re.S)
    assert found
    return _numbers(found.group(1))


def _vector(name: str, text: str) -> list[float]:
    found = re.search(rf'name="{name}">(.*?)</v>', text)
    assert found
    return [float(x) for x in found.group(1).split()]


def _vasp_mesh(path: Path) -> tuple[Mesh, Atoms, Array | None, int, Array, Array] | None:
    """Mesh, crystal, moments, ISYM, points and weights of a real vasprun.xml that was made with a mesh."""
    with gzip.open(path, "rt", errors="replace") as file:
        text = file.read()
    head = text[: text.find("<calculation>")]
    generation = re.search(r'generation param="(Gamma|Monkhorst-Pack)"', head)
    initial = re.search(r'<structure name="initialpos" ?>(.*?)</structure>', head, re.S)
    if not generation or not initial:
        return None
    symmetry = re.search(r'name="ISYM">\s*(-?\d+)', head[head.index("<parameters>") :])
    spins = re.search(r'name="ISPIN">\s*(\d)', head[head.index("<parameters>") :])
    table = re.search(r'<array name="atoms" ?>(.*?)</array>', head, re.S)
    assert symmetry
    assert spins
    assert table
    kinds = [int(x) for x in re.findall(r"<rc><c>.*?</c><c>\s*(\d+)\s*</c>", table.group(1))]
    cell, positions = _varray("basis", initial.group(1)), _varray("positions", initial.group(1))
    given = re.search(r'name="MAGMOM">(.*?)</v>', head[head.index("<parameters>") :])
    moments = np.array([float(x) for x in given.group(1).split()]) if given and spins.group(1) == "2" else None
    n1, n2, n3 = (int(x) for x in _vector("divisions", head))
    s1, s2, s3 = _vector("usershift", head)
    mesh = Mesh((n1, n2, n3), (s1, s2, s3), generation.group(1) == "Gamma")
    atoms = Atoms(numbers=kinds, cell=cell, scaled_positions=positions, pbc=True)
    points, weights = _varray("kpointlist", head), _varray("weights", head).ravel()
    return mesh, atoms, moments, int(symmetry.group(1)), points, weights / weights.sum()


def test_irreducible_lists_of_real_vasp_runs(shared: Path) -> None:
    """The same stars with the same weights as VASP in every run with a mesh, and mostly the same list in its order."""
    same_order = compared = 0
    for path in sorted((shared / "vasp").glob("*/vasprun.xml.gz")):
        case = _vasp_mesh(path)
        if case is None:
            continue
        mesh, atoms, moments, isym, theirs, their_weights = case
        chosen = read_settings({"ENCUT": 300, "ISYM": isym, "SYMPREC": 1e-5}, len(atoms))
        points, ours = mesh.points(), sample(chosen, atoms, mesh, moments).counted  # as the engine does it
        gap = theirs[:, None] - points[None]
        place = (np.abs(gap - np.round(gap)) < 1e-6).all(axis=-1).argmax(axis=1)
        weights = np.bincount(ours.members[place], weights=their_weights, minlength=len(ours.points))
        assert len(theirs) == len(ours.points), path.parent.name
        np.testing.assert_allclose(weights, ours.weights, atol=1e-6, err_msg=path.parent.name)
        compared += 1
        same_order += np.allclose(ours.points, theirs, atol=1e-6)
    assert compared >= 30
    assert same_order >= 0.8 * compared


def test_kpoints_files(tmp_path: Path) -> None:
    path = tmp_path / "KPOINTS"
    path.write_text("m\n0\nMonkhorst\n4 4 3\n")
    mesh = read_kpoints(path)
    assert isinstance(mesh, Mesh)
    assert (mesh.divisions, mesh.shift, mesh.gamma_centred) == ((4, 4, 3), (0.0, 0.0, 0.0), False)
    path.write_text("p\n3\nLine_mode\nReciprocal\n0 0 0 G\n0.5 0 0 M\n\n0.5 0 0 M\n0 0 0.5 A\n")
    lines = read_kpoints(path)
    assert isinstance(lines, Lines)
    first, second = [[0, 0, 0], [0.25, 0, 0], [0.5, 0, 0]], [[0.5, 0, 0], [0.25, 0, 0.25], [0, 0, 0.5]]
    np.testing.assert_allclose(lines.points(), np.array(first + second, dtype=float))
    path.write_text("l\n2\nReciprocal\n0 0 0 1\n0.1 0.2 0.3 0\n")
    points = read_kpoints(path)
    assert isinstance(points, PointList)
    assert points.weightless.tolist() == [False, True]


@settings(max_examples=60)
@given(
    periods=st.lists(st.integers(-3, 3), min_size=9, max_size=9).map(lambda flat: np.reshape(flat, (3, 3))),
    halves=st.tuples(*[st.integers(0, 1)] * 3),
)
def test_generating_vectors_against_brute_force(periods: Any, halves: tuple[int, int, int]) -> None:
    count = abs(round(float(np.linalg.det(periods))))
    assume(0 < count <= 30)
    mesh = GeneratedMesh(np.linalg.inv(periods), (halves[0] / 2, halves[1] / 2, halves[2] / 2))
    points = mesh.points()
    apart = points[:, None] - points[None]
    assert (np.abs(apart - np.rint(apart)).max(axis=-1) < 1e-6).sum() == len(points) == count
    sums = points @ periods - np.array(halves) / 2
    assert np.abs(sums - np.rint(sums)).max() < 1e-8


def test_generating_vectors_of_a_uniform_mesh(tmp_path: Path) -> None:
    path = tmp_path / "KPOINTS"
    path.write_text("g\n0\nReciprocal\n0.25 0 0\n0.25 0.25 0\n0 0 0.5\n0 0.5 0.5\n")
    generated = read_kpoints(path)
    assert isinstance(generated, GeneratedMesh)
    # 0.5 (0.25, 0.25, 0): half a spacing along both.
    expected = Mesh((4, 4, 2), (0.5, 0.5, 0.5), gamma_centred=True).points()
    assert {tuple(p) for p in np.round(generated.points(), 9)} == {tuple(p) for p in np.round(expected, 9)}


@pytest.mark.parametrize(
    "text",
    [
        "g\n0\nCartesian\n0.25 0 0\n0 0.25 0\n0 0 0.25\n0 0 0\n",
        "g\n0\nReciprocal\n0.3 0 0\n0 0.25 0\n0 0 0.25\n0 0 0\n",
        "g\n0\nReciprocal\n0.5 0 0\n0.25 0 0\n0 0 0.25\n0 0 0\n",
        "g\n0\nReciprocal\n0.5 0 0\n0 0.25 0\n0 0 0.25\n",
        "c\n3\nCartesian\n0 0 0 1\n0 0 1 1\n0 1 0 1\n",
        "c\n3\nLine_mode\nCartesian\n0 0 0\n0 0 1\n",
        "a\n0\nAuto\n20\n",
        "m\n0\nGamma\n0 2 2\n",
        "l\n1\nReciprocal\n0 0 0 0\n",
        "p\n3\nLine_mode\nReciprocal\n0 0 0\n",
    ],
)
def test_other_kinds_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "KPOINTS"
    path.write_text(text)
    with pytest.raises(VaspInputError, match="KPOINTS"):
        read_kpoints(path)
