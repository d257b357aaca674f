"""Structures as text: what other packages read back is the configuration, atom for atom; folders appear whole."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.errors import InputError, SubstitutionError
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.filters import MinimumDistance, space_groups
from kalloy.structures.formats import FORMATS
from kalloy.structures.geometry import Geometry
from kalloy.structures.host import load_host
from kalloy.structures.picks import Pick, every, sampled
from kalloy.structures.sampling import Over
from kalloy.structures.substitution import parse_replacement
from kalloy.structures.writing import Layout, write_configurations


def space_of(*replacements: str, cell: str = "primitive") -> ConfigurationSpace:
    return ConfigurationSpace(load_host("Cs4PbBr6", cell), [parse_replacement(text) for text in replacements])


def read_back(text: str, name: str, folder: Path) -> Crystal:
    if name == "extxyz":
        from ase.io import read

        (folder / "a.extxyz").write_text(text)
        return Crystal.from_ase(read(folder / "a.extxyz"))
    from pymatgen.core import Structure

    path = folder / ("POSCAR" if name == "poscar" else "a.cif")
    path.write_text(text)
    return Crystal.from_pymatgen(Structure.from_file(path))


def assert_same(one: Crystal, other: Crystal) -> None:
    """The same atoms in the same places, in whatever order and orientation."""
    np.testing.assert_allclose([*one.lengths, *one.angles], [*other.lengths, *other.angles], atol=1e-6)
    assert sorted(one.species) == sorted(other.species)
    apart = one.positions[:, None] - other.positions[None]
    nearest = np.abs(apart - np.rint(apart)).sum(axis=2)
    assert nearest.min(axis=1).max() < 1e-6
    assert [other.species[i] for i in nearest.argmin(axis=1)] == list(one.species)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("replacements", [("Cs=K:1",), ("Cs=K:8",), ("Cs=Rb:2", "Br=vacancy:1", "Pb=Sn:1")])
def test_what_is_written_is_read_back(name: str, replacements: tuple[str, ...], tmp_path: Path) -> None:
    space = space_of(*replacements)
    style = FORMATS[name](space)
    for configuration, _ in zip(space.configurations(space.contents[0]), range(4), strict=False):
        assert_same(read_back(style.text(configuration), name, tmp_path), configuration.crystal())


def test_a_poscar_to_the_letter() -> None:
    space = ConfigurationSpace(load_host("CsPbBr3"), [parse_replacement("Cs=K:1")])
    [configuration] = space.configurations(space.contents[0])
    assert FORMATS["poscar"](space).text(configuration) == (
        "CsPbBr3 K1/c1 degeneracy 1\n"
        "1.0\n"
        "5.9900000000 0.0000000000 0.0000000000\n"
        "0.0000000000 5.9900000000 0.0000000000\n"
        "0.0000000000 0.0000000000 5.9900000000\n"
        "Pb Br K\n"
        "1 3 1\n"
        "Direct\n"
        "0.0000000000 0.0000000000 0.0000000000\n"
        "0.0000000000 0.0000000000 0.5000000000\n"
        "0.0000000000 0.5000000000 0.0000000000\n"
        "0.5000000000 0.0000000000 0.0000000000\n"
        "0.5000000000 0.5000000000 0.5000000000\n"
    )


def test_every_configuration_of_a_content_has_its_elements_in_one_order() -> None:
    space = space_of("Cs=K:3", "Br=Cl:1")
    style = FORMATS["poscar"](space)
    assert {style.text(c).splitlines()[5] for c in space.configurations(space.contents[0])} == {"Pb Br Cl Cs K"}


def picks_of(space: ConfigurationSpace) -> list[Pick]:
    return [pick for content in space.contents for pick in every(space, content)]


@pytest.mark.parametrize(
    ("name", "layout", "files"),
    [
        ("poscar", Layout.EACH, ["K1/c1.vasp", "K1/c2.vasp", *[f"K2/c{i}.vasp" for i in range(1, 7)]]),
        ("cif", Layout.ARCHIVE, ["K1.tar", "K2.tar"]),
        ("extxyz", Layout.TOGETHER, ["K1.extxyz", "K2.extxyz"]),
    ],
)
def test_folders(name: str, layout: Layout, files: list[str], tmp_path: Path) -> None:
    space = space_of("Cs=K:1-2")
    style = FORMATS[name](space)
    out = tmp_path / "new" / "out"
    assert write_configurations(picks_of(space), out, style, {"host": "Cs4PbBr6"}, layout) == 8
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == sorted([*files, "configurations.jsonl", "enumeration.json"])
    records = [json.loads(line) for line in (out / "configurations.jsonl").read_text().splitlines()]
    assert records == [pick.record() for pick in picks_of(space)]
    summary = json.loads((out / "enumeration.json").read_text())
    assert summary == {"schema": 1, "host": "Cs4PbBr6", "configurations": 8}
    texts = [style.text(pick.configuration) for pick in picks_of(space)]
    assert written(out, layout) == texts
    assert not list(out.parent.glob(".*"))


def written(out: Path, layout: Layout) -> list[str]:
    """The structures of a folder, in the order of their names, one a configuration."""
    if layout is Layout.EACH:
        return [path.read_text() for path in sorted(out.glob("*/*"))]
    if layout is Layout.ARCHIVE:
        texts = []
        for path in sorted(out.glob("*.tar")):
            with tarfile.open(path) as archive:
                texts += [archive.extractfile(member).read().decode() for member in archive]  # type: ignore[union-attr]
        return texts
    frames = "".join(path.read_text() for path in sorted(out.glob("*.extxyz"))).split("22\n")
    return [f"22\n{frame}" for frame in frames[1:]]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    space = space_of("Cs=K:1")
    style = FORMATS["poscar"](space)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(InputError, match="nothing is overwritten"):
            write_configurations(picks_of(space), tmp_path / name, style, {})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "link", "mine"]
    (tmp_path / "empty").mkdir()
    assert write_configurations(picks_of(space), tmp_path / "empty", style, {}) == 2


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    space = space_of("Cs=K:1")

    def stream() -> Any:
        yield picks_of(space)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_configurations(stream(), tmp_path / "out", FORMATS["poscar"](space), {})
    assert not list(tmp_path.iterdir())


def test_samples_are_written_like_enumerated_ones(tmp_path: Path) -> None:
    space = space_of("Cs=K:12", cell="2 2 1")
    picks = list(sampled(space, space.contents[0], 3, 1, Over.ORBITS))
    write_configurations(picks, tmp_path / "out", FORMATS["poscar"](space), {})
    records = [json.loads(line) for line in (tmp_path / "out" / "configurations.jsonl").read_text().splitlines()]
    assert [r["label"] for r in records] == ["K12/s0001", "K12/s0002", "K12/s0003"]
    assert {r["probability"] for r in records} == {1 / space.count(space.contents[0])}
    assert len(list((tmp_path / "out" / "K12").iterdir())) == 3


def configurations(space: ConfigurationSpace) -> list[Configuration]:
    return [pick.configuration for pick in picks_of(space)]


def test_filters_keep_what_they_say() -> None:
    space = space_of("Cs=K:3", cell="given")
    all_of_them = configurations(space)
    by_symbol = [c.label for c in all_of_them if space_groups(["P321"])(c)]
    by_number = [c.label for c in all_of_them if space_groups(["150"])(c)]
    assert by_symbol == by_number == ["K03/c41", "K03/c70"]
    far = MinimumDistance.parse("K-K:8").on(space)
    structures = [(c, c.crystal().to_pymatgen()) for c in all_of_them]
    for configuration, structure in structures:
        sites = [i for i, s in enumerate(structure) if s.specie.symbol == "K"]
        shortest = min(structure.get_distance(i, j) for i in sites for j in sites if i < j)
        assert far(configuration) == (shortest >= 8)
    assert 0 < sum(far(c) for c in all_of_them) < 70


@pytest.mark.parametrize("text", ["K-K", "K:6", "K-K:", "K-K:x", "K-K:-1", ""])
def test_what_is_no_minimum_distance(text: str) -> None:
    with pytest.raises(SubstitutionError, match="no minimum distance"):
        MinimumDistance.parse(text)


def test_filters_that_name_nothing_are_refused() -> None:
    with pytest.raises(SubstitutionError, match="'Na' is not on a substituted sublattice"):
        MinimumDistance.parse("Na-K:6").on(space_of("Cs=K:1"))
    with pytest.raises(SubstitutionError, match="'P999' is no space group"):
        space_groups(["P999"])


def test_distances_and_positions() -> None:
    space = space_of("Cs=K:3", "Br=vacancy:1", cell="given")
    geometry = Geometry(space)
    assert geometry.distances.diagonal() == pytest.approx(13.84597124)
    np.testing.assert_allclose(geometry.distances, geometry.distances.T, atol=1e-9)
    configuration = configurations(space)[0]
    positions = geometry.wyckoff(configuration)
    assert positions.startswith("K ")
    assert positions.endswith("vacancy 1×36f")
    assert len(geometry.between(configuration, "K", "K")) == 3
    assert len(geometry.between(configuration, "K", "vacancy")) == 3
    assert geometry.between(configuration, "vacancy", "vacancy") == [pytest.approx(13.84597124)]
