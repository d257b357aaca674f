"""The gap, by counting electrons on sorted bands; never from a Fermi energy, an occupation threshold or a DOS.

The rule: sort the bands at each k-point; count the electrons of each spin channel (the number of electrons itself
where there is one channel); a fractional filling is a metal; the gap is the lowest state above the filling less the
highest below it, over all channels and all k-points of mesh and path; it is direct if the k-points within 1 meV of
the two edges have one in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.bands import Bands
from kalloy.parsers.filling import Filling, count_filling

Floats = NDArray[np.float64]
KPoint = tuple[float, float, float]

DEGENERATE_EV = 1e-3
"""States this close to an edge count as the edge."""
QUASI_DIRECT_EV = 10e-3
"""Default margin below which an indirect gap is called quasi-direct."""
_SAME_K = 1e-5


@dataclass(frozen=True)
class State:
    """One state of a band structure."""

    source: Literal["mesh", "path"]
    """Set of k-points that it belongs to."""
    spin: int
    """0 or 1."""
    k: int
    """Index of its k-point within that set."""
    band: int
    """Index from 0 among the bands in ascending order of energy."""


@dataclass(frozen=True)
class Edge:
    """Valence band maximum or conduction band minimum."""

    energy: float
    """eV."""
    states: tuple[State, ...]
    """Every state within 1 meV of it."""
    kpoints: tuple[KPoint, ...]
    """Their k-points, fractional, each once."""

    @property
    def spins(self) -> tuple[int, ...]:
        """Spin channels that reach it."""
        return tuple(sorted({state.spin for state in self.states}))


@dataclass(frozen=True)
class Gap:
    """A gap with what it rests on; None stands for unknown throughout."""

    metal: bool | None
    """Whether a band is partly filled, or filled and empty bands overlap."""
    gap: float | None
    """Fundamental gap, eV; 0 for a metal."""
    direct: bool | None = None
    """Whether an edge k-point is shared by both edges; None for a metal."""
    direct_gap: float | None = None
    """Smallest gap at one k-point, eV."""
    direct_kpoints: tuple[KPoint, ...] = ()
    """Where it is, fractional, all within 1 meV."""
    vbm: Edge | None = None
    """Valence band maximum."""
    cbm: Edge | None = None
    """Conduction band minimum."""
    source: Literal["mesh", "path", "mesh+path"] | None = None
    """K-points that were searched."""
    quasi_direct: bool | None = None
    """Indirect by less than ``quasi_direct_tolerance``."""
    quasi_direct_tolerance: float = QUASI_DIRECT_EV
    """eV."""
    filled: tuple[float, ...] = ()
    """Bands filled, one number a spin channel."""
    by_spin: tuple[Gap, ...] = ()
    """The gap within each spin channel, where there are two."""
    mesh: Gap | None = None
    """The gap over the mesh alone, where there is a path too."""
    path: Gap | None = None
    """The gap over the path alone, where there is a mesh too."""
    warnings: tuple[str, ...] = ()
    """Doubts, in words."""

    @property
    def margin_meV(self) -> float | None:
        """Direct gap less fundamental gap, meV: what "indirect" rests on."""
        if self.gap is None or self.direct_gap is None:
            return None
        return (self.direct_gap - self.gap) * 1000


def find_gap(
    bands: Bands | Sequence[Bands],
    nelect: float | None = None,
    *,
    quasi_direct: float = QUASI_DIRECT_EV,
) -> Gap:
    """The gap of one calculation.

    Parameters
    ----------
    bands : its bands on a mesh, on a path, or on both.
    nelect : number of electrons of the cell, where known; else the occupations are counted.
    quasi_direct : eV; an indirect gap with a margin below it is called quasi-direct.

    Returns
    -------
    The gap over all k-points, with those over mesh and path apart where there are both.
    """
    sets = [bands] if isinstance(bands, Bands) else list(bands)
    sets = [b for b in sets if b.eigenvalues.size]
    if not sets:
        return Gap(None, None, warnings=("no eigenvalues",))
    filling = count_filling(sets, nelect)
    if any(not np.isfinite(b.eigenvalues).all() for b in sets):
        return Gap(None, None, source=_source(sets), warnings=("eigenvalues that are no numbers",))
    whole = _over(sets, filling, quasi_direct)
    if len(sets) < 2:
        return whole
    apart = {b.source: _over([b], filling, quasi_direct) for b in sets}
    return replace(whole, mesh=apart.get("mesh"), path=apart.get("path"))


def _source(sets: Sequence[Bands]) -> Literal["mesh", "path", "mesh+path"]:
    sources = {b.source for b in sets}
    if len(sources) > 1:
        return "mesh+path"
    return "path" if sources == {"path"} else "mesh"


def _over(sets: Sequence[Bands], filling: Filling, quasi_direct: float) -> Gap:
    """The gap over some sets of k-points, all of one filling."""
    source = _source(sets)
    if filling.bands is None:
        return Gap(None, None, source=source, warnings=filling.warnings)
    if not filling.whole:
        return Gap(True, 0.0, source=source, filled=filling.bands, warnings=filling.warnings)
    counts = [round(n) for n in filling.bands]
    gap = _between(sets, counts, quasi_direct, source)
    warnings = filling.warnings + gap.warnings + _smearing_warning(sets, gap)
    spins = range(len(counts))
    by_spin = tuple(_between(sets, counts, quasi_direct, source, s) for s in spins) if len(counts) > 1 else ()
    if gap.metal and by_spin and all(own.metal is False for own in by_spin):
        warnings += ("each spin channel has a gap of its own but they overlap: is the moment fixed?",)
    return replace(gap, filled=filling.bands, by_spin=by_spin, warnings=warnings)


@dataclass(frozen=True)
class _Edges:
    """Highest filled and lowest empty state at every k-point of one set, by spin."""

    bands: Bands
    below: Floats
    """Shape (spin, k), eV; -inf where a channel has nothing filled."""
    above: Floats
    """Shape (spin, k), eV; +inf where it has nothing empty."""


def _edges(bands: Bands, counts: Sequence[int], only: int | None) -> _Edges:
    energies = bands.sorted()
    below = np.full(energies.shape[:2], -np.inf)
    above = np.full(energies.shape[:2], np.inf)
    for spin, count in enumerate(counts):
        if only is not None and spin != only:
            continue
        if count > 0:
            below[spin] = energies[spin, :, min(count, energies.shape[2]) - 1]
        if count < energies.shape[2]:
            above[spin] = energies[spin, :, count]
    return _Edges(bands, below, above)


def _between(
    sets: Sequence[Bands],
    counts: Sequence[int],
    quasi_direct: float,
    source: Literal["mesh", "path", "mesh+path"],
    only: int | None = None,
) -> Gap:
    """The gap between filled and empty states, of all spin channels or of one."""
    edges = [_edges(b, counts, only) for b in sets]
    vbm = max(float(e.below.max()) for e in edges)
    cbm = min(float(e.above.min()) for e in edges)
    if not np.isfinite([vbm, cbm]).all():
        which = "empty" if np.isfinite(vbm) else "filled"
        return Gap(None, None, source=source, warnings=(f"no {which} band was computed: the gap is unknown",))
    if cbm <= vbm:
        return Gap(True, 0.0, source=source)
    top, bottom = _edge(edges, counts, vbm, "below"), _edge(edges, counts, cbm, "above")
    direct = _share(top.kpoints, bottom.kpoints)
    smallest = [e.above.min(axis=0) - e.below.max(axis=0) for e in edges]
    direct_gap = min(float(s.min()) for s in smallest)
    where = [tuple(e.bands.kpoints[s <= direct_gap + DEGENERATE_EV]) for e, s in zip(edges, smallest, strict=True)]
    return Gap(
        metal=False,
        gap=cbm - vbm,
        direct=direct,
        direct_gap=direct_gap,
        direct_kpoints=_distinct([k for ks in where for k in ks]),
        vbm=top,
        cbm=bottom,
        source=source,
        quasi_direct=not direct and direct_gap - (cbm - vbm) < quasi_direct,
        quasi_direct_tolerance=quasi_direct,
    )


def _edge(edges: Sequence[_Edges], counts: Sequence[int], energy: float, side: Literal["below", "above"]) -> Edge:
    states: list[State] = []
    kpoints: list[Floats] = []
    for e in edges:
        sorted_energies = e.bands.sorted()
        reaching = np.abs(getattr(e, side) - energy) <= DEGENERATE_EV
        for spin, k in np.argwhere(reaching).tolist():
            kpoints.append(e.bands.kpoints[k])
            near = np.abs(sorted_energies[spin, k] - energy) <= DEGENERATE_EV
            near[counts[spin] :] &= side == "above"
            near[: counts[spin]] &= side == "below"
            states += [State(e.bands.source, spin, k, band) for band in np.flatnonzero(near).tolist()]
    return Edge(energy, tuple(states), _distinct(kpoints))


def _distinct(kpoints: Sequence[Floats]) -> tuple[KPoint, ...]:
    """Each k-point once, in the order given; without negative zeros."""
    seen: dict[tuple[float, ...], KPoint] = {}
    for k in kpoints:
        a, b, c = (float(x) + 0.0 for x in k)
        seen.setdefault(tuple(np.round(k / _SAME_K).tolist()), (a, b, c))
    return tuple(seen.values())


def _share(these: Sequence[KPoint], those: Sequence[KPoint]) -> bool:
    """Whether a k-point of one list is in the other, up to a reciprocal lattice vector."""
    difference = np.array(these)[:, None] - np.array(those)[None]
    return bool((np.abs(difference - np.round(difference)) < _SAME_K).all(axis=2).any())


def _smearing_warning(sets: Sequence[Bands], gap: Gap) -> tuple[str, ...]:
    """A gap with partly occupied states: the smearing reaches across it."""
    if gap.metal is not False:
        return ()
    for b in sets:
        occupied = b.occupations[:, b.weights > 0]
        partial = (occupied > 0.01) & (occupied < 0.99)
        if partial.any():
            return ("states are partly occupied although there is a gap: the smearing is as wide as the gap",)
    return ()
