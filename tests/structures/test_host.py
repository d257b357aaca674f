"""Hosts: what is bundled, what files are read, which are refused, and that other cells are the same crystal."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import HostError
from kalloy.structures.cells import in_order, parse_cell, supercell
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import Host, bundled_hosts, load_host


def distances(crystal: Crystal, radius: float) -> dict[tuple[str, ...], list[float]]:
    """All interatomic distances up to a radius by pair of elements, each divided by the atoms there are."""
    structure = crystal.to_pymatgen()
    centres, points, _, found = structure.get_neighbor_list(radius)
    species = np.array(crystal.species)
    result: dict[tuple[str, ...], list[float]] = {}
    for one, other in combinations_with_replacement(sorted(set(crystal.species)), 2):
        pair = (one, other)
        chosen = found[[tuple(sorted((species[i], species[j]))) == pair for i, j in zip(centres, points, strict=True)]]
        values, numbers = np.unique(np.round(chosen, 4), return_counts=True)
        result[pair] = [*values, *(numbers / len(crystal))]
    return result


def test_bundled_hosts() -> None:
    assert bundled_hosts() == ["Cs4PbBr6", "Cs4PbBr6-measured", "CsBr", "CsPbBr3", "KBr"]
    groups = {name: str(load_host(name).space_group) for name in bundled_hosts()}
    assert groups == {
        "Cs4PbBr6": "R-3c (167)",
        "Cs4PbBr6-measured": "R-3c (167)",
        "CsBr": "Pm-3m (221)",
        "CsPbBr3": "Pm-3m (221)",
        "KBr": "Fm-3m (225)",
    }
    assert not any(load_host(name).warnings for name in bundled_hosts())


def test_cs4pbbr6_is_the_published_crystal() -> None:
    host = load_host("Cs4PbBr6")
    assert host.crystal.composition == {"Pb": 6, "Cs": 24, "Br": 36}
    assert host.crystal.lengths == pytest.approx((13.84597124, 13.84597124, 17.43382469))
    sets = {(kind, position) for kind, (position, _) in zip(host.kinds, host.wyckoff, strict=True)}
    assert sets == {("Cs", "6a"), ("Cs", "18e"), ("Pb", "6b"), ("Br", "36f")}
    bonds = [d for d in distances(host.crystal, 3.2)["Br", "Pb"] if 3 < d < 3.2]
    assert bonds == pytest.approx([3.0476], abs=2e-3)
    assert "bundled" in host.source


def test_the_measured_cell_keeps_the_coordinates() -> None:
    relaxed, measured = load_host("Cs4PbBr6"), load_host("Cs4PbBr6-measured")
    assert measured.crystal.volume == pytest.approx(2820.19, abs=0.01)
    assert measured.crystal.species == relaxed.crystal.species
    np.testing.assert_allclose(measured.crystal.positions, relaxed.crystal.positions, atol=1e-12)


def test_the_bundled_file_holds_the_published_numbers(shared_structures: Path) -> None:
    ours, published = load_host("Cs4PbBr6").crystal, load_host(str(shared_structures / "Cs4PbBr6.cif")).crystal
    assert ours.species == published.species
    np.testing.assert_allclose(ours.lattice, published.lattice, atol=1e-12)
    np.testing.assert_allclose(ours.positions, published.positions, atol=1e-12)


CELLS = ["primitive", "conventional", "2 1 1", "1 1 2", "1 1 0 -1 1 0 0 0 1", "1 0 0 0 1 0 1 -1 2"]


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_is_the_same_crystal(cell: str) -> None:
    given_cell, other = load_host("Cs4PbBr6"), load_host("Cs4PbBr6", cell)
    assert other.space_group == given_cell.space_group
    assert distances(other.crystal, 6.0) == {
        pair: pytest.approx(values, abs=1e-3) for pair, values in distances(given_cell.crystal, 6.0).items()
    }


@pytest.mark.parametrize("cell", ["primitive", "conventional"])
def test_prototypes_in_their_standard_cells(prototype: tuple[str, Path], cell: str) -> None:
    symbol, path = prototype
    host = load_host(str(path), cell)
    assert host.space_group.symbol == symbol
    assert host.crystal.volume / len(host.crystal) == pytest.approx(
        load_host(str(path)).crystal.volume / len(load_host(str(path)).crystal)
    )


def test_primitive_and_back_is_the_conventional_cell(prototype: tuple[str, Path], tmp_path: Path) -> None:
    _, path = prototype
    whole = load_host(str(path), "conventional")
    load_host(str(path), "primitive").crystal.to_pymatgen().to(str(tmp_path / "POSCAR"), fmt="poscar")
    again = load_host(str(tmp_path / "POSCAR"), "conventional")
    assert again.crystal.composition == whole.crystal.composition
    assert again.crystal.volume == pytest.approx(whole.crystal.volume)
    assert again.space_group == whole.space_group


def test_a_measured_lattice_is_not_idealised(tmp_path: Path) -> None:
    """A cell that is cubic only within the tolerance keeps its own three lengths."""
    from pymatgen.core import Lattice, Structure

    path = tmp_path / "nearly.cif"
    Structure(Lattice.orthorhombic(4.200, 4.203, 4.206), ["Cs", "Br"], [[0, 0, 0], [0.5, 0.5, 0.5]]).to(str(path))
    host = load_host(str(path), "primitive", tolerance=0.05)
    assert host.space_group.number == 221
    assert sorted(host.crystal.lengths) == pytest.approx([4.200, 4.203, 4.206])


def test_a_larger_tolerance_that_finds_more_is_mentioned(tmp_path: Path) -> None:
    from pymatgen.core import Lattice, Structure

    path = tmp_path / "nearly.cif"
    Structure(Lattice.orthorhombic(4.20, 4.20, 4.22), ["Cs", "Br"], [[0, 0, 0], [0.5, 0.5, 0.5]]).to(str(path))
    [warning] = load_host(str(path)).warnings
    assert "P4/mmm (123) within 0.01" in warning
    assert "Pm-3m (221), with 48 operations instead of 16, within 0.05" in warning


@settings(max_examples=40)
@given(st.randoms(use_true_random=False), st.floats(-1e-9, 1e-9))
def test_site_order_does_not_hang_on_input_order_or_noise(random: Any, noise: float) -> None:
    crystal = load_host("Cs4PbBr6", "primitive").crystal
    order = list(range(len(crystal)))
    random.shuffle(order)
    shifts = np.array([[random.choice((-1, 0, 1)) for _ in range(3)] for _ in order])
    jitter = noise * np.array([[random.uniform(-1, 1) for _ in range(3)] for _ in order])
    shuffled = Crystal(
        crystal.lattice, tuple(crystal.species[i] for i in order), crystal.positions[order] + shifts + jitter
    )
    again = in_order(shuffled)
    assert again.species == crystal.species
    np.testing.assert_allclose(again.positions, crystal.positions, atol=1e-8)


@given(st.lists(st.integers(-3, 3), min_size=9, max_size=9))
def test_a_supercell_has_every_atom_once(numbers: list[int]) -> None:
    matrix = np.array(numbers).reshape(3, 3)
    copies = abs(round(np.linalg.det(matrix)))
    if copies == 0:
        return
    simple = Crystal(np.eye(3) * 4.0, ("Cs", "Cl"), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    large = supercell(simple, matrix)
    assert len(large) == 2 * copies
    places = np.round((large.positions % 1.0) * 2 * copies).astype(int) % (2 * copies)
    assert len({tuple(place) for place in places}) == 2 * copies
    integers = large.positions @ large.lattice / 4.0
    np.testing.assert_allclose(integers * 2, np.round(integers * 2), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2 1", "no cell"),
        ("2 1 x", "no cell"),
        ("two", "no cell"),
        ("1 0 0", "no volume"),
        ("1 1 0 1 1 0 0 0 1", "no volume"),
        ("0 1 0 1 0 0 0 0 1", "left-handed"),
        ("1 1 1 1", "no cell"),
    ],
)
def test_cells_that_cannot_be_made(text: str, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_cell(text)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.cif", "", "cannot be read"),
        ("rubbish.cif", "rubbish\n", "cannot be read"),
        ("rubbish.txt", "rubbish\n", "cannot be read"),
        ("nameless.vasp", "x\n1.0\n3 0 0\n0 3 0\n0 0 3\n1\nDirect\n0 0 0\n", "names no elements"),
        ("binary.cif", "\x00\x01\x02", "cannot be read"),
        ("dummy.vasp", "x\n1.0\n3 0 0\n0 3 0\n0 0 3\nXq\n1\nDirect\n0 0 0\n", "is no element"),
        ("same.vasp", "x\n1.0\n3 0 0\n0 3 0\n0 0 3\nCs\n2\nDirect\n0 0 0\n0 0 0\n", "two atoms coincide"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HostError, match=words):
        load_host(str(tmp_path / name))


def test_unknown_names_are_met_with_the_nearest() -> None:
    with pytest.raises(HostError, match="did you mean 'Cs4PbBr6'"):
        load_host("Cs4PbBr")
    with pytest.raises(HostError, match="no such file"):
        load_host("/")


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 5.0])
def test_senseless_tolerances_are_refused(tolerance: float) -> None:
    with pytest.raises(HostError, match="no tolerance"):
        load_host("CsPbBr3", tolerance=tolerance)


def test_labels_of_the_file_are_kept_in_every_cell() -> None:
    for cell in ("given", "primitive", "2 1 1"):
        host = load_host("Cs4PbBr6", cell)
        named = {(label, position) for label, (position, _) in zip(host.crystal.labels, host.wyckoff, strict=True)}
        assert named == {("Cs1", "6a"), ("Cs2", "18e"), ("Pb1", "6b"), ("Br1", "36f")}


def test_identity_tells_hosts_apart_and_is_stable() -> None:
    def identity(name: str, cell: str = "given") -> str:
        return load_host(name, cell).identity

    assert identity("Cs4PbBr6") == identity("Cs4PbBr6", "conventional")
    different = {identity(name) for name in bundled_hosts()} | {identity("Cs4PbBr6", "primitive")}
    assert len(different) == len(bundled_hosts()) + 1
    assert isinstance(load_host("CsPbBr3"), Host)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("_cell_angle_beta            90", "_cell_angle_beta            1e400", "not finite"),
        ("_cell_length_a              13.84597124", "_cell_length_a              1e12", "no cell"),
    ],
)
def test_a_cell_that_is_none_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    """spglib would be killed by the first."""
    text = (Path(__file__).parents[2] / "structures/hosts/Cs4PbBr6.cif").read_text()
    assert old in text
    (tmp_path / "x.cif").write_text(text.replace(old, new))
    with pytest.raises(HostError, match=said):
        load_host(str(tmp_path / "x.cif"))
