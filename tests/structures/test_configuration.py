"""Configurations: what a space holds, how it is named, that no two are alike, and what partial occupancies mean."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.errors import EnumerationError, HostError, SubstitutionError
from kalloy.structures.cells import parse_cell
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.substitution import parse_replacement


def space(host: str, *replacements: str, cell: str = "given") -> ConfigurationSpace:
    return ConfigurationSpace(load_host(host, cell), [parse_replacement(text) for text in replacements])


def every(of: ConfigurationSpace) -> list[Configuration]:
    return [configuration for content in of.contents for configuration in of.configurations(content)]


def test_the_seventy_of_the_home_case() -> None:
    configurations = every(space("Cs4PbBr6", "Cs=K:3"))
    assert len(configurations) == 70
    groups = Counter(configuration.space_group.symbol for configuration in configurations)
    assert groups == {"P1": 47, "C2": 17, "P321": 2, "P3": 1, "R32": 1, "P3_121": 1, "P3_221": 1}
    assert sum(configuration.degeneracy for configuration in configurations) == comb(24, 3)
    trigonal = [c for c in configurations if c.space_group.symbol == "P321"]
    assert [c.degeneracy for c in trigonal] == [6, 6]
    positions = [
        {c.host.wyckoff[s][0] for s, o in zip(c.sites, c.occupation, strict=True) if o == "K"} for c in trigonal
    ]
    assert sorted(map(sorted, positions)) == [["18e"], ["6a"]]


def test_one_potassium_in_the_primitive_cell() -> None:
    found = every(space("Cs4PbBr6", "Cs=K:1", cell="primitive"))
    assert [(c.label, c.degeneracy, str(c.space_group)) for c in found] == [
        ("K1/c1", 6, "C2 (5)"),
        ("K1/c2", 2, "R32 (155)"),
    ]


def test_labels_are_as_wide_as_their_sets() -> None:
    assert [c.label for c in space("Cs4PbBr6", "Cs=K:8-12").contents] == ["K08", "K09", "K10", "K11", "K12"]
    labels = [c.label for c in every(space("Cs4PbBr6", "Cs=K:3"))]
    assert labels == [f"K03/c{i:02d}" for i in range(1, 71)]
    assert [c.label for c in space("Cs4PbBr6", "Cs=K:2", "Br=Cl:0-1").contents] == ["K02-Cl00", "K02-Cl01"]
    assert [c.label for c in space("Cs4PbBr6", "Br=vacancy:1").contents] == ["Vac01"]


@pytest.mark.parametrize("replacement", ["Cs=K:0", "Cs=vacancy:0", "Cs@6a=K:0"])
def test_content_zero_is_the_host(replacement: str) -> None:
    [configuration] = every(space("Cs4PbBr6", replacement, cell="primitive"))
    assert configuration.crystal() == configuration.host.crystal
    assert configuration.space_group == configuration.host.space_group
    assert configuration.degeneracy == 1


def test_labels_and_identities_that_must_never_change() -> None:
    """Campaigns on disk are named by these: a change here orphans them."""
    chosen = {c.label: c for c in every(space("Cs4PbBr6", "Cs=K:3"))}
    sites = {
        label: [i for i, o in enumerate(chosen[label].occupation) if o == "K"]
        for label in ("K03/c01", "K03/c12", "K03/c70")
    }
    assert sites == {"K03/c01": [0, 1, 2], "K03/c12": [0, 2, 11], "K03/c70": [2, 12, 15]}
    assert {label: chosen[label].identity for label in sites} == {
        "K03/c01": "1edaad0eeaf98f00",
        "K03/c12": "7140233c8c416412",
        "K03/c70": "c27af3b8bf73db87",
    }


def test_a_configuration_can_be_carried_to_another_cell() -> None:
    configuration = every(space("Cs4PbBr6", "Cs=K:1"))[0]
    measured = load_host("Cs4PbBr6-measured")
    carried = configuration.crystal(measured)
    assert carried.species == configuration.crystal().species
    assert carried.volume == pytest.approx(measured.crystal.volume)


def test_vacancies_leave_their_sites_empty() -> None:
    for configuration in every(space("Cs4PbBr6", "Br=vacancy:2", cell="primitive")):
        assert configuration.crystal().composition == {"Pb": 2, "Br": 10, "Cs": 8}
        assert configuration.occupation.count("vacancy") == 2


@pytest.mark.parametrize(
    "replacements",
    [
        ("Cs=K:2", "Cs=Rb:1"),
        ("Cs=K:1", "Cs=Rb:1", "Cs=Na:1"),
        ("Cs=K:1", "Br=Cl:1"),
        ("Cs=K:1", "Br=Cl:1", "Cs=Rb:1", "Br=vacancy:1"),
        ("Pb=Sn:1", "Cs=K:1-2", "Br=I:0-1"),
        ("Cs@6a=K:1", "Cs@18e=K:2"),
        ("Cs@6a=K:0.5", "Cs@18e=Rb:0.333"),
    ],
)
def test_several_substitutions_against_brute_force(replacements: tuple[str, ...], brute: Any) -> None:
    asked = space("Cs4PbBr6", *replacements, cell="primitive")
    names = {s.with_: i for i, s in enumerate(asked.substitutions, start=1)}
    position = {site: i for i, site in enumerate(asked.site_indices)}
    for content in asked.contents:
        stages = [
            ([position[site] for site in substitution.sites(asked.host)], count)
            for substitution, count in zip(asked.substitutions, content.counts, strict=True)
        ]
        expected = brute(asked.permutations, stages)
        found = list(asked.configurations(content))
        assert len(found) == len(expected) == asked.count(content)
        assert sum(c.degeneracy for c in found) == content.total
        if len(names) == len(asked.substitutions):
            orbit_of = {o: orbit for orbit in expected for o in orbit}
            reached = {orbit_of[tuple(names.get(s, 0) for s in c.occupation)]: c.degeneracy for c in found}
            assert reached == expected


def test_contents_that_do_not_fit_together_are_left_out() -> None:
    contents = space("Cs4PbBr6", "Cs=K", "Cs=Rb", cell="primitive").contents
    assert len(contents) == comb(10, 2)
    assert all(sum(content.counts) <= 8 for content in contents)
    assert sum(content.total for content in contents) == 3**8


@pytest.mark.parametrize(
    ("replacements", "words"),
    [
        (("Cs=K:20", "Cs=Rb:20"), "more sites than there are"),
        (("Cs=K:1", "Cs=K:2"), "given twice"),
        (("Cs=K:1", "Cs@6a=Rb:1"), "shares some of its sites"),
        ((), "nothing is substituted"),
    ],
)
def test_substitutions_that_cannot_go_together(replacements: tuple[str, ...], words: str) -> None:
    with pytest.raises(SubstitutionError, match=words):
        space("Cs4PbBr6", *replacements)


def test_no_two_are_alike_to_an_independent_matcher(prototype: tuple[str, Path]) -> None:
    """pymatgen's matcher knows nothing of space groups; every pair of one content must be different to it."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    _, path = prototype
    crystal = load_host(str(path), "primitive").crystal
    replaced = crystal.species[-1]
    cell = "primitive" if len(crystal) > 10 else "2 1 1" if len(crystal) > 4 else "2 2 1"
    asked = space(str(path), f"{replaced}=F:2", cell=cell)
    structures = [c.crystal().to_pymatgen() for c in list(asked.configurations(asked.contents[0]))[:8]]
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=0.02, stol=0.02, angle_tol=0.5)
    assert len(structures) > 1
    assert not [pair for pair in combinations(structures, 2) if matcher.fit(*pair)]


