"""Inputs as they are written, read by pymatgen and ASE: the same crystal, settings, k-points and datasets.

Every tag of every preset is held by ``tests/workflows/test_inputs.py``, every kind of mesh by ``test_meshes.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.structures.host import load_host
from kalloy.structures.symmetry import dataset
from kalloy.workflows.attempt import Attempt
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.creation import new_campaign
from kalloy.workflows.inputs.kpoints import line_text, list_text
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.path import BandPath, band_path
from kalloy.workflows.inputs.reduction import Irreducible, irreducible
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt


@pytest.fixture
def campaign(tmp_path: Path, potcar_library: Path) -> Campaign:
    """One K on the primitive cell's eight Cs, for VASP."""
    return new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="paper-gamma", engine="vasp")


@pytest.fixture
def attempt(campaign: Campaign) -> Attempt:
    """Its first relaxation."""
    return write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX)


@pytest.fixture(scope="module")
def path() -> BandPath:
    """Of the host's primitive cell."""
    return band_path(load_host("Cs4PbBr6", cell="primitive").crystal, "host")


def test_a_folder_is_an_input_of_pymatgen(campaign: Campaign, attempt: Attempt) -> None:
    from pymatgen.io.vasp.inputs import VaspInput

    read, crystal = VaspInput.from_directory(attempt.folder), campaign.member("K1/c2").crystal
    structure = read["POSCAR"].structure
    np.testing.assert_allclose(structure.lattice.matrix, crystal.lattice, atol=1e-14)
    np.testing.assert_allclose(structure.frac_coords, crystal.positions, atol=1e-14)
    assert [site.specie.symbol for site in structure] == list(crystal.species)
    assert read["POTCAR"].symbols == ["Cs_sv", "K_sv", "Pb_d", "Br"]
    assert [p.element for p in read["POTCAR"]] == read["POSCAR"].site_symbols
    assert (read["KPOINTS"].style.name, tuple(read["KPOINTS"].kpts[0])) == ("Gamma", (4, 4, 3))
    assert {k: read["INCAR"][k] for k in TAGS} == TAGS


TAGS: dict[str, Any] = {"ENCUT": 400, "EDIFF": 1e-6, "EDIFFG": -0.02, "IBRION": 2, "ISIF": 3, "NSW": 100, "SIGMA": 0.05}
TAGS |= {"PREC": "Accurate", "ALGO": "Normal", "LASPH": True, "LREAL": False, "LWAVE": False, "ISMEAR": 0}


def test_a_folder_is_an_input_of_ase(
    campaign: Campaign, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ase.calculators.vasp import Vasp
    from ase.io import read

    atoms, crystal = read(attempt.folder / "POSCAR"), campaign.member("K1/c2").crystal
    np.testing.assert_allclose(atoms.cell.array, crystal.lattice, atol=1e-14)
    np.testing.assert_allclose(atoms.get_scaled_positions(wrap=False), crystal.positions, atol=1e-14)
    assert atoms.get_chemical_symbols() == list(crystal.species)
    calculator = Vasp(directory=tmp_path / "ase")
    calculator.read_incar(attempt.folder / "INCAR")
    calculator.read_kpoints(attempt.folder / "KPOINTS")
    settings = calculator.asdict()["inputs"]
    assert {k: settings[k.lower()] for k in TAGS} == TAGS
    assert settings["gamma"] is True
    assert list(settings["kpts"]) == [4, 4, 3]


def test_a_path_is_pymatgens_path(path: BandPath) -> None:
    from pymatgen.io.vasp.inputs import Kpoints

    read = Kpoints.from_str(line_text(path, 7))
    assert (read.style.name, read.num_kpts, read.coord_type) == ("Line_mode", 7, "Reciprocal")
    np.testing.assert_array_equal(read.kpts, [point for _, point in path.ends])
    assert read.labels == [label.replace("Γ", "GAMMA") for label, _ in path.ends]


def test_a_list_with_weightless_points_is_pymatgens_list(path: BandPath) -> None:
    from pymatgen.io.vasp.inputs import Kpoints

    mesh, walk = _irreducible(), path.walk(3)
    read = Kpoints.from_str(list_text(mesh, path, 3, "a list"))
    assert read.style.name == "Reciprocal"
    np.testing.assert_allclose(read.kpts, [*mesh.points, *(point for _, point in walk)], atol=1e-15)
    assert list(read.kpts_weights or []) == [*mesh.weights, *[0] * len(walk)]


def test_a_list_is_ases_list(path: BandPath, tmp_path: Path) -> None:
    """Without its labels, which ASE does not know."""
    from ase.calculators.vasp import Vasp

    mesh, walk = _irreducible(), path.walk(3)
    head, rows = (lines := list_text(mesh, path, 3, "a list").splitlines())[:3], lines[3:]
    (tmp_path / "KPOINTS").write_text("\n".join([*head, *(" ".join(row.split()[:4]) for row in rows)]))
    calculator = Vasp(directory=tmp_path)
    calculator.read_kpoints(tmp_path / "KPOINTS")
    settings = calculator.asdict()["inputs"]
    assert settings["reciprocal"] is True
    points, weights = [*mesh.points, *(point for _, point in walk)], [*mesh.weights, *[0] * len(walk)]
    np.testing.assert_allclose(settings["kpts"], np.column_stack([points, weights]), atol=1e-15)


def _irreducible() -> Irreducible:
    host = load_host("Cs4PbBr6", cell="primitive").crystal
    return irreducible(Mesh.uniform((2, 2, 2), "Gamma"), np.asarray(dataset(host).rotations))
