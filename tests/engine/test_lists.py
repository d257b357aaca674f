"""Self-consistency on k-points that are written out one by one, and calculations that begin where others ended."""

from __future__ import annotations

import gc
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.parsers.result import read_result

pytestmark = pytest.mark.engine
Job = Callable[..., Path]
Engine = Callable[..., subprocess.CompletedProcess[str]]
QUICK = {"NSW": "0", "ENCUT": "120", "EDIFF": "1E-7", "LORBIT": "11", "EMIN": "-35", "EMAX": "20"}


def _vasprun(folder: Path) -> Any:
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Vasprun(folder / "vasprun.xml", parse_potcar_file=False)


def _done(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, run_engine: Engine, write: Callable[..., Path]) -> Path:
    """The 2x2x2 mesh, with wave functions kept."""
    folder = write(tmp_path_factory.mktemp("lists") / "mesh", {**QUICK, "LWAVE": ".TRUE."})
    (folder / "vasp.out").write_text(_done(run_engine(folder)))
    return folder


@pytest.fixture(scope="module")
def listed(mesh: Path, run_engine: Engine, write: Callable[..., Path]) -> Path:
    """The irreducible points of the mesh as a list, and two points without weight: one new, one that is there too."""
    points = (mesh / "IBZKPT").read_text().splitlines()[3:]
    text = "\n".join(["list", "5", "Reciprocal", points[0], "0.25 0 0.25 0", *points[1:], "0.5 0 0 0"]) + "\n"
    folder = write(mesh.parent / "list", QUICK, text)
    _done(run_engine(folder))
    return folder


def test_an_irreducible_list_with_weights_is_the_mesh(mesh: Path, listed: Path) -> None:
    """The density is averaged over the crystal's group, so three points tell what the mesh's eight do."""
    ours, theirs = _vasprun(listed), _vasprun(mesh)
    assert float(ours.final_energy) == pytest.approx(float(theirs.final_energy), abs=1e-6)
    np.testing.assert_allclose(ours.ionic_steps[-1]["forces"], theirs.ionic_steps[-1]["forces"], atol=1e-5)
    np.testing.assert_allclose(ours.ionic_steps[-1]["stress"], theirs.ionic_steps[-1]["stress"], atol=1e-2)
    np.testing.assert_allclose(ours.tdos.densities.popitem()[1], theirs.tdos.densities.popitem()[1], atol=1e-3)
    assert ours.actual_kpoints_weights == [0.125, 0.0, 0.5, 0.375, 0.0]


def test_points_without_weight_have_their_eigenvalues(mesh: Path, listed: Path) -> None:
    from pymatgen.electronic_structure.core import Spin

    ours, theirs = (_vasprun(folder).eigenvalues[Spin.up] for folder in (listed, mesh))
    counted, repeated = ours[[0, 2, 3]], ours[4]
    np.testing.assert_allclose(counted[:, :9], theirs[:, :9], atol=1e-5)
    np.testing.assert_allclose(repeated[:9], theirs[1, :9], atol=1e-5)
    np.testing.assert_array_equal(ours[1, :, 1], [1] * 8 + [0] * 4)
    assert (np.diff(ours[1, :, 0]) >= 0).all()
    assert "eigenvalues are found last" in (listed / "OUTCAR").read_text()


def test_both_gaps_are_read(listed: Path) -> None:
    """Points without weight are a path beside the mesh."""
    result = read_result(listed)
    assert result.mesh is not None
    assert result.path is not None
    assert (len(result.mesh.kpoints), len(result.path.kpoints)) == (3, 2)
    assert not (listed / "IBZKPT").exists()


def test_bands_from_the_density_of_a_list(listed: Path, mesh: Path, run_engine: Engine, write: Any) -> None:
    from pymatgen.electronic_structure.core import Spin

    folder = write(mesh.parent / "bands", {**QUICK, "ICHARG": "11", "LORBIT": "0"}, "l\n1\nReciprocal\n0.25 0 0.25 1\n")
    shutil.copy(listed / "gpaw.gpw", folder)
    _done(run_engine(folder))
    ours, theirs = (_vasprun(f).eigenvalues[Spin.up] for f in (folder, listed))
    np.testing.assert_allclose(ours[0, :9, 0], theirs[1, :9, 0], atol=1e-4)


