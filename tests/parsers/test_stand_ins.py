"""Files that stand in for vasprun.xml: each against vasprun.xml of the same calculation, and alone in a folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import ParseError
from kalloy.parsers.doscar import read_doscar
from kalloy.parsers.eigenval import read_eigenval
from kalloy.parsers.oszicar import read_oszicar
from kalloy.parsers.outcar import read_outcar
from kalloy.parsers.poscar import read_poscar
from kalloy.parsers.result import assemble, read_result
from kalloy.parsers.vaspout import can_read

REAL = Path(__file__).parents[3] / "shared" / "vasp"
if not (REAL / "manifest.json").is_file():
    pytest.skip("the real calculations are not beside this checkout (../shared/vasp)", allow_module_level=True)

MANIFEST = {entry["case"]: entry for entry in json.loads((REAL / "manifest.json").read_text())}


def beside_vasprun(name: str) -> list[Path]:
    return sorted(file for file in REAL.glob(f"*/{name}*") if (file.parent / "vasprun.xml.gz").is_file())


def identity(file: Path) -> str:
    return file.parent.name


@pytest.mark.parametrize("file", beside_vasprun("OUTCAR"), ids=identity)
def test_outcar_says_what_vasprun_says(file: Path) -> None:
    from_outcar = assemble("x", read_outcar(file))
    from_vasprun = read_result(file.parent)
    one, other = from_outcar.to_json(), from_vasprun.to_json()
    assert from_outcar.vasprun.complete
    # The program prints fewer decimals of energies in 5.2 and only three of k-point weights.
    assert one.pop("energy_eV") == pytest.approx(other.pop("energy_eV"), abs=1e-6)
    for key in ("folder", "gap_source", "warnings"):
        one.pop(key)
        other.pop(key)
    assert one == other
    if from_outcar.stress is not None and from_vasprun.stress is not None:
        assert np.allclose(from_outcar.stress, from_vasprun.stress, atol=1e-5)
        assert from_outcar.forces is not None
        assert from_vasprun.forces is not None
        assert np.allclose(from_outcar.forces, from_vasprun.forces, atol=1e-6)


@pytest.mark.parametrize("name", [n for n, e in MANIFEST.items() if "outcar" in e["truth"] and "nk" not in e["truth"]])
def test_outcar_alone(name: str) -> None:
    truth = MANIFEST[name]["truth"]["outcar"]
    result = read_result(REAL / name)
    assert result.complete is truth["timing_block"]
    if truth["eig_text"] is None:
        assert result.to_json()["gap_eV"] is None
        assert result.convergence.electronic is None
        return
    assert result.last_step is not None
    assert result.last_step.energy_free == pytest.approx(truth["toten_last"])
    assert result.gap.gap == pytest.approx(truth["eig_text"]["gap_occ0.5"], abs=1e-3)
    assert result.convergence.electronic is (truth["last_iter"][1] < truth["NELM"])


@pytest.mark.parametrize("file", beside_vasprun("EIGENVAL"), ids=identity)
def test_eigenval_gives_the_gap_of_vasprun(file: Path) -> None:
    from_eigenval, from_vasprun = assemble("x", read_eigenval(file)), read_result(file.parent)
    bands, reference = from_eigenval.vasprun.bands, from_vasprun.vasprun.bands
    assert bands is not None
    assert reference is not None
    assert np.allclose(bands.eigenvalues, reference.eigenvalues, atol=6e-5)
    assert from_eigenval.gap.metal is from_vasprun.gap.metal
    assert from_eigenval.gap.direct is from_vasprun.gap.direct
    assert from_eigenval.gap.gap == pytest.approx(from_vasprun.gap.gap, abs=2e-4)
    assert not from_eigenval.complete
    assert not from_eigenval.convergence.electronic


@pytest.mark.parametrize("file", beside_vasprun("DOSCAR"), ids=identity)
def test_doscar_gives_the_density_of_vasprun(file: Path) -> None:
    reference = read_result(file.parent).dos
    assert reference is not None
    dos = read_doscar(file, reference.species)
    assert np.allclose(dos.energies, reference.energies, atol=6e-4)
    assert np.allclose(dos.total, reference.total, atol=6e-3)
    assert np.allclose(dos.integrated, reference.integrated, atol=6e-3)
    assert dos.efermi == pytest.approx(reference.efermi, abs=1e-7)
    if reference.projected is not None:
        assert dos.projected is not None
        assert np.allclose(dos.projected, reference.projected, atol=6e-3)
        assert dos.shells == reference.shells


def test_doscar_of_spinors() -> None:
    dos = read_doscar(REAL / "parsevasp_doscar_ncl" / "DOSCAR.gz")
    assert dos.noncollinear
    assert dos.total.shape == (4, 301)
    assert dos.projected is not None
    assert dos.projected.shape == (2, 4, 9, 301)
    assert dos.sum_of_spins.tolist() == dos.total[0].tolist()


@pytest.mark.parametrize("file", beside_vasprun("OSZICAR"), ids=identity)
def test_oszicar_gives_the_energy_of_vasprun(file: Path) -> None:
    run, reference = read_oszicar(file), read_result(file.parent)
    assert run.last_complete_step is not None
    assert reference.energy is not None
    assert run.last_complete_step.energy_zero == pytest.approx(reference.energy, rel=1e-7)
    assert [s.electronic_steps for s in run.steps] == [s.electronic_steps for s in reference.vasprun.steps]


@pytest.mark.parametrize("file", beside_vasprun("CONTCAR"), ids=identity)
def test_contcar_gives_the_structure_of_vasprun(file: Path) -> None:
    crystal, reference = read_poscar(file), read_result(file.parent).crystal
    assert reference is not None
    assert crystal.formula == reference.formula
    assert crystal.volume == pytest.approx(reference.volume, rel=1e-6)


def test_a_broken_vasprun_is_filled_up_from_the_other_files(tmp_path: Path) -> None:
    whole = REAL / "custodian_K4Sn4O6_fullset"
    for name in ("OUTCAR.gz", "CONTCAR"):
        shutil.copy(whole / name, tmp_path)
    (tmp_path / "vasprun.xml.gz").write_bytes((whole / "vasprun.xml.gz").read_bytes()[:3000])
    row, truth = read_result(tmp_path).to_json(), MANIFEST[whole.name]["truth"]
    assert row["complete"] is False
    assert not row["electronic_converged"]
    assert row["gap_eV"] == pytest.approx(truth["gap"], abs=1e-3)
    assert row["energy_eV"] == pytest.approx(truth["energy_e0"])
    assert any("stream is broken" in warning for warning in row["warnings"])
    assert any("OUTCAR.gz" in warning for warning in row["warnings"])


def test_files_without_an_end_marker_prove_no_convergence(tmp_path: Path) -> None:
    whole = REAL / "custodian_K4Sn4O6_fullset"
    for name in ("EIGENVAL", "OSZICAR", "CONTCAR", "DOSCAR.gz"):
        shutil.copy(whole / name, tmp_path)
    result = read_result(tmp_path)
    row, truth = result.to_json(), MANIFEST[whole.name]["truth"]
    assert row["formula"] == truth["formula"]
    assert row["gap_eV"] == pytest.approx(truth["gap"], abs=1e-3)
    assert row["energy_eV"] == pytest.approx(truth["energy_e0"], rel=1e-6)
    assert (row["complete"], row["electronic_converged"]) == (False, None)
    assert result.dos is not None


def test_what_ended_a_calculation_is_named(tmp_path: Path) -> None:
    shutil.copy(REAL / "pmg_bad_truncated" / "vasprun.xml.gz", tmp_path)
    (tmp_path / "slurm-12.out").write_text("slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT … DUE TO TIME LIMIT ***\n")
    (tmp_path / "vasp.out").write_text("forrtl: error (78): process killed (SIGTERM)\n")
    assert "ended by the time limit (says slurm-12.out)" in read_result(tmp_path).warnings


def test_vaspout() -> None:
    folder = REAL / "pmg_h5_Si_linemode"
    if not can_read():
        with pytest.raises(ParseError, match="without h5py; pip install h5py"):
            read_result(folder)
        return
    result = read_result(folder)
    assert result.complete
    assert result.formula == "Ga1Sb1"
    assert result.gap.gap == pytest.approx(0.78098, abs=1e-4)
    assert result.gap.source == "mesh+path"
    assert result.dos is not None
