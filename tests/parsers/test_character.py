"""Composition of band edges and sums of densities, on densities of known make."""

import numpy as np
import pytest

from kalloy.parsers.character import edge_character, inequivalent_sites
from kalloy.parsers.dos import Dos, shell
from kalloy.parsers.gap import Edge, Gap
from kalloy.structures.crystal import Crystal

ENERGIES = np.linspace(-2, 4, 601)
GAP = Gap(False, 2.0, True, 2.0, vbm=Edge(0.0, (), ((0.0, 0.0, 0.0),)), cbm=Edge(2.0, (), ((0.0, 0.0, 0.0),)))
SPECIES = ("Pb", "Br", "Br", "Br")


def made(spins: int = 1) -> Dos:
    """10 states/eV below zero, 4 above two; Pb s holds 0.1, each Br p 0.2 of the lower, Pb p 0.5 of the upper."""
    lower, upper = (ENERGIES <= 0) * 10.0, (ENERGIES >= 2) * 4.0
    projected = np.zeros((4, 1, 4, len(ENERGIES)))
    projected[0, 0, 0] = 0.1 * lower
    projected[0, 0, 2] = 0.5 * upper
    projected[1:, 0, 1] = 0.2 * lower
    total = (lower + upper)[None]
    integrated = np.cumsum(total, axis=1) * 0.01
    shared = (total / spins).repeat(spins, axis=0)
    return Dos(
        ENERGIES,
        shared,
        (integrated / spins).repeat(spins, axis=0),
        1.0,
        (projected / spins).repeat(spins, axis=1),
        ("s", "py", "pz", "px"),
        SPECIES,
    )


@pytest.mark.parametrize("spins", [1, 2])
def test_shares_per_cell_and_per_atom(spins: int) -> None:
    found = edge_character(made(spins), GAP, sites={"one Br": [1], "other Br": [2, 3]}, nelect=20.1)
    valence, conduction = found.valence, found.conduction
    assert {e: (p.share, p.per_atom) for e, p in valence.elements.items()} == {
        "Pb": pytest.approx((0.1, 0.1)),
        "Br": pytest.approx((0.6, 0.2)),
    }
    assert valence.shells["Br", "p"].share == pytest.approx(0.6)
    assert valence.shells["Br", "s"].share == 0
    assert valence.sites["other Br"].share == pytest.approx(0.4)
    assert valence.interstitial == pytest.approx(0.3)
    assert conduction.elements["Pb"].per_atom == pytest.approx(0.5)
    assert conduction.interstitial == pytest.approx(0.5)
    assert valence.window == (-0.5, 1.0)
    assert valence.states == pytest.approx(5.0, abs=0.11)
    assert found.electrons_below_gap == pytest.approx(20.1)
    assert found.warnings == ()


def test_a_density_that_does_not_add_up_is_said() -> None:
    assert any("electrons below the gap" in w for w in edge_character(made(), GAP, nelect=30).warnings)
    assert any("coarse" in w for w in edge_character(made(), GAP, window=0.02).warnings)


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="not projected"):
        edge_character(Dos(ENERGIES, np.zeros((1, 601)), np.zeros((1, 601))), GAP)
    with pytest.raises(ValueError, match="metal"):
        edge_character(made(), Gap(True, 0.0))


def test_sums_by_element_and_shell_are_the_whole() -> None:
    dos = made(2)
    assert dos.projected is not None
    assert np.allclose(sum(dos.by_element().values()), dos.projected.sum(axis=(0, 2)))
    assert np.allclose(sum(dos.by_element_and_shell().values()), dos.projected.sum(axis=(0, 2)))
    assert np.allclose(dos.of([1], "py"), dos.projected[1, :, 1])
    assert dos.shells == ("s", "p")
    with pytest.raises(ValueError, match="no orbital 'd'"):
        dos.of([0], "d")


@pytest.mark.parametrize(("name", "kind"), [("s", "s"), ("px", "p"), ("x2-y2", "d"), ("dxy", "d"), ("fxyz", "f")])
def test_the_shell_of_an_orbital(name: str, kind: str) -> None:
    assert shell(name) == kind


def test_inequivalent_sites_of_a_perovskite() -> None:
    positions = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    cubic = Crystal(np.eye(3) * 6, ("Cs", "Pb", "Br", "Br", "Br"), np.array(positions))
    assert list(inequivalent_sites(cubic).values()) == [(0,), (1,), (2, 3, 4)]
