"""The engine's numbers against independent ones: GPAW set up by hand, finite differences, full meshes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from kalloy.workflows.gpaw_engine.calculator import Calculator, default_bands, real_space_grid
from kalloy.workflows.gpaw_engine.job import Job, read_job
from kalloy.workflows.gpaw_engine.states import IonicStep, States

pytestmark = pytest.mark.engine
Writer = Callable[..., Path]

GAMMA2 = "mesh\n0\nGamma\n2 2 2\n"
GAMMA = "mesh\n0\nGamma\n1 1 1\n"
SHIFTED = "mesh\n0\nMonkhorst-Pack\n2 2 2\n"


def _computed(task: Job, atoms: Atoms, log: Path, projected: bool = False) -> tuple[IonicStep, States]:
    from kalloy.workflows.gpaw_engine.kpoints import Mesh

    assert isinstance(task.kpoints, Mesh)
    calculator = Calculator(task.settings, atoms, task.kpoints, log)
    step = calculator.converge(atoms, lambda number, electronic: None)
    return step, calculator.states(projected)


def _by_hand(atoms: Atoms, **keywords: Any) -> Atoms:
    from gpaw import GPAW, PW

    other = atoms.copy()
    other.calc = GPAW(
        mode=PW(keywords.pop("encut", 150)),
        xc="PBE",
        nbands=12,
        gpts=(18, 18, 18),
        occupations={"name": "methfessel-paxton", "width": 0.05, "order": 0},
        convergence={"energy": 1e-9, "density": 1e-8, "eigenstates": 1e-13},
        txt=None,
        **keywords,
    )
    return other


@pytest.mark.parametrize(("kpoints", "gamma"), [(GAMMA2, True), (SHIFTED, False)])
def test_same_numbers_as_gpaw_set_up_by_hand(tmp_path: Path, job: Writer, kbr: str, kpoints: str, gamma: bool) -> None:
    """The symmetry, the order of k-points and the criteria are ours; the physics is GPAW's to a millionth of an eV.

    Where forces are none by symmetry nothing is compared, so the crystal is distorted along its axis of order three.
    """
    task = read_job(job({"EDIFF": "1E-11"}, kpoints, kbr.replace("0.5 0.5 0.5", "0.47 0.47 0.47")))
    step, states = _computed(task, task.atoms, tmp_path / "log")
    hand = _by_hand(task.atoms, kpts={"size": (2, 2, 2), "gamma": gamma}, symmetry="off")
    assert step.converged
    assert step.forces is not None
    assert len(states.points) < 8
    assert step.energies.extrapolated == pytest.approx(hand.get_potential_energy(), abs=1e-6)
    assert np.abs(step.forces).max() > 0.05
    np.testing.assert_allclose(step.forces, hand.get_forces(), atol=2e-6)
    for k, point in enumerate(states.points):
        gap = hand.calc.get_ibz_k_points() - point
        (place,) = np.flatnonzero((np.abs(gap - np.round(gap)) < 1e-6).all(axis=1))
        np.testing.assert_allclose(states.eigenvalues[0, k, :8], hand.calc.get_eigenvalues(place)[:8], atol=1e-6)
    assert states.electrons == pytest.approx(16)


def test_forces_are_derivatives_of_the_energy(tmp_path: Path, job: Writer, kbr: str) -> None:
    distorted = kbr.replace("0.5 0.5 0.5", "0.48 0.51 0.52")
    task = read_job(job({"EDIFF": "1E-8", "PREC": "Accurate"}, GAMMA, distorted))
    step, _ = _computed(task, task.atoms, tmp_path / "log")
    assert step.forces is not None
    energies = []
    for sign in (1, -1):
        atoms = task.atoms.copy()
        atoms.positions[1, 0] += sign * 0.02
        energies.append(_computed(task, atoms, tmp_path / "log")[0].energies.free)
    assert step.forces[1, 0] == pytest.approx((energies[1] - energies[0]) / 0.04, abs=5e-3)


def test_stress_is_the_derivative_of_the_energy_at_constant_encut(tmp_path: Path, job: Writer) -> None:
    """Pulay's part of it is 18 kB here; without it the test fails by far.

    The energy jumps with each plane wave that the cell gains, hence the wide interval and the fit.
    """
    task = read_job(job({"ENCUT": "300", "EDIFF": "1E-6"}, SHIFTED))
    volumes, energies, pressures = [], [], []
    for a in np.linspace(6.5, 6.9, 5):
        atoms = task.atoms.copy()
        atoms.set_cell(np.array(atoms.cell) * a / 6.7, scale_atoms=True)
        step, _ = _computed(task, atoms, tmp_path / "log")
        assert step.stress is not None
        volumes.append(atoms.get_volume())
        energies.append(step.energies.free)
        pressures.append(-np.trace(step.stress) / 3)
    fit = np.polyfit(volumes, energies, 2)
    slope = -np.polyval(np.polyder(fit), volumes)
    kilobar = 1602.1766
    assert np.mean(pressures) * kilobar == pytest.approx(np.mean(slope) * kilobar, abs=2.5)


@pytest.mark.slow
def test_shear_stress_is_the_derivative_by_shear(tmp_path: Path, job: Writer) -> None:
    """Of cells sheared by 2 to 10 %, by a fit over them, at a cut-off beyond which few plane waves are missed."""
    task = read_job(job({"ENCUT": "500", "EDIFF": "1E-6"}, SHIFTED))
    shears, energies, stresses = np.linspace(0.02, 0.10, 5), [], []
    for shear in shears:
        atoms = task.atoms.copy()
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = shear / 2
        atoms.set_cell(np.array(atoms.cell) @ strain, scale_atoms=True)
        step, _ = _computed(task, atoms, tmp_path / "log")
        assert step.stress is not None
        energies.append(step.energies.free)
        # dE = V tr(stress strain-1 d strain): the strain matrix is the same for all but its size.
        change = np.zeros((3, 3))
        change[0, 1] = change[1, 0] = 0.5
        stresses.append(atoms.get_volume() * float(np.trace(step.stress @ np.linalg.inv(strain) @ change)))
    slopes = np.polyval(np.polyder(np.polyfit(shears, energies, 2)), shears)
    volume, kilobar = task.atoms.get_volume(), 1602.1766
    assert abs(slopes).max() * kilobar / volume > 2
    assert np.mean(stresses) * kilobar / volume == pytest.approx(np.mean(slopes) * kilobar / volume, abs=1.0)


@pytest.mark.parametrize(("edge", "published"), [((0, 0, 0), 2.56), ((0.5, 0.5, 0), 0.71)])
def test_gaps_of_silicon_are_the_published_ones(
    silicon: States, edge: tuple[float, float, float], published: float
) -> None:
    """PBE, full-potential augmented waves: M. Betzinger et al., Phys. Rev. B 81, 195117 (2010)."""
    wanted = sorted(np.abs(edge))
    turned = np.sort(np.abs(silicon.points), axis=1)
    (gamma,), (here,) = (np.flatnonzero((np.abs(turned - w) < 1e-6).all(axis=1)) for w in ([0, 0, 0], wanted))
    gap = silicon.eigenvalues[0, here, 4] - silicon.eigenvalues[0, gamma, 3]
    assert gap == pytest.approx(published, abs=0.04)


@pytest.fixture(scope="module")
def silicon(tmp_path_factory: pytest.TempPathFactory, write: Writer) -> States:
    poscar = "Si\n5.421\n0 0.5 0.5\n0.5 0 0.5\n0.5 0.5 0\nSi\n2\nDirect\n0 0 0\n0.25 0.25 0.25\n"
    folder = write(tmp_path_factory.mktemp("silicon"), {"ENCUT": "200"}, "m\n0\nGamma\n4 4 4\n", poscar)
    task = read_job(folder)
    return _computed(task, task.atoms, folder / "log")[1]


def test_symmetry_changes_nothing(tmp_path: Path, job: Writer, kbr: str) -> None:
    """Eigenvalues, projections and the density of states with the crystal's symmetry, and without any."""
    from kalloy.workflows.gpaw_engine.dos import density_of_states

    results = []
    for isym in ("2", "-1"):
        tags = {"ISYM": isym, "EDIFF": "1E-7", "LORBIT": "11", "EMIN": "-20", "EMAX": "5", "SIGMA": "0.2"}
        # A crystal with an axis of order three that is none of x, y, z, so that p and d orbitals mix when turned.
        trigonal = kbr.replace("0.5 0.5 0.5", "0.47 0.47 0.47")
        task = read_job(job(tags, GAMMA2, trigonal, name=isym))
        step, states = _computed(task, task.atoms, tmp_path / "log", projected=True)
        results.append((step, states, density_of_states(states, task.settings)))
    (step, states, dos), (plain, all_states, plain_dos) = results
    assert len(states.points) < len(all_states.points) == 8
    assert step.energies.free == pytest.approx(plain.energies.free, abs=1e-6)
    assert step.forces is not None
    assert plain.forces is not None
    assert step.stress is not None
    assert plain.stress is not None
    np.testing.assert_allclose(step.forces, plain.forces, atol=2e-3)
    np.testing.assert_allclose(step.stress, plain.stress, atol=1e-4)
    np.testing.assert_allclose(dos.integrated, plain_dos.integrated, atol=1e-3)
    assert dos.projected is not None
    assert plain_dos.projected is not None
    np.testing.assert_allclose(dos.projected, plain_dos.projected, atol=2e-3)
    assert states.projections is not None
    assert 0 < states.projections.sum(axis=(3, 4)).max() < 1.05