def test_equivalent_arrangements_are_one_to_an_independent_matcher() -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    asked = space("Cs4PbBr6", "Cs=K:2", cell="primitive")
    representatives = [c.crystal().to_pymatgen() for c in every(asked)]
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=0.02, stol=0.02, angle_tol=0.5)
    found: Counter[int] = Counter()
    for chosen in combinations(asked.site_indices, 2):
        species = ["K" if i in chosen else s for i, s in enumerate(asked.host.crystal.species)]
        arrangement = asked.host.crystal.with_species(species).to_pymatgen()
        matches = [i for i, other in enumerate(representatives) if matcher.fit(arrangement, other)]
        assert len(matches) == 1
        found[matches[0]] += 1
    assert [found[i] for i in range(len(representatives))] == [c.degeneracy for c in every(asked)]


def test_groups_of_other_hosts_are_those_of_the_tables(prototype: tuple[str, Path], brute: Any) -> None:
    """spglib's permutations against those of the tabulated operations, and the orbits of pairs."""
    from pymatgen.symmetry.groups import SpaceGroup

    symbol, path = prototype
    host = load_host(str(path), "given")
    sites = [i for i, s in enumerate(host.crystal.species) if s == host.crystal.species[-1]]
    positions = host.crystal.positions[sites]
    expected = set()
    for operation in SpaceGroup(symbol).symmetry_ops:
        images = operation.operate_multi(positions)
        apart = images[:, None] - positions[None]
        expected.add(tuple(int(i) for i in np.abs(apart - np.rint(apart)).sum(axis=2).argmin(axis=1)))
    species = host.crystal.species[-1]
    asked = space(str(path), f"{species}={'S' if species == 'O' else 'Na'}:2")
    assert set(asked.permutations) == expected
    orbits = brute(sorted(expected), [(range(len(sites)), 2)])
    assert sorted(c.degeneracy for c in every(asked)) == sorted(orbits.values())


