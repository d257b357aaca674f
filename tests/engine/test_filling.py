"""Fermi levels of levels that are known."""

from __future__ import annotations

import numpy as np
import pytest

from kalloy.workflows.gpaw_engine.filling import fermi_level, fraction_below
from kalloy.workflows.gpaw_engine.settings import Settings, read_settings

pytestmark = pytest.mark.engine


def _settings(ismear: int = 0, sigma: float = 0.05) -> Settings:
    return read_settings({"ENCUT": 300, "ISMEAR": ismear, "SIGMA": sigma}, 1)


def test_middle_of_the_gap() -> None:
    eigenvalues = np.array([[[-1.0, 0.0, 3.0], [-1.2, -0.5, 4.0]]])
    level = fermi_level(eigenvalues, np.array([0.5, 0.5]), 4, _settings(), 2.0)
    assert level == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize("ismear", [-1, 0, 1])
def test_metal_holds_its_electrons(ismear: int) -> None:
    rng = np.random.default_rng(0)
    eigenvalues = np.sort(rng.uniform(-2, 2, (1, 10, 8)), axis=2)
    weights = rng.dirichlet(np.ones(10))
    settings = _settings(ismear, 0.1)
    level = fermi_level(eigenvalues, weights, 7.3, settings, 2.0)
    filled = fraction_below(eigenvalues - level, settings)
    assert 2 * np.einsum("k,skn->", weights, filled) == pytest.approx(7.3, abs=1e-5)


def test_points_without_weight_are_filled_but_do_not_count() -> None:
    eigenvalues = np.array([[[-1.0, 0.0, 3.0], [-1.0, 0.2, 0.3]]])
    level = fermi_level(eigenvalues, np.array([1.0, 0.0]), 4, _settings(), 2.0)
    assert level == pytest.approx(1.5, abs=0.02)
    assert fraction_below(eigenvalues - level, _settings())[0, 1].tolist() == pytest.approx([1, 1, 1])


def test_two_channels() -> None:
    eigenvalues = np.array([[[-1.0, 2.0]], [[0.0, 3.0]]])
    assert fermi_level(eigenvalues, np.ones(1), 2, _settings(), 1.0) == pytest.approx(1.0, abs=0.02)
