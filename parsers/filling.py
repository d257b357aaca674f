"""How many bands are filled, by spin channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kalloy.parsers.bands import Bands

WHOLE_NELECT = 1e-3
"""Bands; how far from an integer a filling given by the number of electrons may be."""
WHOLE_COUNTED = 0.05
"""Bands; likewise where occupations are counted, for smearing lets electrons pass between channels. A metal with so
small a remainder still shows itself: its bands overlap."""
_ELECTRONS_MISSED = 0.05


@dataclass(frozen=True)
class Filling:
    """Filled bands of each spin channel."""

    bands: tuple[float, ...] | None
    """One number a channel, or None where it cannot be known."""
    whole: bool = False
    """Whether each is an integer within what counting can tell."""
    warnings: tuple[str, ...] = ()
    """Doubts, in words."""


def count_filling(sets: Sequence[Bands], nelect: float | None) -> Filling:
    """Fill the bands of one calculation.

    With one channel the number of electrons decides; with two, weights times occupations, channel by channel. Smearing
    wider than a small gap carries electrons from one channel to the other: where whole numbers of bands that hold all
    electrons leave a gap between filled and empty states, they are the ground state's.
    Where occupations are unknown the lowest states of both channels are filled.

    Parameters
    ----------
    sets : bands on mesh and path; those that take part in the integration are counted.
    nelect : number of electrons of the cell, or None.
    """
    bands = next((b for b in sets if b.source == "mesh"), sets[0])
    counted = counted_electrons(bands)
    if nelect is None and counted is None:
        return Filling(None, warnings=("neither the number of electrons nor occupations are known",))
    warnings: tuple[str, ...] = ()
    disagree = counted is not None and nelect is not None and abs(sum(counted) - nelect) > _ELECTRONS_MISSED
    if disagree and counted is not None:
        warnings = (f"the occupations hold {sum(counted):.3f} electrons where NELECT is {nelect:g}",)
    if bands.spins == 1:
        return _one_channel(bands, counted, nelect, warnings)
    if counted is None:
        assert nelect is not None
        filled = fill_lowest(bands, nelect)
        warnings += ("the spin channels were filled from below, for their occupations are not known",)
    else:
        filled = tuple(n / bands.electrons_per_band for n in counted)
    whole = all(abs(n - round(n)) <= WHOLE_COUNTED for n in filled)
    if not whole and nelect is not None and (ground := _whole_numbers(sets, filled, nelect)) is not None:
        return Filling(ground, True, warnings)
    return Filling(filled, whole, warnings)


def _whole_numbers(sets: Sequence[Bands], filled: tuple[float, ...], nelect: float) -> tuple[float, ...] | None:
    """Whole numbers of bands beside the counted ones that hold all electrons and leave a gap between filled and
    empty states of both channels at all k-points; None where there are none."""
    total = nelect / sets[0].electrons_per_band
    if total < 1 or abs(total - round(total)) > WHOLE_NELECT:
        return None
    for first in sorted({int(np.floor(filled[0])), int(np.ceil(filled[0]))}, key=lambda n: abs(n - filled[0])):
        counts = first, round(total) - first
        if min(counts) < 0 or max(counts) >= min(b.eigenvalues.shape[2] for b in sets):
            continue
        energies = [b.sorted() for b in sets]
        below = max(float(e[s, :, n - 1].max()) for e in energies for s, n in enumerate(counts) if n)
        above = min(float(e[s, :, n].min()) for e in energies for s, n in enumerate(counts))
        if below < above:
            return tuple(float(n) for n in counts)
    return None


def _one_channel(
    bands: Bands, counted: tuple[float, ...] | None, nelect: float | None, warnings: tuple[str, ...]
) -> Filling:
    filled = (nelect if nelect is not None else sum(counted or ())) / bands.electrons_per_band
    tolerance = WHOLE_NELECT if nelect is not None else WHOLE_COUNTED
    return Filling((filled,), abs(filled - round(filled)) <= tolerance, warnings)


def counted_electrons(bands: Bands) -> tuple[float, ...] | None:
    """Electrons of each channel by weights and occupations, or None where those are unknown."""
    weights = np.nan_to_num(bands.weights)
    if weights.sum() <= 0:
        return None
    taken = weights > 0
    per_k = bands.occupations[:, taken].sum(axis=2) @ (weights[taken] / weights.sum())
    electrons = per_k * bands.electrons_per_band
    if not np.isfinite(electrons).all() or electrons.sum() <= 0:
        return None
    return tuple(electrons.tolist())


def fill_lowest(bands: Bands, nelect: float) -> tuple[float, ...]:
    """Bands filled in each channel when electrons go into the lowest states of all channels and k-points."""
    weights = np.nan_to_num(bands.weights)
    weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    shape = bands.eigenvalues.shape
    capacity = np.broadcast_to(weights[None, :, None], shape).ravel() * bands.electrons_per_band
    spin = np.broadcast_to(np.arange(shape[0])[:, None, None], shape).ravel()
    order = np.argsort(bands.eigenvalues.ravel(), kind="stable")
    room = nelect - np.concatenate([[0.0], np.cumsum(capacity[order])[:-1]])
    taken = np.clip(room, 0.0, capacity[order])
    return tuple(float(taken[spin[order] == s].sum()) / bands.electrons_per_band for s in range(shape[0]))
