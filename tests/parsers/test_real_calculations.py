"""Every real calculation at hand, against the truth that was established for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.parsers.result import Result, read_result

REAL = Path(__file__).parents[3] / "shared" / "vasp"
if not (REAL / "manifest.json").is_file():
    pytest.skip("the real calculations are not beside this checkout (../shared/vasp)", allow_module_level=True)

WITH_VASPRUN = {
    entry["case"]: entry
    for entry in json.loads((REAL / "manifest.json").read_text())
    if "vasprun.xml.gz" in entry["files"]
}
Case = tuple[str, dict[str, Any], Result]
# Xenon, of which the program wrote 'X'.
FORMULAS_MENDED = {"pmg_Xe_species_X": "Xe1"}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {}


@pytest.fixture(params=sorted(WITH_VASPRUN))
def case(request: pytest.FixtureRequest, results: dict[str, Result]) -> Case:
    name: str = request.param
    if name not in results:
        results[name] = read_result(REAL / name)
    return name, WITH_VASPRUN[name]["truth"], results[name]


def test_the_whole_row(case: Case) -> None:
    name, truth, result = case
    row = result.to_json()
    assert row["formula"] == FORMULAS_MENDED.get(name, truth["formula"])
    assert row["program"] == "vasp"
    assert row["complete"] is truth["file_complete"]
    assert row["volume_A3"] == pytest.approx(truth["volume"], abs=1e-5)
    assert (row["metal"], row["direct"]) == (truth.get("metal"), truth.get("direct"))
    for key, true in (("gap", "gap"), ("direct_gap", "min_direct_gap"), ("vbm", "vbm"), ("cbm", "cbm")):
        if truth.get(true) is None:
            assert row[f"{key}_eV"] is None
        else:
            assert row[f"{key}_eV"] == pytest.approx(truth[true], abs=1e-3)
    for key in ("vbm_k", "cbm_k"):
        if truth.get(key) is None:
            assert row[key] is None
        else:
            assert np.abs(np.array(row[key]) - truth[key]).max(axis=1).min() < 1e-6
    if "energy_e0" in truth:
        assert row["energy_eV"] == pytest.approx(truth["energy_e0"], abs=1e-7)


def test_convergence(case: Case) -> None:
    _, truth, result = case
    if truth["file_complete"]:
        assert result.convergence.electronic is truth["scf_converged_last"]
    else:
        assert not result.convergence.electronic
        assert not result.convergence.ionic
    if truth["NSW"] <= 0:
        assert result.convergence.ionic is None
    if truth["ionic_limit_hit"]:
        assert result.convergence.ionic is False
    steps = [step.electronic_steps for step in result.vasprun.steps]
    assert steps == truth["nscf_per_step"]


def test_shapes(case: Case) -> None:
    _, truth, result = case
    dos = result.dos
    assert (dos is None) is (truth["tdos_shape"] is None)
    if dos is None:
        return
    spins, points, _ = truth["tdos_shape"]
    assert dos.total.shape == dos.integrated.shape == (spins, points)
    assert dos.energies.shape == (points,)
    assert (np.diff(dos.energies) > 0).all()
    assert dos.integrated[:, -1].tolist()[: len(truth["dos_final_integrated"])] == truth["dos_final_integrated"]
    if dos.efermi is not None:
        assert dos.efermi == truth["efermi"]
    if truth["pdos_shape"] is None:
        assert dos.projected is None
    else:
        ions, spins, points, columns = truth["pdos_shape"]
        assert dos.projected is not None
        assert dos.projected.shape == (ions, spins, columns - 1, points)
        assert len(dos.orbitals) == columns - 1


def test_bands(case: Case) -> None:
    _, truth, result = case
    data = result.vasprun.bands
    if truth.get("electrons_from_occ") is None:
        return
    assert data is not None
    assert data.eigenvalues.shape == (truth["ispin"], truth["nk"], truth["nbands"])
    assert (data.kpoints.weights == 0).sum() == truth["n_zero_weight"]
    unsorted = (np.diff(data.eigenvalues, axis=2) < 0).any()
    assert unsorted == truth["unsorted_bands_in_file"]


@pytest.mark.parametrize("name", [n for n, e in WITH_VASPRUN.items() if "gap_scf_mesh_only" in e["truth"]])
def test_gaps_of_mesh_and_path_apart(name: str) -> None:
    truth, result = WITH_VASPRUN[name]["truth"], read_result(REAL / name)
    assert result.gap.mesh is not None
    assert result.gap.path is not None
    assert result.gap.mesh.gap == pytest.approx(truth["gap_scf_mesh_only"], abs=1e-3)
    assert result.gap.path.gap == pytest.approx(truth["gap_zero_weight_path_only"], abs=1e-3)


def test_dielectric_functions(case: Case) -> None:
    _, truth, result = case
    found = [
        {
            "comment": d.kind,
            "n": len(d.energies),
            "first_imag_row": [d.energies[0], *d.imaginary[0]],
            "first_real_row": [d.energies[0], *d.real[0]],
        }
        for d in result.vasprun.dielectric
    ]
    assert found == truth["dielectric"]
