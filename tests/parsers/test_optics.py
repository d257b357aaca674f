"""Optical constants of a Lorentz oscillator, whose dielectric function is known in closed form."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from kalloy.parsers.model import Dielectric
from kalloy.parsers.optics import HBAR_C, choose, spectrum

ENERGIES = np.linspace(0, 20, 2001)


def oscillator(strengths: tuple[float, float, float], kind: str = "") -> Dielectric:
    epsilon = [1 + f / (5.0**2 - ENERGIES**2 - 0.2j * ENERGIES) for f in strengths]
    table = np.zeros((len(ENERGIES), 6), dtype=complex)
    table[:, :3] = np.array(epsilon).T
    return Dielectric(kind, ENERGIES, table.real, table.imag)


def test_the_constants_are_one_complex_root() -> None:
    found = spectrum(oscillator((30, 60, 90)))
    n, k = found.refractive_index, found.extinction
    assert np.allclose(n**2 - k**2, found.epsilon.real)
    assert np.allclose(2 * n * k, found.epsilon.imag)
    assert (k >= 0).all()
    assert np.allclose(found.absorption, 2 * ENERGIES / HBAR_C * k * 1e8)
    assert np.allclose(found.reflectivity, ((n - 1) ** 2 + k**2) / ((n + 1) ** 2 + k**2))
    assert found.refractive_index[0] == pytest.approx(np.sqrt(1 + 60 / 25))


def test_the_average_is_a_third_of_the_trace() -> None:
    dielectric = oscillator((30, 60, 90))
    by_axis = [spectrum(dielectric, axis).epsilon for axis in ("x", "y", "z")]
    assert np.allclose(spectrum(dielectric).epsilon, np.mean(by_axis, axis=0))


def test_the_sum_rule_holds_for_the_absorption() -> None:
    """∫ ε2 E dE = π/2 times the strength, to what the finite range leaves out."""
    found = spectrum(oscillator((60, 60, 60)))
    assert trapezoid(found.epsilon.imag * ENERGIES, ENERGIES) == pytest.approx(np.pi / 2 * 60, rel=0.02)


def test_the_joint_edge_is_where_absorption_sets_in() -> None:
    step = np.where(ENERGIES >= 3, 10.0, 0.0)
    made = Dielectric("", ENERGIES, np.ones((2001, 6)), np.repeat(step[:, None], 6, axis=1))
    assert spectrum(made).edge == pytest.approx(3, abs=0.011)
    nothing = Dielectric("", ENERGIES, np.ones((2001, 6)), np.zeros((2001, 6)))
    assert spectrum(nothing).edge is None


def test_density_density_is_chosen_where_it_is_named() -> None:
    current, density = oscillator((1, 1, 1), "current-current"), oscillator((1, 1, 1), "density-density")
    assert choose([current, density]) is density
    assert choose([current]) is current
    assert choose([]) is None
