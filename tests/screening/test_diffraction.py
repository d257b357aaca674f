"""Powder patterns against Bragg's law, measured cells and a hand count of structure factors."""

from __future__ import annotations

import numpy as np
import pytest

from kalloy.errors import InputError
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution
from kalloy.workflows.screening.diffraction import (
    CU_KALPHA,
    Peak,
    averaged_pattern,
    broadened,
    mean_lattice,
    parse_reflection,
    two_theta,
)
from kalloy.workflows.screening.metric import HostMetric


def hexagonal(a: float, c: float) -> np.ndarray:
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


@pytest.mark.parametrize(("name", "shift"), [("006", 0.47), ("20-24", 0.23), ("110", -0.03)])
def test_measured_cells_give_measured_shifts(name: str, shift: float) -> None:
    host, alloy = hexagonal(13.71910, 17.30200), hexagonal(13.74600, 17.05020)
    hkl = parse_reflection(name)
    assert two_theta(alloy, hkl) - two_theta(host, hkl) == pytest.approx(shift, abs=0.006)


def test_reflections_are_read_as_they_are_written() -> None:
    assert parse_reflection("20-24") == (2, 0, 4)
    assert parse_reflection("006") == (0, 0, 6)
    assert parse_reflection("10 0 -2") == (10, 0, -2)
    assert parse_reflection("1,1,0") == (1, 1, 0)
    for text in ("20-14", "00", "000", "hkl", "1 2"):
        with pytest.raises(InputError, match="no reflection"):
            parse_reflection(text)
    with pytest.raises(InputError, match="out of reach"):
        two_theta(hexagonal(2, 2), (5, 0, 0))


@pytest.mark.parametrize("cell", ["given", "primitive"])
def test_a_pattern_knows_no_choice_of_cell(cell: str) -> None:
    host = load_host("Cs4PbBr6", cell)
    metric = HostMetric(host)
    peaks = averaged_pattern(metric, host.crystal.lattice, [(host.crystal, 1.0)])
    reference = load_host("Cs4PbBr6", "given")
    whole = averaged_pattern(HostMetric(reference), reference.crystal.lattice, [(reference.crystal, 1.0)])
    strong = [p for p in peaks if p.intensity > 1]
    expected = [p for p in whole if p.intensity > 1]
    assert [p.two_theta for p in strong] == pytest.approx([p.two_theta for p in expected], abs=2e-4)
    assert [p.intensity for p in strong] == pytest.approx([p.intensity for p in expected], rel=1e-3)
    conventional = metric.conventional(host.crystal.lattice)
    for peak in strong:  # and its planes are those of the conventional cell, whole and allowed by the R lattice
        assert two_theta(conventional, peak.hkl) == pytest.approx(peak.two_theta, abs=2e-4)
        h, k, l = peak.hkl  # noqa: E741
        assert (-h + k + l) % 3 == pytest.approx(0, abs=1e-6)


def test_images_of_one_configuration_have_one_pattern_and_a_symmetric_cell() -> None:
    host = load_host("Cs4PbBr6", "primitive")
    space = ConfigurationSpace(host, [Substitution("Cs", "K", counts=(1,))])
    metric = HostMetric(host)
    one = next(c for c in space.configurations(space.contents[0]) if c.degeneracy == 6)
    taken = one.occupation.index("K")
    patterns = []
    for permutation in space.permutations[::3]:
        species = ["Cs"] * 8
        species[permutation[taken]] = "K"
        listed = list(host.crystal.species)
        for site, name in zip(space.site_indices, species, strict=True):
            listed[site] = name
        image = Crystal(host.crystal.lattice, tuple(listed), host.crystal.positions)
        patterns.append(averaged_pattern(metric, host.crystal.lattice, [(image, 1.0)]))
    grid = np.linspace(5, 60, 1001)
    curves = [broadened(p, grid) for p in patterns]
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], abs=1e-2)
    shear = np.eye(3) + np.array([[0.01, 0.005, 0], [0.005, -0.02, 0.01], [0, 0.01, 0]])
    mean = mean_lattice(metric, [host.crystal.lattice @ shear, host.crystal.lattice], [0.5, 0.5])
    a, b, _, alpha, beta, gamma = metric.parameters(mean)
    assert a == pytest.approx(b)
    assert (alpha, beta, gamma) == pytest.approx((90, 90, 120))


def test_intensities_are_averaged_not_amplitudes() -> None:
    cubic = load_host("CsPbBr3")
    metric = HostMetric(cubic)
    lighter = cubic.crystal.with_species(["K" if s == "Cs" else s for s in cubic.crystal.species])
    lattice = cubic.crystal.lattice
    both = averaged_pattern(metric, lattice, [(cubic.crystal, 0.25), (lighter, 0.75)])
    again = averaged_pattern(metric, lattice, [(cubic.crystal, 0.125), (lighter, 0.75), (cubic.crystal, 0.125)])
    assert [(p.two_theta, p.hkl) for p in both] == [(p.two_theta, p.hkl) for p in again]
    assert [p.intensity for p in both] == pytest.approx([p.intensity for p in again])
    assert max(p.intensity for p in both) == pytest.approx(100)
    for peak in both:
        assert 2 * peak.spacing_A * np.sin(np.radians(peak.two_theta / 2)) == pytest.approx(CU_KALPHA, abs=1e-4)


def test_a_line_is_as_wide_as_asked() -> None:
    grid = np.linspace(29, 31, 20001)
    curve = broadened([Peak(30, 50, 3, (1, 0, 0))], grid, width=0.2)
    above = grid[curve >= curve.max() / 2]
    assert above[-1] - above[0] == pytest.approx(0.2, abs=1e-3)
    assert curve.max() == pytest.approx(50)