def test_istart_goes_on_from_the_wave_functions(mesh: Path, run_engine: Engine, write: Any) -> None:
    folder = write(mesh.parent / "again", {**QUICK, "ISTART": "1", "LORBIT": "0", "LWAVE": ".FALSE."})
    shutil.copy(mesh / "gpaw.gpw", folder)
    said = _done(run_engine(folder))
    assert "self-consistency begins with gpaw.gpw\n" in said
    ours, theirs = _vasprun(folder), _vasprun(mesh)
    assert len(ours.ionic_steps[0]["electronic_steps"]) <= 3 < len(theirs.ionic_steps[0]["electronic_steps"])
    assert float(ours.final_energy) == pytest.approx(float(theirs.final_energy), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("poscar", "gpaw.gpw holds the density of another structure than POSCAR"),
        ("encut", "gpaw.gpw was made with ENCUT = 120"),
        ("missing", "there is no gpaw.gpw"),
    ],
)
def test_a_density_that_does_not_fit_is_no_start(
    mesh: Path, job: Job, kbr: str, run_engine: Engine, change: str, words: str
) -> None:
    """As in VASP superposed atoms do then, and it is said."""
    tags = {**QUICK, "ICHARG": "1", "LORBIT": "0", "NELM": "2", "EDIFF": "1"}
    tags["ENCUT"] = "110" if change == "encut" else "120"
    poscar = kbr.replace("0.5 0.5 0.5", "0.5 0.5 0.51") if change == "poscar" else kbr
    folder = job(tags, "m\n0\nGamma\n1 1 1\n", poscar)
    if change != "missing":
        shutil.copy(mesh / "gpaw.gpw", folder)
    assert f"begins with superposed atoms: {words}" in _done(run_engine(folder))
    assert words in (folder / "OUTCAR").read_text()


def test_standard_output_is_vasps(mesh: Path) -> None:
    lines = (mesh / "vasp.out").read_text().splitlines()
    assert lines[0] == " running on    1 total cores"
    assert " POSCAR found type information on POSCAR K  Br" in lines
    assert " POSCAR found :  2 types and       2 ions" in lines
    assert lines[lines.index(" entering main loop") + 1].split()[:3] == ["N", "E", "dE"]
    assert lines[-1].startswith("   1 F= ")


def test_procar_xdatcar_and_charges_tell_what_vasprun_does(mesh: Path) -> None:
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Outcar, Procar, Vasprun, Xdatcar

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Vasprun(mesh / "vasprun.xml", parse_potcar_file=False, parse_projected_eigen=True)
        procar = Procar(mesh / "PROCAR")
    np.testing.assert_allclose(procar.data[Spin.up], run.projected_eigenvalues[Spin.up], atol=6e-4)
    np.testing.assert_allclose(procar.weights, run.actual_kpoints_weights)
    with warnings.catch_warnings():  # pymatgen leaves the file open
        warnings.simplefilter("ignore")
        (structure,) = Xdatcar(mesh / "XDATCAR").structures
        gc.collect()
    assert structure.matches(run.final_structure)
    charges = Outcar(mesh / "OUTCAR").charge
    assert 0.5 * 16 < sum(ion["tot"] for ion in charges) < 16
    assert charges[1]["p"] > charges[1]["d"]


def test_differences_stand_in_vasprun_too(mesh: Path) -> None:
    """What is done otherwise than in VASP is the result's provenance, wherever its one file goes."""
    vasprun = read_result(mesh).vasprun
    assert vasprun is not None
    outcar = (mesh / "OUTCAR").read_text()
    assert len(vasprun.header.differences) >= 5
    assert all(note in outcar for note in vasprun.header.differences)


def test_lorbit_ten_sums_the_orbitals(mesh: Path, job: Job, run_engine: Engine) -> None:
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Vasprun

    folder = job({**QUICK, "LORBIT": "10", "ISTART": "1"})
    shutil.copy(mesh / "gpaw.gpw", folder)
    _done(run_engine(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (
            Vasprun(f / "vasprun.xml", parse_potcar_file=False, parse_projected_eigen=True) for f in (folder, mesh)
        )
    sums = np.add.reduceat(theirs.projected_eigenvalues[Spin.up], [0, 1, 4], axis=-1)
    np.testing.assert_allclose(ours.projected_eigenvalues[Spin.up][:, :9], sums[:, :9], atol=2e-3)