@pytest.mark.parametrize(
    "cell",
    ["2 1 1", "1 1 2", "2 2 1", "1 1 0 -1 1 0 0 0 1", "1 0 0 1 2 0 0 0 1", "2 1 0 0 1 0 0 0 2", "1 0 1 0 1 0 0 0 2"],
)
def test_the_group_of_a_supercell_is_that_of_the_tables_with_all_translations(cell: str) -> None:
    """Every tabulated operation that maps the supercell's lattice on itself, times every translation of the host."""
    from pymatgen.symmetry.groups import SpaceGroup

    asked = space("Cs4PbBr6", "Cs=K:1", cell=cell)
    matrix = parse_cell(cell)
    assert not isinstance(matrix, str)
    inverse = np.linalg.inv(matrix)
    points = np.array([p for p in np.ndindex(9, 9, 9)]) - 4
    inside = (points @ inverse + 1e-9) % 1.0
    translations = points[np.unique(np.round(inside, 6), axis=0, return_index=True)[1]]
    assert len(translations) == round(np.linalg.det(matrix))
    positions = asked.host.crystal.positions[list(asked.site_indices)]
    expected = set()
    for operation in SpaceGroup("R-3c").symmetry_ops:
        rotation = matrix @ operation.rotation_matrix.T @ inverse
        if np.abs(rotation - np.rint(rotation)).max() > 1e-6:
            continue
        for translation in translations:
            images = positions @ rotation + (operation.translation_vector + translation) @ inverse
            apart = images[:, None] - positions[None]
            expected.add(tuple(int(i) for i in np.abs(apart - np.rint(apart)).sum(axis=2).argmin(axis=1)))
    assert set(asked.permutations) == expected


def test_the_overcounted_cell() -> None:
    """65, where programs that forget operations combined with translations find 108."""
    assert len(every(space("Cs4PbBr6", "Cs=K:2", cell="2 1 1"))) == 65


def test_positions_and_labels_mean_the_same_in_every_cell() -> None:
    for cell, size in (("primitive", 2), ("given", 6), ("2 1 1", 12)):
        by_position = space("Cs4PbBr6", "Cs@6a=K:1", cell=cell)
        assert by_position.sites == size
        assert by_position.site_indices == space("Cs4PbBr6", "Cs@Cs1=K:1", cell=cell).site_indices
        assert len(every(by_position)) == 1


DISORDERED = """data_disordered
_symmetry_space_group_name_H-M 'P m -3 m'
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_space_group_symop_operation_xyz
{operations}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
{atoms}
"""


