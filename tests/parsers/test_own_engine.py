"""What the free engine wrote for KBr (200 eV, 2x2x2), read from each of its files; no other data needed.

The gap from its plane-wave eigenvalues is 4.2248 eV at Γ; energies agree with the engine's own OSZICAR.
"""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import trapezoid

from kalloy.parsers.character import edge_character
from kalloy.parsers.dispersion import edge_widths
from kalloy.parsers.doscar import read_doscar
from kalloy.parsers.optics import choose
from kalloy.parsers.result import read_result

KBR = Path(__file__).parent / "data" / "KBr"
STAGES = ("relax", "static", "dos", "bands")


@pytest.mark.parametrize("stage", STAGES)
def test_the_whole_row(stage: str) -> None:
    row = read_result(KBR / stage).to_json()
    energy = {"relax": -5.61302866, "static": -5.61302856, "dos": -5.70801834, "bands": -5.20437983}[stage]
    gap = 4.224794 if stage == "relax" else 4.224777
    assert row.pop("folder").endswith(stage)
    assert row.pop("gap_eV") == row.pop("direct_gap_eV") == pytest.approx(gap, abs=1e-6)
    assert row.pop("cbm_eV") - row.pop("vbm_eV") == pytest.approx(gap, abs=2e-6)
    assert row == {
        "schema": 1,
        "program": "gpaw",
        "formula": "K1Br1",
        "complete": True,
        "electronic_converged": True,
        "ionic_converged": True if stage == "relax" else None,
        "energy_eV": energy,
        "volume_A3": 76.66727,
        "metal": False,
        "direct": True,
        "vbm_k": [[0.0, 0.0, 0.0]],
        "cbm_k": [[0.0, 0.0, 0.0]],
        "gap_source": "path" if stage == "bands" else "mesh",
        "warnings": [],
    }


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("name", ["OUTCAR.gz", "EIGENVAL.gz", "OSZICAR.gz"])
def test_every_file_tells_the_same(stage: str, name: str) -> None:
    whole, part = read_result(KBR / stage), read_result(KBR / stage / name)
    if name != "OSZICAR.gz":
        assert part.gap.gap == pytest.approx(whole.gap.gap, abs=2e-4)
        assert part.gap.direct is whole.gap.direct
    if name != "EIGENVAL.gz":
        assert part.energy == pytest.approx(whole.energy, rel=1e-6)
        steps = [[s.electronic_steps for s in r.vasprun.steps] for r in (part, whole)]
        assert steps[0] == steps[1]
    assert part.complete is (name == "OUTCAR.gz")


def test_a_path_carries_its_labels() -> None:
    path = read_result(KBR / "bands").path
    assert path is not None
    assert [s.labels for s in path.segments] == [("GAMMA", "X"), ("X", "W")]
    assert path.segments[-1].stop == len(path.kpoints)
    distances = path.distances()
    assert (np.diff(distances) >= 0).all()


def test_the_density_of_states_adds_up() -> None:
    result = read_result(KBR / "dos")
    assert result.dos is not None
    found = edge_character(result.dos, result.gap, nelect=16)
    assert found.warnings == ()
    assert found.electrons_below_gap == pytest.approx(16, abs=0.05)
    assert found.valence.shells["Br", "p"].share > 0.5 > found.valence.elements["K"].share
    from_doscar = read_doscar(KBR / "static" / "DOSCAR.gz", ("K", "Br"))
    static = read_result(KBR / "static").dos
    assert static is not None
    assert np.allclose(from_doscar.total, static.total, atol=6e-3)


def test_widths() -> None:
    result = read_result(KBR / "static")
    assert result.mesh is not None
    widths = edge_widths(result.mesh, result.gap)
    energies = result.mesh.sorted()[0]
    assert widths.valence[0] == pytest.approx(float(np.ptp(energies[:, 7])))
    assert widths.conduction[0] == pytest.approx(float(np.ptp(energies[:, 8])))


