"""The ensemble against its theorems, and against sums over every single arrangement."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, exp, fsum, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import AverageError
from kalloy.workflows.screening.thermodynamics import (
    BOLTZMANN,
    Ensemble,
    finite_cell_factor,
    ideal_entropy,
)
from tests.screening.conftest import Toy

TEMPERATURES = [1.0, 77.0, 300.0, 1200.0, 1e5]


@st.composite
def ensembles(draw: st.DrawFn) -> Ensemble:
    size = draw(st.integers(1, 12))
    energies = draw(st.lists(st.floats(-500, 500), min_size=size, max_size=size))
    degeneracies = draw(st.lists(st.integers(1, 200), min_size=size, max_size=size))
    return Ensemble(tuple(map(str, range(size))), np.array(energies), np.array(degeneracies), sum(degeneracies))


@given(ensembles(), st.floats(1e-3, 1e7))
def test_the_laws_hold_at_every_temperature(ensemble: Ensemble, temperature: float) -> None:
    weights = ensemble.weights(temperature)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert (weights >= 0).all()
    energy, free = ensemble.energy(temperature), ensemble.free_energy(temperature)
    entropy = ensemble.entropy(temperature)
    assert free == pytest.approx(energy - temperature * entropy, abs=1e-9 * max(abs(energy), temperature, 1))
    ground = ensemble.degeneracies[ensemble.energies == ensemble.lowest].sum()
    assert BOLTZMANN * log(ground) - 1e-15 <= entropy <= BOLTZMANN * log(ensemble.arrangements) * (1 + 1e-12) + 1e-15
    assert ensemble.lowest - 1e-9 <= energy <= ensemble.energies.max() + 1e-9
    assert ensemble.energy(2 * temperature) >= energy - 1e-9 * max(1, abs(energy))
    assert ensemble.heat_capacity(temperature) >= 0


@given(ensembles())
def test_the_limits_are_exact(ensemble: Ensemble) -> None:
    ground = ensemble.energies == ensemble.lowest
    assert ensemble.weights(0)[~ground].sum() == 0
    assert ensemble.energy(0) == ensemble.free_energy(0) == ensemble.lowest
    assert ensemble.entropy(0) == pytest.approx(BOLTZMANN * log(ensemble.degeneracies[ground].sum()))
    assert ensemble.weights(inf) == pytest.approx(ensemble.degeneracies / ensemble.arrangements)
    assert ensemble.entropy(inf) == pytest.approx(BOLTZMANN * log(ensemble.arrangements))
    assert ensemble.heat_capacity(0) == ensemble.heat_capacity(inf) == 0


@given(ensembles(), st.floats(-1e6, 1e6), st.floats(1, 1e5))
def test_a_constant_added_to_all_energies_changes_no_weight(ensemble: Ensemble, shift: float, kelvin: float) -> None:
    moved = Ensemble(ensemble.labels, ensemble.energies + shift, ensemble.degeneracies, ensemble.arrangements)
    assert moved.weights(kelvin) == pytest.approx(ensemble.weights(kelvin), abs=1e-5)
    assert moved.entropy(kelvin) == pytest.approx(ensemble.entropy(kelvin), abs=1e-7)


@given(ensembles(), st.floats(10, 1e4))
def test_the_heat_capacity_is_the_slope_of_the_energy(ensemble: Ensemble, kelvin: float) -> None:
    step = kelvin * 1e-4
    slope = (ensemble.energy(kelvin + step) - ensemble.energy(kelvin - step)) / (2 * step)
    assert ensemble.heat_capacity(kelvin) == pytest.approx(slope, rel=1e-3, abs=2e-7)


@pytest.mark.parametrize("number", range(9))
def test_orbits_with_degeneracies_are_all_arrangements(toy: Toy, number: int) -> None:
    ensemble = toy.ensemble(number)
    assert ensemble.arrangements == comb(8, number)
    assert ensemble.covered == 1
    every = [toy.energy(sites) for sites in toy.arrangements(number)]
    on_6a = [sum(toy.on_6a[i] for i in sites) for sites in toy.arrangements(number)]
    figure = [sum(toy.on_6a[i] for i in sites) for sites, _ in toy.orbits(number)]
    for kelvin in TEMPERATURES:
        boltzmann = [exp(-(e - min(every)) / (BOLTZMANN * kelvin)) for e in every]
        z = fsum(boltzmann)
        assert ensemble.energy(kelvin) == pytest.approx(fsum(e * b for e, b in zip(every, boltzmann, strict=True)) / z)
        assert ensemble.free_energy(kelvin) == pytest.approx(min(every) - BOLTZMANN * kelvin * log(z))
        by_hand = -BOLTZMANN * fsum(b / z * log(b / z) for b in boltzmann if b)  # Gibbs: −k Σ p ln p over arrangements
        assert ensemble.entropy(kelvin) == pytest.approx(by_hand, abs=1e-12)
        mean = fsum(n * b for n, b in zip(on_6a, boltzmann, strict=True)) / z
        assert ensemble.average(figure, kelvin).value == pytest.approx(mean)


def test_figures_of_the_finite_cell() -> None:
    assert finite_cell_factor(comb(24, 3), [(24, [3])]) == pytest.approx(0.84, abs=0.005)
    assert finite_cell_factor(8, [(8, [1])]) == pytest.approx(0.69, abs=0.005)
    assert finite_cell_factor(1, [(24, [0])]) is None
    assert finite_cell_factor(1, [(24, [24])]) is None
    large = [finite_cell_factor(comb(8 * m, m), [(8 * m, [m])]) or 0 for m in (1, 10, 100, 1000)]
    assert large == sorted(large)
    assert large[-1] == pytest.approx(1, abs=2e-3)
    assert ideal_entropy([(4, [1, 1])]) == pytest.approx(BOLTZMANN * 4 * (0.25 * log(4) * 2 + 0.5 * log(2)))


def test_what_is_missing_is_said(toy: Toy) -> None:
    whole = toy.ensemble(3)
    part = Ensemble(whole.labels[:4], whole.energies[:4], whole.degeneracies[:4], whole.arrangements)
    assert part.covered == pytest.approx(whole.degeneracies[:4].sum() / comb(8, 3))
    for kelvin in TEMPERATURES:
        assert part.free_energy(kelvin) >= whole.free_energy(kelvin) - 1e-12  # every configuration adds to Z
    gaps = np.array([3.9, np.nan, 3.8, 3.7])
    with pytest.raises(AverageError, match="c2"):
        part.average(gaps, 1e4)


def test_a_figure_may_be_missing_where_nothing_weighs() -> None:
    ensemble = Ensemble(("a", "b"), np.array([0.0, 1.0]), np.array([1.0, 1.0]), 2)
    assert ensemble.average([3.9, np.nan], 100).value == 3.9


@pytest.mark.parametrize("kelvin", [20.0, 300.0, 3000.0])
def test_error_bars_are_the_scatter_of_noisy_energies(toy: Toy, kelvin: float) -> None:
    noise = 0.004
    ensemble = toy.ensemble(4, noise)
    values = np.linspace(3.7, 4.1, len(ensemble.labels)) ** 2
    random = np.random.default_rng(5)
    again = []
    for _ in range(4000):
        energies = ensemble.energies + random.normal(0, noise, len(ensemble.energies))
        moved = Ensemble(ensemble.labels, energies, ensemble.degeneracies, ensemble.arrangements)
        again.append(moved.weights(kelvin) @ values)
    error = ensemble.average(values, kelvin).error
    assert error == pytest.approx(np.std(again), rel=0.12)  # 256 draws know their width to 4 %


@pytest.mark.parametrize("kelvin", [0.0, 20.0, 300.0, 3000.0, inf])
def test_the_error_of_the_mean_energy_holds_that_of_each(toy: Toy, kelvin: float) -> None:
    noise = 0.004
    ensemble = toy.ensemble(4, noise)
    random = np.random.default_rng(6)
    again = []
    for _ in range(4000):
        energies = ensemble.energies + random.normal(0, noise, len(ensemble.energies))
        moved = Ensemble(ensemble.labels, energies, ensemble.degeneracies, ensemble.arrangements)
        again.append(moved.energy(kelvin))
    found = ensemble.average_energy(kelvin)
    assert found.value == ensemble.energy(kelvin)
    assert found.error == pytest.approx(np.std(again), rel=0.12)
    alone = Ensemble(("a",), np.zeros(1), np.ones(1), 1, noise).average_energy(kelvin)
    assert alone.error == pytest.approx(noise, rel=0.12)


def test_without_noise_there_is_no_error_bar_and_without_scatter_a_zero_one(toy: Toy) -> None:
    values = np.arange(len(toy.ensemble(4).labels), dtype=float)
    assert toy.ensemble(4).average(values, 300).error is None
    assert toy.ensemble(4, 0.0).average(values, 300).error == 0
    assert toy.ensemble(4, 0.01).average(np.ones(len(values)), 300).error == pytest.approx(0, abs=1e-15)
    same = toy.ensemble(4, 0.0).average(values, inf, value_noise=0.1).error
    assert same is not None
    assert 0 < same < 0.1


def test_a_tie_at_0_k_is_doubted() -> None:
    ensemble = Ensemble(("a", "b"), np.array([0.0, 0.001]), np.array([1.0, 1.0]), 2, noise=0.01)
    found = ensemble.average([0.0, 1.0], 0)
    assert found.value == 0
    assert found.error == pytest.approx(0.5, abs=0.02)  # either may be the lowest


def test_spectra_are_averaged_point_by_point(toy: Toy) -> None:
    ensemble = toy.ensemble(3)
    curves = np.random.default_rng(1).normal(size=(len(ensemble.labels), 7))
    mean, spread = ensemble.average_spectrum(curves, 500)
    singly = [ensemble.average(curves[:, i], 500) for i in range(7)]
    assert mean == pytest.approx([e.value for e in singly])
    assert spread == pytest.approx([e.spread for e in singly])


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="no temperature"):
        Ensemble(("a",), np.zeros(1), np.ones(1), 1).weights(-1)
    with pytest.raises(ValueError, match="finite"):
        Ensemble(("a",), np.array([np.nan]), np.ones(1), 1)
    with pytest.raises(ValueError, match="members"):
        Ensemble((), np.zeros(0), np.ones(0), 1)


@settings(max_examples=5)
@given(st.sampled_from([0.0, 50.0, 300.0, 1000.0, inf]))
def test_occupancies_add_up(make_toy: Callable[[str], Toy], kelvin: float) -> None:
    toy = make_toy("conventional")
    ensemble, orbits = toy.ensemble(3), toy.orbits(3)
    assert len(orbits) == 70
    on_a = ensemble.average([sum(toy.on_6a[i] for i in s) for s, _ in orbits], kelvin).value
    on_e = ensemble.average([sum(not toy.on_6a[i] for i in s) for s, _ in orbits], kelvin).value
    assert on_a + on_e == pytest.approx(3)
    if kelvin == inf:
        assert on_a == pytest.approx(3 * 6 / 24)  # random occupation


def test_the_published_set(chgnet: Ensemble) -> None:
    assert chgnet.covered == 1
    order = np.argsort(chgnet.energies)
    assert [chgnet.labels[i].split()[:2] for i in order[:3]] == [["P321", "aaa"], ["P3", "aaa"], ["R32", "aaa"]]
    assert 1000 * (chgnet.energies[order[1]] - chgnet.lowest) == pytest.approx(25, abs=0.5)
    # Independent: plain sums over all 2024 arrangements.
    every = [e for e, g in zip(chgnet.energies, chgnet.degeneracies, strict=True) for _ in range(int(g))]
    z = fsum(exp(-(e - min(every)) / (BOLTZMANN * 300)) for e in every)
    assert chgnet.free_energy(300) == pytest.approx(min(every) - BOLTZMANN * 300 * log(z))
    on_6a = np.array([label.split()[1].count("a") for label in chgnet.labels])
    weights = chgnet.weights(300)
    assert weights[on_6a == 3].sum() > 0.97  # the three on 6a; 197 meV above them the next
    assert chgnet.average(on_6a, inf).value == pytest.approx(0.75)
