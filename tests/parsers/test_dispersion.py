"""Widths and masses of bands with known curvature, and a published pair."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.parsers.bands import Bands, Segment
from kalloy.parsers.dispersion import HBAR2_2M, edge_widths, effective_masses, join_paths
from kalloy.parsers.gap import find_gap
from kalloy.parsers.result import read_result

REAL = Path(__file__).parents[3] / "shared" / "vasp"


def parabolas(hole: float, electron: float, step: float = 0.0) -> Bands:
    """One filled and one empty band along x from the zone's centre, of given masses, a = 6 Å."""
    kpoints = np.zeros((11, 3))
    kpoints[:, 0] = np.linspace(0, 0.1, 11)
    q = 2 * np.pi * kpoints[:, 0] / 6
    energies = np.stack([-HBAR2_2M / hole * q**2, 1 + HBAR2_2M / electron * q**2 + step * (q > 0)], axis=1)[None]
    return Bands(
        kpoints,
        np.full(11, 1 / 11),
        energies,
        (energies < 0.5).astype(np.float64),
        np.eye(3) / 6,
        "path",
        (Segment(0, 11, ("GAMMA", "X")),),
    )


@settings(max_examples=50)
@given(st.floats(0.02, 3), st.floats(0.02, 3), st.integers(2, 8))
def test_a_parabola_gives_its_mass(hole: float, electron: float, points: int) -> None:
    bands = parabolas(hole, electron)
    found = effective_masses(bands, find_gap(bands, 2), points)
    assert [m.carrier for m in found] == ["electron", "hole"]
    assert [m.mass for m in found] == pytest.approx([electron, hole], rel=1e-9)
    assert all(m.r_squared == pytest.approx(1) and m.points == points for m in found)
    assert all(m.labels == ("GAMMA", "X") and m.kpoint == (0, 0, 0) and m.towards == (0.1, 0, 0) for m in found)
    assert found[0].window == pytest.approx(2 * np.pi / 6 * 0.01 * points)


def test_the_figure_for_a_flat_band_is_flagged() -> None:
    bands = parabolas(hole=50.0, electron=0.2)
    electron, hole = effective_masses(bands, find_gap(bands, 2))
    assert electron.meaningful
    assert not hole.meaningful


def test_a_band_that_is_no_parabola_is_flagged() -> None:
    bands = parabolas(hole=0.5, electron=3.0, step=0.05)
    electron = effective_masses(bands, find_gap(bands, 2), 8)[0]
    assert electron.r_squared < 0.95
    assert not electron.meaningful


def test_widths_are_highest_less_lowest() -> None:
    bands = parabolas(hole=0.5, electron=0.25)
    widths = edge_widths(bands, find_gap(bands, 2))
    q2 = (2 * np.pi * 0.1 / 6) ** 2
    assert widths.valence == pytest.approx((HBAR2_2M / 0.5 * q2,))
    assert widths.conduction == pytest.approx((HBAR2_2M / 0.25 * q2,))


def test_cells_that_differ_are_not_joined() -> None:
    one = parabolas(0.5, 0.5)
    other = Bands(one.kpoints, one.weights, one.eigenvalues, one.occupations, np.eye(3) / 7, "path")
    with pytest.raises(ValueError, match="different cells"):
        join_paths([one, other])


def test_masses_of_cs2sni6_over_two_parts_of_its_path() -> None:
    """Values published for the same two files, by a fit over three and over five points beyond the edge."""
    parts = [REAL / f"sumo_Cs2SnI6_hybrid_band_split0{i}" for i in (1, 2)]
    if not all(part.is_dir() for part in parts):
        pytest.skip("the real calculations are not beside this checkout (../shared/vasp)")
    results = [read_result(part) for part in parts]
    path = join_paths([r.path for r in results if r.path is not None])
    for points, electrons, holes in (
        (3, {"L": 0.207, "X": 0.211}, {"L": [0.641, 0.641, 1.234], "X": [0.516, 0.516, 15.158]}),
        (5, {"L": 0.215, "X": 0.221}, {"L": [0.661, 0.661, 1.222], "X": [0.522, 0.522, 15.657]}),
    ):
        found = effective_masses(path, results[0].gap, points)
        for towards in "LX":
            along = [m for m in found if m.labels == ("GAMMA", towards)]
            assert [m.mass for m in along if m.carrier == "electron"] == pytest.approx([electrons[towards]], abs=5e-4)
            assert [m.mass for m in along if m.carrier == "hole"] == pytest.approx(holes[towards], abs=5e-4)
