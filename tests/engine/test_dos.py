"""Densities of states of levels that are known."""

from __future__ import annotations

import numpy as np
import pytest

from kalloy.workflows.gpaw_engine.dos import density_of_states
from kalloy.workflows.gpaw_engine.settings import Settings, read_settings
from kalloy.workflows.gpaw_engine.states import States


def _states(spins: int = 1) -> States:
    rng = np.random.default_rng(4)
    eigenvalues = np.sort(rng.uniform(-5, 5, (spins, 4, 6)), axis=2)
    weights = np.array([0.1, 0.4, 0.3, 0.2])
    projections = rng.uniform(0, 0.3, (spins, 4, 6, 3, 9))
    return States(np.zeros((4, 3)), weights, eigenvalues, np.ones_like(eigenvalues), 0.0, projections, projections)


def _settings(ismear: int, **tags: object) -> Settings:
    return read_settings({"ENCUT": 300, "ISMEAR": ismear, "SIGMA": 0.1, "NEDOS": 2001, **tags}, 1)


@pytest.mark.parametrize("ismear", [-1, 0, 1, 2])
@pytest.mark.parametrize("spins", [1, 2])
def test_all_states_are_counted(ismear: int, spins: int) -> None:
    states = _states(spins)
    dos = density_of_states(states, _settings(ismear))
    full = 2 / spins
    np.testing.assert_allclose(dos.integrated[:, -1], full * states.bands, atol=1e-3)
    step = dos.energies[1] - dos.energies[0]
    np.testing.assert_allclose(dos.total.sum(axis=1) * step, dos.integrated[:, -1], atol=2e-3)


@pytest.mark.parametrize("ismear", [-1, 0, 1])
def test_total_is_the_growth_of_the_integral_even_on_a_coarse_grid(ismear: int) -> None:
    dos = density_of_states(_states(), _settings(ismear, NEDOS=31, EMIN=-3, EMAX=3))
    assert (dos.energies[0], dos.energies[-1]) == (-3.0, 3.0)
    step = dos.energies[1] - dos.energies[0]
    np.testing.assert_allclose(np.diff(dos.integrated[0]), dos.total[0, 1:] * step, atol=1e-12)


def test_gaussian_shape() -> None:
    one = States(np.zeros((1, 3)), np.ones(1), np.zeros((1, 1, 1)), np.ones((1, 1, 1)), 0.0)
    dos = density_of_states(one, _settings(0, EMIN=-1, EMAX=1, NEDOS=20001))
    gauss = 2 * np.exp(-((dos.energies / 0.1) ** 2)) / (0.1 * np.sqrt(np.pi))
    np.testing.assert_allclose(dos.total[0], gauss, atol=2e-2)


def test_projections_add_up_like_the_weights() -> None:
    states = _states(2)
    dos = density_of_states(states, _settings(0))
    assert dos.projected is not None
    assert dos.projected.shape == (3, 2, 2001, 9)
    step = dos.energies[1] - dos.energies[0]
    assert states.projections is not None
    expected = np.einsum("k,sknal->asl", states.weights, states.projections)
    np.testing.assert_allclose(dos.projected.sum(axis=2) * step, expected, atol=1e-3)