def test_a_killed_run_is_never_converged(tmp_path: Path) -> None:
    text = gzip.decompress((KBR / "relax" / "vasprun.xml.gz").read_bytes())
    for cut in range(700, len(text) - 20, max(1, len(text) // 60)):
        (tmp_path / "vasprun.xml").write_bytes(text[:cut])
        row = read_result(tmp_path).to_json()
        assert (row["complete"], bool(row["electronic_converged"]), bool(row["ionic_converged"])) == (
            False,
            False,
            False,
        )
    shutil.copy(KBR / "relax" / "OUTCAR.gz", tmp_path)
    row = read_result(tmp_path).to_json()
    assert row["gap_eV"] == pytest.approx(4.2248, abs=1e-3)
    assert row["complete"] is False


# -- other kinds of calculations (data/remake.py) --------------------------------------------

IRON = KBR.parent / "Fe" / "static"


def test_a_magnet_has_two_channels() -> None:
    """Its moment is OSZICAR's, 2.2265, from occupations and from both integrated densities of states."""
    result = read_result(IRON)
    assert result.gap.metal is True
    assert result.mesh is not None
    weights = result.mesh.weights
    up, down = np.einsum("k,skn->s", weights, result.mesh.occupations)
    assert up - down == pytest.approx(2.2265, abs=2e-3)
    assert up + down == pytest.approx(8, abs=1e-4)
    dos = result.dos
    assert dos is not None
    assert dos.efermi is not None
    filled = [np.interp(dos.efermi, dos.energies, channel) for channel in dos.integrated]
    assert filled[0] - filled[1] == pytest.approx(2.2265, abs=0.05)
    assert dos.projected is not None
    assert dos.projected.shape[:2] == (1, 2)


def test_a_list_has_a_mesh_and_a_path_beside_it() -> None:
    """The two points without weight; Γ of the mesh holds both edges."""
    result = read_result(KBR / "list")
    assert result.mesh is not None
    assert result.path is not None
    assert result.mesh.weights.tolist() == [0.125, 0.5, 0.375]
    assert result.path.kpoints.tolist() == [[0.25, 0, 0.25], [0.125, 0, 0.125]]
    assert result.gap.mesh is not None
    assert result.gap.path is not None
    assert (result.gap.gap, result.gap.mesh.gap, result.gap.path.gap) == (4.265543, 4.265543, 4.788736)
    assert result.energy == -5.25595933


def test_spinors_hold_one_electron() -> None:
    """Coupling splits the valence band of bromine and takes 0.17 eV of the gap that the scalar states have."""
    plain, coupled = read_result(KBR / "list"), read_result(KBR / "soc")
    assert coupled.mesh is not None
    assert coupled.mesh.electrons_per_band == 1
    assert coupled.mesh.eigenvalues.shape == (1, 3, 24)
    assert plain.gap.gap is not None
    assert coupled.gap.gap is not None
    assert plain.gap.gap - coupled.gap.gap == pytest.approx(0.169, abs=1e-3)
    assert coupled.dos is not None
    assert coupled.dos.noncollinear


def test_a_dielectric_function_begins_above_the_gap() -> None:
    result = read_result(KBR / "optics")
    dielectric = choose(result.vasprun.dielectric)
    assert dielectric is not None
    assert dielectric.real.shape == (201, 6)
    assert dielectric.real[0, :3].tolist() == [3.064] * 3
    omega, imaginary = dielectric.energies[1:], dielectric.imaginary[1:, 0]
    static = 1 + 2 / np.pi * trapezoid(imaginary / omega, omega)
    assert static == pytest.approx(3.064, abs=0.1)
    assert result.gap.direct_gap is not None
    assert imaginary[omega < result.gap.direct_gap - 1].max() < 0.05 * imaginary.max()


def test_what_a_kill_left() -> None:
    """Two whole steps and an open one; OUTCAR and OSZICAR hold the same energies, and nothing seems converged."""
    result = read_result(KBR / "killed")
    row = result.to_json()
    assert (row["complete"], row["electronic_converged"], row["ionic_converged"]) == (False, None, False)
    assert [step.closed for step in result.vasprun.steps] == [True, True, False]
    energies = [step.energy_free for step in result.vasprun.steps]
    for name in ("OUTCAR.gz", "OSZICAR.gz"):
        other = read_result(KBR / "killed" / name)
        assert [step.energy_free for step in other.vasprun.steps] == pytest.approx(energies, abs=1e-7)
        assert other.complete is False


@pytest.mark.parametrize("folder", ["list", "soc", "optics", "killed"])
def test_what_is_done_otherwise_than_in_vasp_is_known(folder: str) -> None:
    differences = read_result(KBR / folder).vasprun.header.differences
    word = {"list": "k-points without weight", "soc": "LSORBIT", "optics": "LOPTICS", "killed": "EDIFFG < 0"}[folder]
    assert any(word in note for note in differences)


@pytest.mark.parametrize("folder", ["Fe/static", "KBr/list", "KBr/soc", "KBr/optics"])
def test_eigenvalues_of_every_file_agree(folder: str) -> None:
    whole = read_result(KBR.parent / folder)
    for name in ("OUTCAR.gz", "EIGENVAL.gz"):
        part = read_result(KBR.parent / folder / name)
        assert part.gap.metal is whole.gap.metal
        assert part.gap.gap == pytest.approx(whole.gap.gap, abs=2e-4)
