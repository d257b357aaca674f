"""Gaps of made-up bands, whose answer is known by construction."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.parsers.bands import Bands, is_path, straight_segments
from kalloy.parsers.gap import find_gap
from kalloy.parsers.result import read_result

few = settings(max_examples=60)


@st.composite
def insulators(draw: st.DrawFn) -> tuple[Bands, list[int], np.ndarray, np.ndarray]:
    """Bands shuffled at every k-point, with whole fillings; and the energies below and above, (spin, k)."""
    spins, nk = draw(st.integers(1, 2)), draw(st.integers(1, 6))
    filled = [draw(st.integers(1, 4)) for _ in range(spins)]
    bands = max(filled) + draw(st.integers(1, 3))
    # On a grid of 0.01 eV, so that nothing is closer to an edge than it should be.
    grid = st.integers(0, 300)
    energies = np.zeros((spins, nk, bands))
    for s in range(spins):
        for k in range(nk):
            low = [draw(grid) / 100 for _ in range(filled[s])]
            high = [5 + draw(grid) / 100 for _ in range(bands - filled[s])]
            energies[s, k] = draw(st.permutations(low + high))
    occupations = (energies < 4).astype(float)
    weights = np.array([draw(st.integers(1, 5)) for _ in range(nk)], dtype=float)
    kpoints = np.array([[k / 7, 0, 0] for k in range(nk)])
    made = Bands(kpoints, weights / weights.sum(), energies, occupations, electrons_per_band=2 if spins == 1 else 1)
    ordered = np.sort(energies, axis=2)
    below = np.array([ordered[s, :, n - 1] for s, n in enumerate(filled)])
    above = np.array([ordered[s, :, n] for s, n in enumerate(filled)])
    return made, filled, below, above


@few
@given(insulators())
def test_the_definition(case: tuple[Bands, list[int], np.ndarray, np.ndarray]) -> None:
    bands, filled, below, above = case
    gap = find_gap(bands, sum(filled) * bands.electrons_per_band)
    assert gap.metal is False
    assert gap.gap == pytest.approx(above.min() - below.max())
    assert gap.direct_gap == pytest.approx((above.min(axis=0) - below.max(axis=0)).min())
    assert gap.vbm is not None
    assert gap.cbm is not None
    at_top = {k for k in range(below.shape[1]) if (below[:, k] > below.max() - 1e-3).any()}
    at_bottom = {k for k in range(above.shape[1]) if (above[:, k] < above.min() + 1e-3).any()}
    assert {state.k for state in gap.vbm.states} == at_top
    assert {state.k for state in gap.cbm.states} == at_bottom
    assert gap.direct is bool(at_top & at_bottom)
    assert gap.margin_meV is not None
    assert gap.margin_meV >= 0
    assert (gap.margin_meV < 1e-9) == (gap.direct_gap == pytest.approx(gap.gap, abs=1e-12))
    for state in gap.vbm.states:
        assert state.band < filled[state.spin]
    for state in gap.cbm.states:
        assert state.band >= filled[state.spin]


@few
@given(insulators(), st.floats(-20, 20))
def test_a_shift_and_the_order_of_k_points_do_not_matter(
    case: tuple[Bands, list[int], np.ndarray, np.ndarray], shift: float
) -> None:
    bands, filled, _, _ = case
    order = np.arange(len(bands.kpoints))[::-1]
    moved = Bands(
        bands.kpoints[order],
        bands.weights[order],
        bands.eigenvalues[:, order] + shift,
        bands.occupations[:, order],
        electrons_per_band=bands.electrons_per_band,
    )
    electrons = sum(filled) * bands.electrons_per_band
    one, other = find_gap(bands, electrons), find_gap(moved, electrons)
    assert (one.metal, one.direct) == (other.metal, other.direct)
    assert one.gap == pytest.approx(other.gap)
    assert one.direct_gap == pytest.approx(other.direct_gap)


@few
@given(insulators())
def test_occupations_of_two_channels_may_be_missing(case: tuple[Bands, list[int], np.ndarray, np.ndarray]) -> None:
    bands, filled, _, _ = case
    bare = Bands(
        bands.kpoints,
        bands.weights,
        bands.eigenvalues,
        np.full(bands.occupations.shape, np.nan),
        electrons_per_band=bands.electrons_per_band,
    )
    electrons = sum(filled) * bands.electrons_per_band
    assert find_gap(bare, electrons).gap == pytest.approx(find_gap(bands, electrons).gap)


@few
@given(insulators(), st.integers(0, 5))
def test_the_whole_is_the_extremum_over_mesh_and_path(
    case: tuple[Bands, list[int], np.ndarray, np.ndarray], cut: int
) -> None:
    bands, filled, _, _ = case
    cut = min(cut, len(bands.kpoints) - 1)
    if cut == 0:
        return

    def part(chosen: slice, source: str) -> Bands:
        return Bands(
            bands.kpoints[chosen],
            bands.weights[chosen],
            bands.eigenvalues[:, chosen],
            bands.occupations[:, chosen],
            source=source,  # type: ignore[arg-type]
            electrons_per_band=bands.electrons_per_band,
        )

    electrons = sum(filled) * bands.electrons_per_band
    both = find_gap([part(slice(cut), "mesh"), part(slice(cut, None), "path")], electrons)
    assert both.source == "mesh+path"
    assert both.gap == pytest.approx(find_gap(bands, electrons).gap)
    assert both.mesh is not None
    assert both.path is not None
    assert both.gap is not None
    assert both.mesh.gap is not None
    assert both.path.gap is not None
    assert both.gap <= min(both.mesh.gap, both.path.gap) + 1e-12


def simple(energies: list[list[float]], occupations: list[list[float]] | None = None, **more: object) -> Bands:
    values = np.array([energies])
    filled = np.array([occupations]) if occupations else (values < 0).astype(float)
    nk = len(energies)
    return Bands(
        np.array([[k / 10, 0, 0] for k in range(nk)]),
        np.full(nk, 1 / nk),
        values,
        filled,
        **more,  # type: ignore[arg-type]
    )


def test_an_odd_number_of_electrons_without_spin_is_a_metal() -> None:
    gap = find_gap(simple([[-1.0, 1.0], [-1.5, 1.5]], [[1, 0.5], [1, 0.5]]), 3)
    assert (gap.metal, gap.gap, gap.direct) == (True, 0.0, None)


def test_the_number_of_electrons_decides_where_there_is_one_channel() -> None:
    gap = find_gap(simple([[-1.0, 1.0, 4.0], [-1.5, 1.5, 3.0]], [[1, 0, 0], [1, 0, 0]]), 4)
    assert gap.gap == 1.5
    assert any("NELECT" in warning for warning in gap.warnings)


def test_an_odd_number_of_electrons_with_spinors_is_none() -> None:
    gap = find_gap(simple([[-1.0, 1.0], [-1.5, 1.5]], electrons_per_band=1), 1)
    assert (gap.metal, gap.gap) == (False, 2.0)


def test_overlapping_bands_are_a_metal_though_each_k_point_has_a_gap() -> None:
    gap = find_gap(simple([[-1.0, 0.5], [0.6, 2.0]], [[1, 0], [1, 0]]), 2)
    assert (gap.metal, gap.gap) == (True, 0.0)


def test_smearing_across_a_gap_is_no_metal_and_said() -> None:
    gap = find_gap(simple([[0.0, 0.1], [-0.5, 0.4]], [[0.8, 0.2], [1.0, 0.0]]), 2)
    assert gap.gap == pytest.approx(0.1)
    assert any("smearing" in warning for warning in gap.warnings)


def test_quasi_direct_below_the_stated_tolerance() -> None:
    bands = simple([[-1.0, 1.0], [-1.004, 0.997]])
    assert find_gap(bands, 2).direct is False
    assert find_gap(bands, 2).quasi_direct is True
    assert find_gap(bands, 2, quasi_direct=0.002).quasi_direct is False


def test_a_fixed_moment_whose_channels_overlap_is_said() -> None:
    energies = np.array([[[-1.0, 5.0]], [[-9.0, -2.0]]])
    occupations = np.array([[[1.0, 0.0]], [[1.0, 0.0]]])
    bands = Bands(np.zeros((1, 3)), np.ones(1), energies, occupations, electrons_per_band=1)
    gap = find_gap(bands, 2)
    assert gap.metal is True
    assert [own.gap for own in gap.by_spin] == [6.0, 7.0]
    assert any("moment" in warning for warning in gap.warnings)


def test_without_an_empty_band_the_gap_is_unknown() -> None:
    gap = find_gap(simple([[-1.0], [-2.0]]), 2)
    assert (gap.metal, gap.gap) == (None, None)
    assert gap.warnings == ("no empty band was computed: the gap is unknown",)


def test_eigenvalues_that_are_no_numbers_leave_the_gap_unknown() -> None:
    gap = find_gap(simple([[-1.0, float("nan")]], [[1, 0]]), 2)
    assert (gap.metal, gap.gap) == (None, None)


def test_from_a_file(vasprun: Callable[..., bytes], folder: Callable[[bytes], Path]) -> None:
    energies = np.array([[[1.0, -2.0], [1.5, -1.0], [0.5, -3.0]]])
    kpoints = np.array([[0.0, 0, 0], [0.25, 0, 0], [0.5, 0, 0]])
    text = vasprun(energies, (energies < 0).astype(float), kpoints, np.array([0.5, 0.5, 0.0]), 2)
    row = read_result(folder(text)).to_json()
    row.pop("folder")
    assert row == {
        "schema": 1,
        "program": "vasp",
        "formula": "K1Br1",
        "complete": True,
        "electronic_converged": True,
        "ionic_converged": None,
        "energy_eV": -10.0,
        "volume_A3": 80.0,
        "metal": False,
        "gap_eV": 1.5,
        "direct": False,
        "direct_gap_eV": 2.5,
        "vbm_eV": -1.0,
        "cbm_eV": 0.5,
        "vbm_k": [[0.25, 0.0, 0.0]],
        "cbm_k": [[0.5, 0.0, 0.0]],
        "gap_source": "mesh+path",
        "warnings": [],
    }


def test_a_path_is_known_by_its_straight_runs() -> None:
    def line(a: list[float], b: list[float], n: int) -> np.ndarray:
        return np.linspace(a, b, n)

    corners = [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0, 0, 0.5]]
    path = np.concatenate([line(a, b, 10) for a, b in pairwise(corners)])  # type: ignore[arg-type]
    assert is_path(path, np.full(len(path), 1 / len(path)))
    assert [(s.start, s.stop) for s in straight_segments(path)] == [(0, 10), (10, 20), (20, 30)]
    mesh = np.array([[i, j, k] for i in range(4) for j in range(4) for k in range(4)]) / 4
    assert not is_path(mesh, np.full(len(mesh), 1 / len(mesh)))


@pytest.mark.parametrize("points", [5, 6, 10])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_mesh_of_a_chain_is_no_path(axis: int, points: int) -> None:
    """A Monkhorst–Pack mesh along one vector, halved by time reversal, is straight and of even weights as well."""
    even = np.full(points, 1 / points)
    mesh, line = np.zeros((points, 3)), np.zeros((points, 3))
    mesh[:, axis] = (2 * np.arange(points) + 1) / (4 * points)
    line[:, axis] = np.linspace(0, 0.5, points)
    assert not is_path(mesh, even)
    assert is_path(line, even)
    assert is_path(line[::-1], even)


@few
@given(insulators(), st.floats(0.01, 3.0))
def test_wide_smearing_takes_no_gap_away(case: tuple[Bands, list[int], np.ndarray, np.ndarray], sigma: float) -> None:
    """Gaussian smearing at one common level carries electrons between the spin channels; the ground state has none."""
    from scipy.optimize import brentq
    from scipy.special import erfc

    bands, filled, below, above = case
    weights = bands.weights[None, :, None]

    def occupations(level: float) -> np.ndarray:
        return np.asarray(erfc((bands.eigenvalues - level) / sigma) / 2)

    level = brentq(lambda mu: float((occupations(mu) * weights).sum()) - sum(filled), -50, 60)
    smeared = Bands(
        bands.kpoints,
        bands.weights,
        bands.eigenvalues,
        occupations(level),
        electrons_per_band=bands.electrons_per_band,
    )
    gap = find_gap(smeared, sum(filled) * bands.electrons_per_band)
    counted = (occupations(level) * weights).sum(axis=(1, 2))
    if (abs(counted - filled) < 0.5).all():  # else the smearing hides which channel holds them
        assert gap.metal is False
        assert gap.gap == pytest.approx(above.min() - below.max())


def test_a_partly_filled_channel_stays_a_metal() -> None:
    """A half-metal and a ferromagnet: no whole numbers of bands leave a gap."""
    k = np.linspace(0, 0.5, 6)
    up = np.stack([-3 + k, -0.2 + k, 0.1 + k, 4 + k], axis=1)
    down = np.stack([-2.5 + k, 1.5 + k, 2 + k, 5 + k], axis=1)
    energies = np.stack([up, down])
    made = Bands(
        np.stack([k, 0 * k, 0 * k], axis=1),
        np.full(6, 1 / 6),
        energies,
        (energies < 0.2).astype(float),
        electrons_per_band=1,
    )
    gap = find_gap(made, 4.0)
    assert (gap.metal, gap.gap) == (True, 0.0)
