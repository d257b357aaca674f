"""The free engine's files as pymatgen and ASE read them, value by value beside what we read.

That custodian's validators and handlers accept them is held by ``tests/engine/test_files.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.parsers.doscar import read_doscar
from kalloy.parsers.model import IonicStep
from kalloy.parsers.result import Result, read_result
from kalloy.parsers.vasprun import read_vasprun

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("interoperability")]
KILOBAR = 0.1 / 160.21766208
"""eV/Å3."""


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """Readers warn of files that they find odd: none of ours may be."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".* is an unconverged VASP run")  # which two steps are, truly
        yield


@pytest.fixture(params=["moved", "bands"])
def folder(request: pytest.FixtureRequest) -> Path:
    """Either calculation."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Path)
    return found


def _vasprun(folder: Path) -> Any:
    from pymatgen.io.vasp.outputs import Vasprun

    return Vasprun(folder / "vasprun.xml", parse_potcar_file=False, parse_projected_eigen=True)


def _ours(folder: Path, name: str = "") -> Result:
    result = read_result(folder / name)
    assert result.vasprun.bands is not None
    return result


def _same_step(ours: IonicStep, structure: Any, zero: float, free: float, forces: Any, stress: Any) -> None:
    """``structure`` is pymatgen's; stress in kB, in VASP's sign."""
    assert ours.crystal is not None
    np.testing.assert_allclose(ours.crystal.lattice, structure.lattice.matrix, atol=1e-7)
    np.testing.assert_allclose(ours.crystal.positions @ ours.crystal.lattice, structure.cart_coords, atol=1e-5)
    assert list(ours.crystal.species) == [site.specie.symbol for site in structure]
    assert (ours.energy_zero, ours.energy_free) == pytest.approx((zero, free), abs=2e-8)
    if ours.forces is None:
        assert forces is None
        assert stress is None
        return
    assert np.abs(ours.forces).max() > 0.01
    assert ours.stress is not None
    np.testing.assert_allclose(ours.forces, forces, atol=1e-6)
    np.testing.assert_allclose(ours.stress, stress, atol=1e-4)


# -- structures, energies, forces, stresses --------------------------------------------


def test_every_step_is_pymatgens(folder: Path) -> None:
    run, steps = _vasprun(folder), _ours(folder).vasprun.steps
    assert len(steps) == len(run.ionic_steps) == {"moved": 2, "bands": 1}[folder.name]
    for ours, theirs in zip(steps, run.ionic_steps, strict=True):
        energies = theirs["e_0_energy"], theirs["e_fr_energy"]
        _same_step(ours, theirs["structure"], *energies, theirs.get("forces"), theirs.get("stress"))


@pytest.mark.parametrize("name", ["vasprun.xml", "OUTCAR"])
def test_every_step_is_ases(moved: Path, name: str) -> None:
    from ase.io import read
    from pymatgen.io.ase import AseAtomsAdaptor

    images, steps = read(moved / name, index=":"), _ours(moved, name).vasprun.steps
    assert len(images) == len(steps) == 2
    for ours, atoms in zip(steps, images, strict=True):
        stress = -atoms.get_stress(voigt=False) / KILOBAR
        results = atoms.calc.results
        structure = AseAtomsAdaptor.get_structure(atoms)
        _same_step(ours, structure, results["energy"], results["free_energy"], atoms.get_forces(), stress)


def test_ase_reads_bands_from_vasprun(bands: Path) -> None:
    """Not from OUTCAR: in a kept density there are no forces, and ASE asks for them there."""
    from ase.io import read

    atoms = read(bands / "vasprun.xml")
    assert set(atoms.calc.results) == {"energy", "free_energy"}
    assert atoms.get_potential_energy() == pytest.approx(_ours(bands).energy, abs=1e-8)


def test_files_beside_vasprun_say_the_same(folder: Path) -> None:
    from ase.io import read
    from pymatgen.io.vasp.outputs import Oszicar, Outcar

    ours, outcar = _ours(folder), Outcar(folder / "OUTCAR")
    step = ours.last_step
    assert step is not None
    assert step.crystal is not None
    assert ours.dos is not None
    assert (outcar.final_energy, outcar.final_fr_energy) == pytest.approx((ours.energy, step.energy_free), abs=1e-7)
    assert outcar.nelect == ours.parameters["NELECT"] == 16
    if folder.name == "bands":
        assert outcar.efermi == pytest.approx(ours.dos.efermi, abs=1e-4)
    else:  # of several steps without spin pymatgen takes the first's level, ASE each step's own
        assert read(folder / "OUTCAR").calc.get_fermi_level() == pytest.approx(ours.dos.efermi, abs=1e-4)
    assert float(Oszicar(folder / "OSZICAR").final_energy) == pytest.approx(ours.energy, rel=1e-7)
    last = read(folder / "XDATCAR", index=-1)
    np.testing.assert_allclose(last.cell.array, step.crystal.lattice, atol=1e-5)
    apart = last.get_scaled_positions() - step.crystal.positions
    np.testing.assert_allclose(apart - np.rint(apart), 0, atol=1e-7)


# -- eigenvalues, densities of states, projections -------------------------------------


def test_eigenvalues_and_occupations_are_pymatgens(folder: Path) -> None:
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Eigenval

    bands, run = _ours(folder).vasprun.bands, _vasprun(folder)
    assert bands is not None
    np.testing.assert_allclose(bands.kpoints.coordinates, run.actual_kpoints, atol=1e-8)
    np.testing.assert_allclose(bands.kpoints.weights, run.actual_kpoints_weights, atol=1e-8)
    for theirs, within in ((run.eigenvalues, 1e-9), (Eigenval(folder / "EIGENVAL").eigenvalues, 1e-6)):
        np.testing.assert_allclose(bands.eigenvalues[0], theirs[Spin.up][:, :, 0], atol=within)
        np.testing.assert_allclose(bands.occupations[0], theirs[Spin.up][:, :, 1], atol=1e-6)


def test_eigenvalues_and_occupations_are_ases(folder: Path) -> None:
    from ase.io import read

    calc, bands = read(folder / "vasprun.xml").calc, _ours(folder).vasprun.bands
    assert bands is not None
    np.testing.assert_allclose(calc.get_ibz_k_points(), bands.kpoints.coordinates, atol=1e-8)
    for k in range(len(bands.kpoints.weights)):
        np.testing.assert_allclose(calc.get_eigenvalues(kpt=k), bands.eigenvalues[0, k], atol=1e-9)
        # ASE counts the electrons of a state: two.
        np.testing.assert_allclose(calc.get_occupation_numbers(kpt=k), 2 * bands.occupations[0, k], atol=1e-9)


def test_the_gap_is_pymatgens(folder: Path) -> None:
    ours, run = _ours(folder).gap, _vasprun(folder)
    assert ours.vbm is not None
    assert ours.cbm is not None
    gap, cbm, vbm, direct = run.eigenvalue_band_properties
    assert (ours.gap, ours.cbm.energy, ours.vbm.energy) == pytest.approx((gap, cbm, vbm), abs=1e-6)
    assert ours.direct == direct
    structure = run.get_band_structure(folder / "KPOINTS", line_mode=folder.name == "bands")
    theirs = structure.get_band_gap()
    assert (theirs["energy"], theirs["direct"]) == (pytest.approx(ours.gap, abs=1e-6), ours.direct)
    assert structure.get_direct_band_gap() == pytest.approx(ours.direct_gap, abs=1e-6)


def test_branches_and_labels_are_pymatgens(bands: Path) -> None:
    path = _ours(bands).path
    assert path is not None
    branches = _vasprun(bands).get_band_structure(bands / "KPOINTS", line_mode=True).branches
    named = [(b["name"].split("-"), b["start_index"], b["end_index"] + 1) for b in branches]
    assert named == [(list(s.labels), s.start, s.stop) for s in path.segments]


def test_the_density_of_states_is_pymatgens_and_ases(folder: Path) -> None:
    from ase.calculators.vasp import VaspDos
    from ase.io import read
    from pymatgen.electronic_structure.core import Orbital, Spin

    dos, run = _ours(folder).dos, _vasprun(folder)
    assert dos is not None
    assert dos.projected is not None
    assert dos.efermi == pytest.approx(run.efermi, abs=1e-8)
    assert dos.efermi == pytest.approx(read(folder / "vasprun.xml").calc.get_fermi_level(), abs=1e-8)
    np.testing.assert_allclose(dos.energies, run.tdos.energies, atol=1e-8)
    np.testing.assert_allclose(dos.total[0], run.tdos.densities[Spin.up], atol=1e-8)
    np.testing.assert_allclose(dos.integrated[0], run.idos.densities[Spin.up], atol=1e-8)
    for ion, theirs in enumerate(run.pdos):
        for index in range(9):
            np.testing.assert_allclose(dos.projected[ion, 0, index], theirs[Orbital(index)][Spin.up], atol=1e-8)
    table, written = VaspDos(str(folder / "DOSCAR")), read_doscar(folder / "DOSCAR", ("K", "Br"))
    np.testing.assert_allclose(table.energy, written.energies, atol=1e-8)
    np.testing.assert_allclose(table.dos, written.total[0], atol=1e-8)
    assert written.projected is not None
    np.testing.assert_allclose(table.site_dos(1, "s"), written.projected[1, 0, 0], atol=1e-8)


def test_projections_are_pymatgens(folder: Path) -> None:
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Procar

    ours = read_vasprun(folder / "vasprun.xml", projections=True).projections
    assert ours is not None
    weights = ours.weights[0]
    assert weights.max() > 0.5
    run = _vasprun(folder)
    np.testing.assert_allclose(weights, run.projected_eigenvalues[Spin.up], atol=1e-8)
    procar = Procar(folder / "PROCAR")  # which takes a point that is listed twice, where lines meet, once
    points = run.actual_kpoints
    once = [k for k in range(len(points)) if k == 0 or points[k] != points[k - 1]]
    np.testing.assert_allclose(weights[once], procar.data[Spin.up], atol=1e-3)
