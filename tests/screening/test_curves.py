"""Averaged curves: of what is computed, with the weight it carries said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kalloy.errors import AverageError
from kalloy.parsers.dos import Dos
from kalloy.parsers.model import Dielectric, Vasprun
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index, store
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.curves import Curve, _heavy, averaged_curve
from kalloy.workflows.screening.ranking import rank
from tests.screening.synthetic import fill, make_campaign, result

GRID = np.linspace(-12, 14, 2601)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], tuple[Alloy, Any]]:
    def make() -> tuple[Alloy, Any]:
        campaign = Campaign(tmp_path / "c")
        results = Index(campaign).results()
        return Alloy(campaign, rank(campaign, results), results), results

    made = make_campaign(
        tmp_path / "c", count="[1]", more='[[step]]\nstages = ["dos", "optics"]\non = { lowest = 1 }\n'
    )
    fill(made, lambda m: -100.0 if m.is_host else -101.0 - 0.01 * (m.label == "K1/c2"))
    with Index(made).open() as connection:
        for stage in (Stage.DOS, Stage("optics")):
            store(connection, result(made.member("K1/c2"), stage, -101.0), "synthetic")
    return make


def vasprun(centre: float) -> Any:
    density = np.exp(-((GRID - centre) ** 2))
    return SimpleNamespace(
        dos=Dos(GRID, density[None], np.cumsum(density)[None], 0.0),
        crystal=None,
        vasprun=Vasprun(dielectric=(_constant(2.0 + 1.0j),)),
    )


def _constant(value: complex) -> Dielectric:
    energies = np.linspace(0, 20, 41)
    diagonal = np.concatenate([np.ones((41, 3)), np.zeros((41, 3))], axis=1)
    return Dielectric("density-density", energies, value.real * diagonal, value.imag * diagonal)


def test_only_what_is_computed_is_averaged(
    opened: Callable[[], tuple[Alloy, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalloy.parsers.result.read_result", lambda folder: vasprun(1.5))
    alloy, results = opened()
    found = averaged_curve(alloy, results, "K1", Curve.DOS, [300, np.inf])
    assert found.members == ("K1/c2",)
    weights = alloy.ensembles["K1"].weights(300)
    assert found.covered[300] == pytest.approx(weights[0])
    assert found.covered[np.inf] == pytest.approx(alloy.ensembles["K1"].degeneracies[0] / 8)
    top = found.grid[int(np.nanargmax(found.means[300]))]
    assert top == pytest.approx(0.5)  # the VBM at 1 eV is the zero
    assert np.nanmax(found.means[300]) == pytest.approx(1 / 2)  # per formula unit


def test_optical_constants_are_averaged(
    opened: Callable[[], tuple[Alloy, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalloy.parsers.result.read_result", lambda folder: vasprun(0))
    alloy, results = opened()
    for kind, value in ((Curve.EPSILON1, 2.0), (Curve.EPSILON2, 1.0)):
        found = averaged_curve(alloy, results, "K1", kind, [300])
        assert found.means[300] == pytest.approx(np.full(len(found.grid), value))
    with pytest.raises(AverageError, match="no member of K1"):
        averaged_curve(*_without(alloy, results), "K1", Curve.ABSORPTION, [300])


def _without(alloy: Alloy, results: Any) -> tuple[Alloy, Any]:
    return alloy, {key: r for key, r in results.items() if key[1] in (Stage.RELAX, Stage.STATIC)}


def test_of_many_alike_everybody_counts() -> None:
    """No single weight of 100,000 equal ones is large; none of them is negligible."""
    assert _heavy(np.full(100_000, 1e-5)).all()
    assert _heavy(np.array([0.999, 1e-3, 1e-6])).tolist() == [True, True, False]
