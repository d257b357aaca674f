"""Optics, spin-orbit coupling and tetrahedra: sum rules, known splittings, and what others read."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.units import Bohr, Ha

from kalloy.parsers.optics import choose, spectrum
from kalloy.parsers.result import read_result

pytestmark = pytest.mark.engine


def test_both_are_complete_and_converged(optics: Path, soc: Path) -> None:
    """NELM = 1 stands for one exact diagonalisation, and vasprun.xml alone holds all that was written."""
    for folder in (optics, soc):
        result = read_result(folder)
        assert result.convergence.complete
        assert result.convergence.electronic
        assert result.convergence.warnings == ()


def test_the_oscillator_strength_is_that_of_the_electrons(optics: Path) -> None:
    """∫ ω ε₂ dω = π/2 ωp², ωp² = 4π N/V (atomic units): few bands give a part of the 16 electrons, never more."""
    result = read_result(optics)
    dielectric = choose(result.vasprun.dielectric)
    assert dielectric is not None
    assert result.crystal is not None
    omega = dielectric.energies / Ha
    found = np.trapezoid(omega * dielectric.imaginary[:, 0], omega) * 2 / np.pi
    electrons = found * result.crystal.volume / Bohr**3 / (4 * np.pi)
    assert 2 < electrons < 16


def test_both_parts_belong_together(optics: Path) -> None:
    """Kramers and Kronig: ε₁(0) − 1 = 2/π ∫ ε₂/ω dω."""
    dielectric = choose(read_result(optics).vasprun.dielectric)
    assert dielectric is not None
    omega, imaginary = dielectric.energies[1:], dielectric.imaginary[1:, 0]
    static = 1 + 2 / np.pi * np.trapezoid(imaginary / omega, omega)
    assert dielectric.real[0, 0] == pytest.approx(static, abs=0.06)
    assert 1.5 < dielectric.real[0, 0] < 4  # measured 2.36 for KBr


def test_a_cubic_crystal_has_one_dielectric_constant(optics: Path) -> None:
    dielectric = choose(read_result(optics).vasprun.dielectric)
    assert dielectric is not None
    for part in (dielectric.real, dielectric.imaginary):
        np.testing.assert_allclose(part[:, 1], part[:, 0], atol=2e-3)
        np.testing.assert_allclose(part[:, 2], part[:, 0], atol=2e-3)
        np.testing.assert_allclose(part[:, 3:], 0, atol=2e-3)


def test_the_absorption_begins_at_the_direct_gap(optics: Path) -> None:
    result = read_result(optics)
    dielectric = choose(result.vasprun.dielectric)
    assert dielectric is not None
    edge = spectrum(dielectric).edge
    assert edge is not None
    assert result.gap.direct_gap is not None
    assert abs(edge - result.gap.direct_gap) < 1.0  # of 0.2 eV broadening, on few k-points


def test_pymatgen_reads_the_same_dielectric_function(optics: Path) -> None:
    from pymatgen.io.vasp.outputs import Vasprun

    dielectric = choose(read_result(optics).vasprun.dielectric)
    assert dielectric is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        energies, real, imaginary = Vasprun(str(optics / "vasprun.xml"), parse_potcar_file=False).dielectric
    np.testing.assert_allclose(energies, dielectric.energies)
    np.testing.assert_allclose(real, dielectric.real)
    np.testing.assert_allclose(imaginary, dielectric.imaginary)


def test_symmetry_spares_work_and_changes_nothing(optics: Path, run_engine: Callable[..., object]) -> None:
    folder = optics.parent / "optics-without-symmetry"
    shutil.copytree(optics, folder, ignore=shutil.ignore_patterns("vasprun.xml", "OUTCAR"), dirs_exist_ok=True)
    (folder / "INCAR").write_text((optics / "INCAR").read_text() + "ISYM = -1\n")
    run_engine(folder)
    one, other = (choose(read_result(f).vasprun.dielectric) for f in (optics, folder))
    assert one is not None
    assert other is not None
    low = one.energies < 13  # above, NBANDS may cut through a set of equal states
    np.testing.assert_allclose(other.imaginary[low], one.imaginary[low], atol=0.01)


# -- spin-orbit coupling -------------------------------------------------------------------


def test_spinors_come_in_pairs_where_the_crystal_has_inversion(soc: Path) -> None:
    result = read_result(soc)
    assert result.mesh is not None
    assert result.mesh.electrons_per_band == 1
    energies = result.mesh.eigenvalues[0]
    assert energies.shape[1] == 24
    np.testing.assert_allclose(energies[:, ::2], energies[:, 1::2], atol=5e-4)


def test_the_valence_band_of_bromine_splits_at_gamma(static: Path, soc: Path) -> None:
    """Measured and computed (PBE with coupling) 0.5 eV; without it the three p bands are one at Γ."""
    plain, coupled = read_result(static).mesh, read_result(soc).mesh
    assert plain is not None
    assert coupled is not None
    gamma = int(np.abs(coupled.kpoints).sum(axis=1).argmin())
    top = plain.eigenvalues[0, gamma, 5:8]
    assert np.ptp(top) < 1e-3
    spinors = coupled.eigenvalues[0, gamma, 10:16]
    np.testing.assert_allclose(spinors[2:], spinors[2], atol=1e-3)  # four of j = 3/2 above two of j = 1/2
    assert 0.3 < spinors[2] - spinors[0] < 0.6
    assert spinors.mean() == pytest.approx(top.mean(), abs=0.02)  # the coupling has no trace


def test_no_moment_is_born_where_none_is(soc: Path) -> None:
    result = read_result(soc)
    dos = result.dos
    assert dos is not None
    assert dos.noncollinear
    assert dos.projected is not None
    assert np.abs(dos.projected[:, 1:]).max() < 0.02 * dos.projected[:, 0].max()
    assert (
        np.interp(5.0, dos.energies, dos.integrated[0]) == pytest.approx(16, abs=0.05) or dos.integrated[0].max() > 16
    )


def test_moments_and_self_consistent_coupling_are_refused_by_name(
    job: Callable[..., Path], run_engine: Callable[..., object]
) -> None:
    for tags, word in (
        ({"LSORBIT": ".TRUE."}, "LSORBIT"),
        ({"LOPTICS": ".TRUE."}, "LOPTICS"),
        ({"LSORBIT": ".TRUE.", "ICHARG": "11", "MAGMOM": "0 0 1 0 0 0"}, "MAGMOM"),
        ({"LSORBIT": ".TRUE.", "ICHARG": "11", "MAGMOM": "2*0"}, "MAGMOM"),
        ({"ISMEAR": "-5"}, "ISMEAR"),
    ):
        run = run_engine(job(tags), "--check")
        assert getattr(run, "returncode") == 2  # noqa: B009
        assert f"{word} = " in getattr(run, "stderr")  # noqa: B009


# -- tetrahedra -------------------------------------------------------------------------------


def test_tetrahedra_count_all_electrons_and_leave_the_gap_empty(tetrahedra: Path) -> None:
    result = read_result(tetrahedra)
    dos = result.dos
    assert dos is not None
    assert result.gap.vbm is not None
    assert result.gap.cbm is not None
    middle = 0.5 * (result.gap.vbm.energy + result.gap.cbm.energy)
    assert np.interp(middle, dos.energies, dos.integrated[0]) == pytest.approx(16, abs=1e-3)
    inside = (dos.energies > result.gap.vbm.energy + 0.03) & (dos.energies < result.gap.cbm.energy - 0.03)
    assert np.abs(dos.total[0][inside]).max() == 0
    assert dos.efermi == pytest.approx(middle, abs=1e-3)
    projected = dos.projected
    assert projected is not None
    assert (projected.sum(axis=(0, 2))[0] <= dos.total[0] * 1.02 + 1e-2).all()
