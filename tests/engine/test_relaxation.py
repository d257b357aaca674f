"""The relaxation's own mathematics, on a crystal whose energy is known in closed form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.workflows.gpaw_engine.hessian import FLOOR, spring_hessian
from kalloy.workflows.gpaw_engine.relaxation import allowed_strains, is_relaxed, lattice_forces, relax
from kalloy.workflows.gpaw_engine.settings import Freedom, Settings, read_settings
from kalloy.workflows.gpaw_engine.states import Energies, IonicStep
from kalloy.workflows.gpaw_engine.symmetry import Operations, find_operations, no_operations


def _argon(seed: int | None = None, size: int = 2) -> Atoms:
    atoms = bulk("Ar", "fcc", a=5.4, cubic=True).repeat((size, 1, 1))
    if seed is not None:
        atoms.rattle(0.1, seed=seed)
        strain = 0.02 * np.random.default_rng(seed).standard_normal((3, 3))
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    return atoms


def _computed(atoms: Atoms) -> IonicStep:
    here = atoms.copy()
    here.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5, smooth=True)
    energy = here.get_potential_energy()
    return IonicStep(
        atoms=atoms.copy(),
        electronic=(),
        converged=True,
        energies=Energies(energy, 0.0, energy),
        forces=here.get_forces(),
        stress=here.get_stress(voigt=False),
        fermi_level=0.0,
        moment=0.0,
        seconds=0.0,
    )


def _settings(isif: int, ediffg: float = -1e-4, steps: int = 200) -> Settings:
    return read_settings({"ENCUT": 300, "IBRION": 2, "NSW": steps, "ISIF": isif, "EDIFFG": ediffg}, 8)


def _relaxed(atoms: Atoms, chosen: Settings, operations: Operations | None = None) -> list[IonicStep]:
    group = operations or no_operations(len(atoms), True)
    return list(relax(atoms, chosen, lambda: group, _computed, lambda: False))


def test_same_minimum_as_another_optimiser() -> None:
    ours = _relaxed(_argon(seed=3), _settings(3))
    theirs = _argon(seed=3)
    theirs.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.5, smooth=True)
    BFGS(FrechetCellFilter(theirs), logfile=None).run(fmax=1e-4, steps=2000)
    assert is_relaxed(ours, _settings(3))
    assert ours[-1].energies.free == pytest.approx(theirs.get_potential_energy(), abs=1e-6)
    assert ours[-1].atoms.get_volume() == pytest.approx(theirs.get_volume(), rel=1e-3)


@pytest.mark.parametrize("isif", [2, 3, 4, 5, 6, 7, 8])
def test_only_what_isif_frees_changes(isif: int) -> None:
    start = _argon(seed=5)
    end = _relaxed(start, _settings(isif))[-1].atoms
    freedom = Freedom(isif)
    moved = end.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
    metric = np.array(end.cell) @ np.array(end.cell).T / end.get_volume() ** (2 / 3)
    metric_before = np.array(start.cell) @ np.array(start.cell).T / start.get_volume() ** (2 / 3)
    assert (np.abs(moved).max() > 1e-3) == freedom.ions
    assert (abs(end.get_volume() / start.get_volume() - 1) > 1e-3) == freedom.volume
    assert (np.abs(metric - metric_before).max() > 1e-3) == freedom.shape
    if not freedom.volume:
        assert end.get_volume() == pytest.approx(start.get_volume(), rel=1e-10)
    if not freedom.ions:
        np.testing.assert_allclose(moved, 0.0, atol=1e-12)


def test_symmetry_is_kept_exactly() -> None:
    atoms = bulk("Ar", "hcp", a=3.9, c=6.2).repeat((2, 1, 1))
    atoms.positions[0] += [0.0, 0.0, 0.1]
    operations = find_operations(atoms, None, 1e-5)
    assert len(operations) > 1
    end = _relaxed(atoms, _settings(3), operations)[-1].atoms
    still = find_operations(end, None, 1e-7)
    assert {r.tobytes() for r in operations.rotations} <= {r.tobytes() for r in still.rotations}


def test_lattice_forces_are_derivatives_of_the_energy() -> None:
    atoms = _argon(seed=7, size=1)
    step = _computed(atoms)
    forces = lattice_forces(step, Freedom.ALL)
    delta = 1e-4
    for i in range(3):
        for j in range(3):
            energies = []
            for sign in (1, -1):
                cell = np.array(atoms.cell)
                cell[i, j] += sign * delta
                other = atoms.copy()
                other.set_cell(cell, scale_atoms=True)
                energies.append(_computed(other).energies.free)
            # The cell may turn freely: the energy depends on the vectors' components all the same.
            assert forces[i, j] == pytest.approx(-(energies[0] - energies[1]) / (2 * delta), abs=2e-6)


def test_nsw_is_the_number_of_geometries() -> None:
    assert len(_relaxed(_argon(seed=1), _settings(3, steps=4))) == 4


def test_positive_ediffg_bounds_the_energy() -> None:
    chosen = _settings(3, ediffg=1e-5)
    steps = _relaxed(_argon(seed=2), chosen)
    assert abs(steps[-1].energies.free - steps[-2].energies.free) < 1e-5
    assert abs(steps[-2].energies.free - steps[-3].energies.free) >= 1e-5


def test_stopcar_ends_after_the_step() -> None:
    group = no_operations(8, True)
    assert len(list(relax(_argon(seed=1), _settings(3), lambda: group, _computed, lambda: True))) == 1


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_spring_hessian_is_symmetric_positive_and_knows_translations(seed: int) -> None:
    atoms = _argon(seed=seed, size=1)
    strains = allowed_strains(Freedom.ALL)
    hessian = spring_hessian(atoms, strains)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    assert np.linalg.eigvalsh(hessian).min() > 0
    shift = np.zeros(len(hessian))
    shift[0 : 3 * len(atoms) : 3] = 1.0
    # A rigid shift stretches no bond: only the floor resists it.
    np.testing.assert_allclose(hessian @ shift, FLOOR * shift, atol=1e-10)


def test_spring_hessian_strain_part_is_homogeneous_deformation() -> None:
    """Straining the cell equals moving each bond's ends apart by strain times bond."""
    atoms = _argon(size=1)
    strains = allowed_strains(Freedom.VOLUME)
    stiffness = spring_hessian(atoms, strains)[-1, -1]
    lengths = neighbor_list("d", atoms, 5.3)
    per_bond = spring_hessian(Atoms("Ar2", [[0, 0, 0], [lengths.min(), 0, 0]], cell=[40, 40, 40], pbc=True), strains)
    spring = per_bond[0, 0] - FLOOR
    contact = lengths.min()
    expected = 0.5 * len(lengths[lengths < 1.01 * contact]) * spring * contact**2 / 3
    # Farther neighbours add less than a thousandth: their springs decay with 0.33 Å.
    assert stiffness == pytest.approx(expected, rel=5e-2)


@pytest.mark.parametrize("freedom", list(Freedom))
def test_allowed_strains_are_orthonormal(freedom: Freedom) -> None:
    strains = allowed_strains(freedom)
    gram = np.einsum("sij,tij->st", strains, strains)
    np.testing.assert_allclose(gram, np.eye(len(strains)), atol=1e-14)
    assert len(strains) == freedom.volume + 5 * freedom.shape
    np.testing.assert_allclose(strains, strains.transpose(0, 2, 1), atol=1e-15)


def test_every_step_tells_where_it_goes_on_but_the_last() -> None:
    """What CONTCAR holds: a relaxation that is stopped and begun anew there has lost no step."""
    steps = _relaxed(_argon(seed=4), _settings(3))
    for step, after in itertools.pairwise(steps):
        assert step.following is not None
        np.testing.assert_array_equal(step.following.positions, after.atoms.positions)
        np.testing.assert_array_equal(step.following.cell, after.atoms.cell)
    assert steps[-1].following is None
    (only,) = _relaxed(_argon(seed=4), _settings(3, steps=1))
    assert only.following is not None
    assert np.abs(only.following.positions - only.atoms.positions).max() > 1e-3
