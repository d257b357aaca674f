"""Tetrahedra against theorems, dense sampling and GPAW's own method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.kpoints import Mesh
from kalloy.workflows.gpaw_engine.tetrahedra import Tetrahedra

pytestmark = pytest.mark.engine


def divided(*divisions: int) -> tuple[Tetrahedra, NDArray[np.float64]]:
    mesh = Mesh(divisions, (0.0, 0.0, 0.0), True)  # type: ignore[arg-type]
    points = mesh.points()
    return Tetrahedra(mesh.divisions, np.arange(len(points)), np.eye(3)), points


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([(1, 1, 1), (2, 2, 2), (3, 2, 1), (2, 3, 4)]))
def test_every_point_counts_alike_and_nothing_is_lost(seed: int, divisions: tuple[int, int, int]) -> None:
    tetrahedra, points = divided(*divisions)
    band = np.random.default_rng(seed).normal(size=len(points)).round(1)  # with corners of equal energy
    energies = np.linspace(-6, 6, 2401)
    below = tetrahedra.below(band, energies)
    assert below.min() >= -1e-6  # corner weights may be slightly negative: linear interpolation extrapolates them
    assert np.diff(below.sum(axis=0)).min() >= -1e-9
    np.testing.assert_allclose(below[:, -1], 1 / len(points))
    assert below[:, 0].sum() == 0
    # The mean of a band is the integral of the states above: linear interpolation keeps it exactly.
    mean = energies[-1] - np.trapezoid(below.sum(axis=0), energies)
    assert mean == pytest.approx(band.mean(), abs=0.005)


def test_a_flat_band_is_a_step() -> None:
    tetrahedra, points = divided(2, 2, 2)
    below = tetrahedra.below(np.full(len(points), 0.25), np.array([0.2, 0.2499, 0.2501, 0.3]))
    np.testing.assert_allclose(below.sum(axis=0), [0, 0, 1, 1])


def test_a_cosine_band_against_dense_sampling() -> None:
    tetrahedra, points = divided(16, 16, 16)
    band = -np.cos(2 * np.pi * points).sum(axis=1)
    energies = np.linspace(-2.5, 2.5, 11)
    samples = -np.cos(2 * np.pi * np.random.default_rng(1).random((400_000, 3))).sum(axis=1)
    expected = [(samples < e).mean() for e in energies]
    np.testing.assert_allclose(tetrahedra.below(band, energies).sum(axis=0), expected, atol=4e-3)
    assert tetrahedra.fermi_level(band[None, :, None], 1.0, 2.0) == pytest.approx(0, abs=1e-3)  # half filled


def test_occupations_are_gpaws() -> None:
    from gpaw.tetrahedron import TetrahedronMethod

    divisions = (4, 3, 2)
    tetrahedra, points = divided(*divisions)
    rng = np.random.default_rng(2)
    bands = np.sort(rng.normal(size=(len(points), 3)), axis=1)
    # GPAW's last index runs fastest.
    place = np.arange(24).reshape(2, 3, 4).transpose(2, 1, 0).ravel()
    theirs, levels, _ = TetrahedronMethod(np.eye(3), divisions).calculate(
        1.7, bands[place], np.full(len(points), 1 / len(points))
    )
    ours = tetrahedra.occupations(bands[None], levels[0], np.full(len(points), 1 / len(points)))
    np.testing.assert_allclose(ours[0][place], np.array(theirs), atol=1e-6)
    assert tetrahedra.fermi_level(bands[None], 1.7, 1.0) == pytest.approx(levels[0], abs=2e-3)
