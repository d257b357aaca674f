"""Figures from neutral data: what is drawn is what was given, and the data beside a figure says the same."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.parsers.dos import Dos
from kalloy.parsers.optics import choose, spectrum
from kalloy.parsers.result import Result, read_result
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution
from kalloy.workflows.report.absorption import draw_absorption
from kalloy.workflows.report.alignment import draw_alignment
from kalloy.workflows.report.averages import draw_averages
from kalloy.workflows.report.bands import draw_bands
from kalloy.workflows.report.composition import draw_bowing, draw_mixing
from kalloy.workflows.report.dos import ATOMS, draw_dos
from kalloy.workflows.report.drawing import element_colours
from kalloy.workflows.report.spectra import Spectra
from kalloy.workflows.report.structures import Shown, draw_structures, marked_atoms
from kalloy.workflows.screening.alignment import align, deep_levels
from kalloy.workflows.screening.gaps import MemberGap
from kalloy.workflows.screening.mixing import Mixing
from kalloy.workflows.screening.thermodynamics import Ensemble

KBR = Path(__file__).resolve().parent.parent / "parsers" / "data" / "KBr"


def gap_of(result: Result) -> MemberGap:
    gap = result.gap
    assert gap.gap is not None
    assert gap.direct_gap is not None
    assert gap.vbm is not None
    assert gap.cbm is not None
    return MemberGap(
        False, gap.gap, gap.direct, gap.direct_gap, gap.vbm.energy, gap.cbm.energy, [list(k) for k in gap.vbm.kpoints],
        [list(k) for k in gap.cbm.kpoints], "path",
    )  # fmt: skip


@pytest.fixture(scope="module")
def kbr() -> Spectra:
    bands, dos = read_result(KBR / "bands"), read_result(KBR / "dos")
    return Spectra("host", "host (KBr)", bands.path, dos.dos, gap_of(bands), 1)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_bands_beside_their_data(kbr: Spectra, tmp_path: Path) -> None:
    drawn = draw_bands(kbr, tmp_path, {"K": "#0072B2", "Br": "#D55E00"})
    assert kbr.bands is not None
    table = rows(tmp_path / "bands-host.csv")
    assert len(table) == len(kbr.bands.kpoints)
    band = [float(r["band8_eV"]) for r in table]  # K 9 and Br 7 electrons fill eight
    assert max(band) == pytest.approx(0, abs=1e-9)
    assert {p.suffix for p in tmp_path.glob("bands-host.*")} == {".svg", ".pdf", ".png", ".csv"}
    assert drawn.svg.read_text().startswith("<?xml")
    assert "enlarged" in drawn.caption


def test_the_same_data_gives_the_same_files(kbr: Spectra, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        draw_dos([kbr], tmp_path / folder)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_projections_are_for_two_atoms(kbr: Spectra, tmp_path: Path) -> None:
    assert kbr.dos is not None
    draw_dos([kbr], tmp_path)
    table = rows(tmp_path / "dos-host.csv")
    drawn = [float(r["states_per_eV"]) for r in table if r["of"] == f"Br p of {ATOMS} atoms"]
    np.testing.assert_allclose(drawn, 2 * kbr.dos.of_element("Br", "p").sum(axis=0))


def test_without_a_density_of_states_there_is_no_figure(kbr: Spectra, tmp_path: Path) -> None:
    assert draw_dos([replace(kbr, dos=None)], tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_absorption_of_a_real_calculation(shared: Path, kbr: Spectra, tmp_path: Path) -> None:
    result = read_result(shared / "vasp" / "sumo_Cs2SnBr6_soc_hybrid_loptics")
    dielectric = choose(result.vasprun.dielectric)
    assert dielectric is not None
    drawn = draw_absorption([replace(kbr, optics=spectrum(dielectric))], tmp_path)
    assert drawn is not None
    table = rows(tmp_path / "absorption.csv")
    # α = 2 ω Im n / c (Jackson, 7.53): from ε alone, in other units than the reader's own.
    omega = np.array([float(r["energy_eV"]) for r in table]) * 1.602176634e-19 / 1.054571817e-34
    root = np.sqrt(np.array([complex(float(r["epsilon1"]), float(r["epsilon2"])) for r in table]))
    np.testing.assert_allclose(
        [float(r["absorption_per_cm"]) for r in table], 2 * omega * root.imag / 2.99792458e10, rtol=1e-6, atol=1e-3
    )


def test_structures_mark_the_substituted_atoms(tmp_path: Path) -> None:
    host = load_host("Cs4PbBr6", "primitive")
    space = ConfigurationSpace(host, [Substitution("Cs", "K", counts=(2,))])
    shown = [Shown("host", host.crystal, ())]
    for one in space.configurations(space.contents[0]):
        crystal = one.crystal()
        sites = [host.crystal.positions[s] for s, e in zip(one.sites, one.occupation, strict=True) if e == "K"]
        marked = marked_atoms(crystal, sites)
        assert [crystal.species[i] for i in marked] == ["K", "K"]
        shown.append(Shown(one.label, crystal, marked))
    draw_structures(shown[:3], tmp_path, element_colours(["Cs", "Pb", "Br", "K"]))
    table = rows(tmp_path / "structures.csv")
    assert [r["element"] for r in table if r["substituted"] == "True"] == ["K"] * 4
    first = [np.array([float(r[k]) for k in ("x", "y", "z")]) for r in table[:22]]
    np.testing.assert_allclose(first, host.crystal.positions)


def test_a_vacancy_marks_nothing() -> None:
    crystal = load_host("Cs4PbBr6", "primitive").crystal
    assert marked_atoms(crystal, [[0.37, 0.11, 0.49]], tolerance=0.1) == ()


# -- alignment --------------------------------------------------------------------------


def deep_density(shift: float) -> Dos:
    """Two elements: deep levels of A at −20 and of B at −12, a valence band at 0, all moved by ``shift``."""
    energies = np.linspace(-25, 10, 7001)
    step = energies[1] - energies[0]

    def level(at: float, states: float) -> np.ndarray:
        shape = np.exp(-(((energies - at - shift) / 0.1) ** 2))
        return states * shape / (shape.sum() * step)

    projected = np.array([[[level(-20, 2)]], [[level(-12, 2) + level(0, 6)]]])
    total = projected.sum(axis=(0, 2))
    return Dos(energies, total, np.cumsum(total, axis=1) * step, 0.0, projected, ("s",), ("A", "B"))


@settings(max_examples=25)
@given(st.floats(-2, 2), st.floats(-0.3, 0.3), st.floats(1, 5))
def test_alignment_undoes_any_zero_of_energy(shift: float, offset: float, gap: float) -> None:
    """Each calculation has a zero of its own; what is left is the offset between the edges."""
    host = MemberGap(False, 4.0, True, 4.0, 0.1, 4.1, [], [], "")
    alloy = MemberGap(False, gap, True, gap, 0.1 + offset + shift, 0.1 + offset + shift + gap, [], [], "")
    found = align([("host", host, deep_density(0.0)), ("K1/c1", alloy, deep_density(shift))])
    assert [f.anchor for f in found] == ["A", "A"]  # the deeper
    assert (found[0].vbm_eV, found[0].cbm_eV) == pytest.approx((0, 4))
    assert (found[1].vbm_eV, found[1].cbm_eV) == pytest.approx((offset, offset + gap), abs=0.002)


def test_nothing_is_aligned_without_deep_levels(kbr: Spectra, tmp_path: Path) -> None:
    shallow = deep_density(0.0)
    window = shallow.energies > -3
    cut = replace(
        shallow, energies=shallow.energies[window], total=shallow.total[:, window],
        projected=None if shallow.projected is None else shallow.projected[..., window],
    )  # fmt: skip
    assert deep_levels(cut, 0.0) == {}
    assert align([("host", kbr.gap, cut), ("K1/c1", kbr.gap, cut)]) == []
    assert draw_alignment([], tmp_path) is None


def test_the_deep_levels_of_a_real_density(kbr: Spectra) -> None:
    """K 3p lies about 11 eV, K 3s about 28 eV and Br 4s about 12 eV below the VBM of KBr (PBE)."""
    static = read_result(KBR / "static")
    assert static.dos is not None
    assert kbr.gap.vbm_eV is not None
    levels = deep_levels(static.dos, kbr.gap.vbm_eV)
    assert set(levels) == {"K", "Br"}
    assert -32 < levels["K"] - kbr.gap.vbm_eV < -9
    assert -14 < levels["Br"] - kbr.gap.vbm_eV < -10


# -- composition and temperature -----------------------------------------------------------


def mixing() -> Mixing:
    ensembles = {n: Ensemble((f"c{n}",), np.array([-1.0 * n + e]), np.array([1.0]), 1.0) for n, e in
                 ((0, 0.0), (1, -0.1), (2, 0.2), (4, 0.0))}  # fmt: skip
    return Mixing.of(ensembles, 4, 2)


def test_mixing_and_hull_beside_their_data(tmp_path: Path) -> None:
    draw_mixing(mixing(), "K on Cs", [300.0], tmp_path)
    table = rows(tmp_path / "mixing.csv")
    points = {float(r["x"]): float(r["mixing_meV_per_formula_unit"]) for r in table if r["of"] == "configuration"}
    assert points == pytest.approx({0: 0, 0.25: -50, 0.5: 100, 1: 0})
    assert [float(r["x"]) for r in table if r["of"] == "hull"] == [0, 0.25, 1]


def test_bowing_needs_something_between_the_ends(tmp_path: Path) -> None:
    assert draw_bowing({"gap (eV)": [(0, 3.9), (1, 4.4)]}, "K on Cs", tmp_path) is None
    drawn = draw_bowing({"gap (eV)": [(0, 3.9), (0.5, 4.0), (1, 4.4)]}, "K on Cs", tmp_path)
    assert drawn is not None
    assert "b = 0.6" in (tmp_path / "bowing.svg").read_text() or "bowing b" in drawn.caption


def test_averages_against_temperature(tmp_path: Path) -> None:
    ensemble = Ensemble(("a", "b"), np.array([0.0, 0.05]), np.array([1.0, 3.0]), 4.0, noise=0.001)
    estimates = [ensemble.average([3.9, 4.0], t) for t in (100.0, 300.0)]
    assert draw_averages({"gap (eV)": estimates}, [100.0, 300.0], "K1", tmp_path) is not None
    table = rows(tmp_path / "averages-K1.csv")
    assert [float(r["value"]) for r in table] == [e.value for e in estimates]
    assert draw_averages({"gap (eV)": estimates[:1]}, [100.0], "K1", tmp_path) is None
