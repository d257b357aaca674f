"""What the band edges are made of: shares of elements, orbitals and sites in a window of the density of states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.dos import Dos, shell
from kalloy.parsers.gap import Gap
from kalloy.structures.crystal import Crystal

Floats = NDArray[np.float64]

WINDOW_EV = 0.5
_ELECTRONS_MISSED = 0.02  # of the filled states, relative


@dataclass(frozen=True)
class Part:
    """One element, shell or group of sites in a window."""

    states: float
    """Projected states in the window, per cell."""
    share: float
    """Of all the cell's states in the window, 0 to 1."""
    per_atom: float
    """Share of one atom of it: what compares Pb with Br where there are six Br for each Pb."""
    atoms: int
    """Atoms that it comprises."""


@dataclass(frozen=True)
class Character:
    """What one band edge is made of."""

    edge: str
    """``valence`` or ``conduction``."""
    window: tuple[float, float]
    """eV; from the window's width inside the band to mid-gap, so that smeared states are counted."""
    states: float
    """States per cell in the window, from the total density."""
    elements: dict[str, Part]
    """By element."""
    shells: dict[tuple[str, str], Part]
    """By element and shell (``s p d f``)."""
    sites: dict[str, Part]
    """By group of inequivalent sites, where these were given."""
    interstitial: float
    """Share that no projection holds, 0 to 1: between the spheres, or in orbitals that are not projected."""


@dataclass(frozen=True)
class EdgeCharacter:
    """Both band edges, and whether the density they come from adds up."""

    valence: Character
    """The uppermost filled states."""
    conduction: Character
    """The lowest empty states."""
    electrons_below_gap: float
    """Electrons per cell below mid-gap, by the density's own integral (which counts both spins of a state)."""
    warnings: tuple[str, ...]
    """Doubts, in words."""


def edge_character(
    dos: Dos,
    gap: Gap,
    *,
    window: float = WINDOW_EV,
    sites: Mapping[str, Iterable[int]] | None = None,
    nelect: float | None = None,
) -> EdgeCharacter:
    """Composition of both band edges.

    Parameters
    ----------
    dos : a density of states projected on ions.
    gap : the gap of the same calculation, from its eigenvalues.
    window : eV, how far into each band.
    sites : ions of each group of inequivalent sites, by a name of the caller's (see ``inequivalent_sites``).
    nelect : number of electrons, against which the density's integral is checked.

    Raises
    ------
    ValueError
        If nothing is projected, or there is no gap.
    """
    if dos.projected is None:
        raise ValueError("this density of states is not projected on ions")
    if gap.vbm is None or gap.cbm is None:
        raise ValueError("a metal has no band edges")
    middle = (gap.vbm.energy + gap.cbm.energy) / 2
    groups = {name: list(ions) for name, ions in (sites or {}).items()}
    valence = _character(dos, "valence", (gap.vbm.energy - window, middle), groups)
    conduction = _character(dos, "conduction", (middle, gap.cbm.energy + window), groups)
    below = _states_below(dos, middle)
    warnings = _doubts(dos, below, nelect, window, (valence, conduction))
    return EdgeCharacter(valence, conduction, below, warnings)


def inequivalent_sites(crystal: Crystal, tolerance: float = 1e-3) -> dict[str, tuple[int, ...]]:
    """Groups of symmetry-equivalent atoms, named by element, Wyckoff letter and first atom (``Cs e #3``).

    Parameters
    ----------
    tolerance : Å, spglib's.
    """
    import spglib

    found = spglib.get_symmetry_dataset(crystal.spglib_cell(), symprec=tolerance)
    if found is None:
        return {f"{s} #{i + 1}": (i,) for i, s in enumerate(crystal.species)}
    groups: dict[int, list[int]] = {}
    for ion, representative in enumerate(found.equivalent_atoms.tolist()):
        groups.setdefault(representative, []).append(ion)
    return {f"{crystal.species[g[0]]} {found.wyckoffs[g[0]]} #{g[0] + 1}": tuple(g) for g in groups.values()}


def _spacing(dos: Dos) -> float:
    return float(dos.energies[1] - dos.energies[0])


def _chosen(dos: Dos, window: tuple[float, float]) -> NDArray[np.bool_]:
    return (dos.energies > window[0]) & (dos.energies <= window[1])


def _states_below(dos: Dos, energy: float) -> float:
    """The density's own integral at an energy, over spins."""
    at = int(np.searchsorted(dos.energies, energy, side="right")) - 1
    if at < 0:
        return 0.0
    column = dos.integrated[:, at]
    return float(column[0] if dos.noncollinear else column.sum())


def _character(dos: Dos, edge: str, window: tuple[float, float], groups: Mapping[str, list[int]]) -> Character:
    assert dos.projected is not None
    inside = _chosen(dos, window)
    width = _spacing(dos)
    states = float(dos.sum_of_spins[inside].sum() * width)
    # Shape (ion, orbital): projected states of each ion's orbitals in the window.
    spins = dos.projected[:, :1] if dos.noncollinear else dos.projected
    by_orbital = spins[..., inside].sum(axis=(1, 3)) * width
    shells = np.array([shell(name) for name in dos.orbitals])
    elements = {e: [i for i, s in enumerate(dos.species) if s == e] for e in dict.fromkeys(dos.species)}

    def part(ions: list[int], kind: str | None = None) -> Part:
        picked = by_orbital[ions] if kind is None else by_orbital[ions][:, shells == kind]
        held = float(picked.sum())
        share = held / states if states > 0 else 0.0
        return Part(held, share, share / len(ions) if ions else 0.0, len(ions))

    return Character(
        edge,
        window,
        states,
        {e: part(ions) for e, ions in elements.items()},
        {(e, kind): part(ions, kind) for e, ions in elements.items() for kind in dos.shells},
        {name: part(ions) for name, ions in groups.items()},
        1 - float(by_orbital.sum()) / states if states > 0 else 0.0,
    )


def _doubts(
    dos: Dos, below: float, nelect: float | None, window: float, edges: tuple[Character, ...]
) -> tuple[str, ...]:
    doubts = []
    if nelect is not None and abs(below - nelect) > _ELECTRONS_MISSED * nelect:
        doubts.append(f"the density of states holds {below:.2f} electrons below the gap where there are {nelect:g}")
    if _spacing(dos) > window / 5:
        doubts.append(f"the energy grid ({_spacing(dos):.3f} eV) is coarse for a window of {window:g} eV")
    doubts += [f"no states in the {c.edge} window" for c in edges if c.states <= 0]
    return tuple(doubts)
