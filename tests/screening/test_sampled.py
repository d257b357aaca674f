"""Averages over random draws: they find the exact ones within their own errors, or refuse."""

from __future__ import annotations

import numpy as np
import pytest

from kalloy.errors import AverageError
from kalloy.structures.sampling import Over, Sampler
from kalloy.workflows.screening.sampled import SampledEnsemble
from tests.screening.conftest import Toy


def draw(toy: Toy, number: int, over: Over, seed: int, size: int = 4) -> tuple[SampledEnsemble, list[int]]:
    content = next(c for c in toy.space.contents if c.counts == (size,))
    samples = list(Sampler(toy.space, content, seed, over).draws(number))
    sites = [tuple(i for i, s in enumerate(d.configuration.occupation) if s == "K") for d in samples]
    return SampledEnsemble(
        tuple(d.configuration.label for d in samples),
        np.array([toy.energy(s) for s in sites]),
        np.array([d.configuration.degeneracy for d in samples], float),
        np.array([d.probability for d in samples]),
    ), [sum(toy.on_6a[i] for i in s) for s in sites]


@pytest.mark.parametrize("over", list(Over))
@pytest.mark.parametrize("kelvin", [150.0, 600.0, np.inf])
def test_both_ways_to_draw_find_the_exact_average(toy: Toy, over: Over, kelvin: float) -> None:
    exact = toy.ensemble(4).average([sum(toy.on_6a[i] for i in s) for s, _ in toy.orbits(4)], kelvin).value
    errors, misses = [], []
    for seed in range(40):
        sample, on_6a = draw(toy, 200, over, seed)
        found = sample.average(on_6a, kelvin)
        assert found.error is not None
        errors.append(found.error)
        misses.append(found.value - exact)
    assert abs(np.mean(misses)) < 4 * np.std(misses) / np.sqrt(40) + 1e-3  # unbiased
    assert np.mean(errors) == pytest.approx(np.std(misses), rel=0.4)  # and the bars are as long as they should be


@pytest.mark.parametrize("over", list(Over))
def test_the_free_energy_of_a_sample(toy: Toy, over: Over) -> None:
    exact = toy.ensemble(4).free_energy(600)
    sample, _ = draw(toy, 2000, over, 3)
    found = sample.free_energy(600)
    assert found.error is not None
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 2e-3


def test_few_effective_draws_are_refused(toy: Toy) -> None:
    sample, on_6a = draw(toy, 200, Over.ORBITS, 1)
    assert sample.effective_size(np.inf) > 100
    lone = SampledEnsemble(("a", *"b" * 99), np.array([-1.0] + [0.0] * 99), np.ones(100), np.full(100, 0.01))
    assert lone.effective_size(300) == pytest.approx(1)
    with pytest.raises(AverageError, match="100 draws are worth"):
        lone.average(np.zeros(100), 300)
    with pytest.raises(AverageError):
        lone.free_energy(300)
    assert sample.average(on_6a, 1e4).error


def test_equal_weights_are_worth_all_draws() -> None:
    even = SampledEnsemble(tuple("abcdefghijkl"), np.zeros(12), np.full(12, 6.0), np.full(12, 0.1))
    assert even.effective_size(300) == pytest.approx(12)
    with pytest.raises(ValueError, match="positive"):
        SampledEnsemble(("a",), np.zeros(1), np.ones(1), np.zeros(1))
