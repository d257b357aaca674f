"""Contents beside each other: hull, bowing, exchange with a reservoir, each against its definition."""

from __future__ import annotations

from itertools import product
from math import exp, fsum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.errors import AverageError
from kalloy.workflows.screening.grand import GrandCanonical, exchange_energy, reservoir
from kalloy.workflows.screening.mixing import Mixing, above_hull, bowing, lower_hull
from kalloy.workflows.screening.thermodynamics import BOLTZMANN
from tests.screening.conftest import Toy

points = st.lists(st.tuples(st.integers(0, 24).map(lambda n: n / 24), st.floats(-5, 5)), max_size=15)


@given(points, st.floats(-5, 5), st.floats(-5, 5))
def test_nothing_lies_below_the_hull(inside: list[tuple[float, float]], left: float, right: float) -> None:
    x = np.array([0.0, *(p[0] for p in inside), 1.0])
    y = np.array([left, *(p[1] for p in inside), right])
    corners = lower_hull(x, y)
    above = above_hull(x, y)
    assert (above >= 0).all()
    assert above[corners] == pytest.approx(0, abs=1e-9)
    assert (np.diff(x[corners]) > 0).all()
    assert {x[corners[0]], x[corners[-1]]} == {0.0, 1.0}
    slopes = np.diff(y[corners]) / np.diff(x[corners])
    assert (np.diff(slopes) >= -1e-6 * max(1, np.abs(slopes).max())).all()  # convex
    # Its definition: no mixture of two others lies lower, and every point of it is one.
    for i in range(len(x)):
        best = min(
            y[j] if x[j] == x[k] else y[j] + (y[k] - y[j]) * (x[i] - x[j]) / (x[k] - x[j])
            for j, k in product(range(len(x)), repeat=2)
            if min(x[j], x[k]) <= x[i] <= max(x[j], x[k])
        )
        assert y[i] - best == pytest.approx(above[i], abs=1e-6)


def test_mixing_is_counted_from_both_ends(toy: Toy) -> None:
    mixing = Mixing.of({n: toy.ensemble(n) for n in range(9)}, 8, 2)
    assert mixing.lowest[[0, -1]] == pytest.approx(0)
    lowest = {n: min(toy.energy(s) for s in toy.arrangements(n)) for n in range(9)}
    by_hand = [(lowest[n] - (1 - n / 8) * lowest[0] - n / 8 * lowest[8]) / 2 for n in range(9)]
    assert mixing.lowest == pytest.approx(by_hand)
    assert mixing.energies(0) == pytest.approx(by_hand)
    assert (mixing.energies(900) >= mixing.lowest - 1e-12).all()
    assert (mixing.free_energies(900) <= mixing.energies(900) + 1e-12).all()
    with pytest.raises(AverageError, match="fully substituted"):
        Mixing.of({n: toy.ensemble(n) for n in range(8)}, 8, 2)


def test_bowing_of_a_parabola_is_its_own() -> None:
    x = np.array([0, 0.125, 0.5, 0.75, 1])
    y = 3.91 * (1 - x) + 4.3 * x - 0.31 * x * (1 - x)
    found = bowing(x, y)
    assert found.parameter == pytest.approx(0.31)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.largest_residual == pytest.approx(0, abs=1e-12)
    noisy = bowing(x, y + np.array([0, 0.01, -0.01, 0.01, 0]))
    assert noisy.error is not None
    assert abs(noisy.parameter - 0.31) < 4 * noisy.error
    assert bowing([0, 0.5, 1], [1, 0, 1]).error is None
    with pytest.raises(AverageError):
        bowing([0, 1], [1, 2])


@pytest.mark.parametrize("difference", [-0.4, 0.0, 0.05, 0.3])
@pytest.mark.parametrize("kelvin", [300.0, 1000.0])
def test_a_reservoir_by_a_sum_over_every_arrangement(toy: Toy, difference: float, kelvin: float) -> None:
    grand = GrandCanonical({n: toy.ensemble(n) for n in range(9)}, 8)
    assert grand.missing == []
    every = [(len(s), toy.energy(s)) for n in range(9) for s in toy.arrangements(n)]
    assert len(every) == 256
    weights = [exp(-(e - n * difference) / (BOLTZMANN * kelvin)) for n, e in every]
    mean = fsum(n * w for (n, _), w in zip(every, weights, strict=True)) / fsum(weights) / 8
    square = fsum((n / 8) ** 2 * w for (n, _), w in zip(every, weights, strict=True)) / fsum(weights)
    found, width = grand.content(difference, kelvin)
    assert found == pytest.approx(mean)
    assert width == pytest.approx(np.sqrt(square - mean**2), abs=1e-7)
    # Detailed balance between neighbouring contents: p(n+1)/p(n) is the ratio of their sums times exp(Δμ/kT).
    p = grand.probabilities(difference, kelvin)
    z = [toy.ensemble(n).free_energy(kelvin) for n in range(9)]
    ratio = [exp(-(z[n + 1] - z[n] - difference) / (BOLTZMANN * kelvin)) for n in range(8)]
    assert p[1:] / p[:-1] == pytest.approx(ratio)


def test_the_content_rises_with_the_potential(toy: Toy) -> None:
    grand = GrandCanonical({n: toy.ensemble(n) for n in range(9)}, 8)
    contents = [grand.content(d, 300)[0] for d in np.linspace(-1, 1, 41)]
    assert contents == sorted(contents)
    assert contents[0] == pytest.approx(0, abs=1e-6)
    assert contents[-1] == pytest.approx(1, abs=1e-6)
    step = 1e-5  # fluctuation: d⟨x⟩/dΔμ = sites · var(x)/kT
    slope = (grand.content(0.05 + step, 300)[0] - grand.content(0.05 - step, 300)[0]) / (2 * step)
    assert slope == pytest.approx(8 * grand.content(0.05, 300)[1] ** 2 / (BOLTZMANN * 300), rel=1e-4)
    some = GrandCanonical({n: toy.ensemble(n) for n in (0, 1, 8)}, 8)
    assert some.missing == [2, 3, 4, 5, 6, 7]
    assert some.balanced == pytest.approx((toy.energy(tuple(range(8))) - 0) / 8)
    with pytest.raises(AverageError):
        _ = GrandCanonical({0: toy.ensemble(0)}, 8).balanced


def test_exchange_is_a_balance_of_reactions() -> None:
    # Cs24 + 3 KBr -> K3Cs21 + 3 CsBr
    assert exchange_energy(alloy=-227.4, host=-227.0, number=3, source=-6.0, product=-5.5) == pytest.approx(
        (-227.4 + 3 * -5.5 - -227.0 - 3 * -6.0) / 3
    )
    # At a reservoir of both salts the exchange energy is what an alloy gains or loses per atom.
    assert exchange_energy(-1.0, 0.0, 2, -6.0, -5.5) == pytest.approx(-0.5 - reservoir(-6.0, -5.5))