def test_spin_polarised_atom_in_a_box_keeps_its_moment(tmp_path: Path, job: Writer) -> None:
    poscar = "K\n1.0\n6 0 0\n0 6 0\n0 0 6\nK\n1\nDirect\n0 0 0\n"
    task = read_job(job({"ISPIN": "2", "MAGMOM": "1", "ENCUT": "120", "EDIFF": "1E-4"}, GAMMA, poscar))
    step, states = _computed(task, task.atoms, tmp_path / "log")
    assert step.moment == pytest.approx(1.0, abs=0.05)
    assert states.spins == 2
    assert states.electrons == pytest.approx(9)


@pytest.mark.parametrize(
    ("electrons", "atoms", "spins", "bands"), [(184, 22, 1, 111), (16, 2, 1, 12), (8, 2, 1, 8), (552, 66, 1, 332)]
)
def test_number_of_bands_is_vasps(electrons: int, atoms: int, spins: int, bands: int) -> None:
    assert default_bands(electrons, atoms, spins) == bands


def test_grid_holds_the_sphere(tmp_path: Path, job: Writer) -> None:
    atoms = read_job(job({})).atoms
    normal, accurate = real_space_grid(atoms, 300, 1.5), real_space_grid(atoms, 300, 2.0)
    assert all(n % 6 == 0 for n in (*normal, *accurate))
    sphere = np.sqrt(300 / 3.80998)
    for reach, grid in ((1.5, normal), (2.0, accurate)):
        assert all(n * np.pi / a >= reach * sphere - 1e-6 for n, a in zip(grid, atoms.cell.lengths(), strict=True))