@pytest.fixture
def disordered(tmp_path: Path) -> Any:
    """Write a caesium-chloride-like CIF with the given atoms and return its path."""
    from itertools import permutations, product

    operations = [
        "'" + ",".join(sign + axis for sign, axis in zip(signs, axes, strict=True)) + "'"
        for axes in permutations("xyz")
        for signs in product(("", "-"), repeat=3)
    ]

    def write(*atoms: str) -> str:
        path = tmp_path / "disordered.cif"
        path.write_text(DISORDERED.format(operations="\n".join(operations), atoms="\n".join(atoms)))
        return str(path)

    return write


def test_partial_occupancies_are_substitutions(disordered: Any) -> None:
    path = disordered("Cs1 Cs 0 0 0 0.75", "K1 K 0 0 0 0.25", "Br1 Br 0.5 0.5 0.5 1")
    mixed = space(path, cell="2 2 2")
    ordered = space(disordered("Cs1 Cs 0 0 0 1", "Br1 Br 0.5 0.5 0.5 1"), "Cs=K:2", cell="2 2 2")
    assert [c.label for c in mixed.contents] == ["K2"]
    assert [(c.label, c.occupation, c.degeneracy) for c in every(mixed)] == [
        (c.label, c.occupation, c.degeneracy) for c in every(ordered)
    ]
    assert mixed.operations == ordered.operations


def test_partial_occupancies_with_vacancies_and_several_species(disordered: Any) -> None:
    path = disordered("Cs1 Cs 0 0 0 0.5", "K1 K 0 0 0 0.25", "Br1 Br 0.5 0.5 0.5 0.875")
    mixed = space(path, cell="2 2 2")
    assert [c.label for c in mixed.contents] == ["K2-Vac2-Vac1"]
    assert all(c.crystal().composition == {"Cs": 4, "K": 2, "Br": 7} for c in every(mixed))


def test_occupancies_that_are_no_integers_are_refused(disordered: Any) -> None:
    path = disordered("Cs1 Cs 0 0 0 0.9", "K1 K 0 0 0 0.1", "Br1 Br 0.5 0.5 0.5 1")
    with pytest.raises(
        SubstitutionError, match=r"0.1 of 8 sites is 0.8.*nearest are 0 \(0 sites\) and 0.125 \(1 sites\)"
    ):
        space(path, cell="2 2 2")


def test_a_cell_that_holds_the_occupancies_is_named(disordered: Any) -> None:
    path = disordered("Cs1 Cs 0 0 0 0.9", "K1 K 0 0 0 0.1", "Br1 Br 0.5 0.5 0.5 1")
    with pytest.raises(SubstitutionError, match="a cell 5 times as large holds it"):
        space(path, cell="2 1 1")
    assert [c.label for c in space(path, cell="10 1 1").contents] == ["K01"]


def test_more_than_full_sites_are_refused(disordered: Any) -> None:
    with pytest.raises(HostError, match=r"Occupancy 1\.3 exceeded"):
        load_host(disordered("Cs1 Cs 0 0 0 0.9", "K1 K 0 0 0 0.4", "Br1 Br 0.5 0.5 0.5 1"))


def test_a_replacement_beside_partial_occupancies(disordered: Any) -> None:
    path = disordered("Cs1 Cs 0 0 0 0.5", "K1 K 0 0 0 0.5", "Br1 Br 0.5 0.5 0.5 1")
    assert [c.label for c in space(path, "Br=Cl:1", cell="2 1 1").contents] == ["Cl1-K1"]
    with pytest.raises(SubstitutionError, match="only on sites of partial occupancy"):
        space(path, "Cs=Rb:1", cell="2 1 1")


def test_labels_that_cut_through_equivalent_sites_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.cif"
    load_host("CsPbBr3", "2 1 1").crystal.to_pymatgen().to(str(path))
    labels = load_host(str(path)).crystal.labels
    one = next(label for label in labels if label.startswith("Cs"))
    with pytest.raises(SubstitutionError, match="names 1 of 2 sites that symmetry makes equivalent"):
        space(str(path), f"Cs@{one}=K:1")


def test_an_enumeration_that_contradicts_the_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = space("Cs4PbBr6", "Cs=K:2", cell="primitive")
    monkeypatch.setattr(asked, "count", lambda content: 7)
    with pytest.raises(EnumerationError, match="6 configurations for 28 arrangements"):
        list(asked.orbits(asked.contents[0]))
