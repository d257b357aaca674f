"""Band edges of host and alloy on one scale: aligned at a deep level that both have, for bulk cells have no vacuum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kalloy.parsers.dos import Dos
from kalloy.workflows.screening.gaps import MemberGap

DEEP_EV = 5.0
"""Below the VBM: what lies deeper takes no part in bonding between the sublattices, or little."""
FILLED = 0.5
"""Projected states an atom, at least: fewer are tails of other atoms' levels."""


@dataclass(frozen=True)
class Aligned:
    """Edges of one member against the first one's VBM."""

    member: str
    vbm_eV: float
    cbm_eV: float
    anchor: str
    """The element whose deep levels were brought together."""


def deep_levels(dos: Dos, vbm: float) -> dict[str, float]:
    """The mean energy of the projected states that each element has deeper than `DEEP_EV` below the VBM, in eV.

    Only elements with at least `FILLED` such states an atom. The density must reach down to them: that of a static
    run does, one in an energy window around the gap does not.
    """
    if dos.projected is None:
        return {}
    step = float(dos.energies[1] - dos.energies[0])
    deep = dos.energies < vbm - DEEP_EV
    # VASP's density at E is the number of states since the point before it: they lie half a step below, on average.
    energies = dos.energies[deep] - step / 2
    found = {}
    for element, by_spin in dos.by_element().items():
        density = (by_spin[0] if dos.noncollinear else by_spin.sum(axis=0))[deep]
        states = float(density.sum()) * step
        if states / dos.species.count(element) >= FILLED:
            found[element] = float((density * energies).sum() * step / states)
    return found


def align(members: Sequence[tuple[str, MemberGap, Dos]]) -> list[Aligned]:
    """Bring the members' energies to one zero: the VBM of the first.

    The anchor is the element that all have whose deep levels lie deepest: the farther from the gap, the less they
    feel bonding. What is left is that level's own shift between host and alloy (its chemical shift), commonly some
    tens of meV: offsets below that say nothing. Method: alignment at core levels, Wei and Zunger, Appl. Phys. Lett.
    72, 2011 (1998), with semicore states in place of core states.

    Returns
    -------
    Empty where a member is a metal, or no element has deep levels in all of them.
    """
    if not members or any(gap.metal or gap.vbm_eV is None for _, gap, _ in members):
        return []
    levels = [deep_levels(dos, gap.vbm_eV or 0.0) for _, gap, dos in members]
    shared = set.intersection(*(set(level) for level in levels))
    if not shared:
        return []
    anchor = min(shared, key=lambda element: levels[0][element])
    zero = members[0][1].vbm_eV or 0.0
    shifts = [levels[0][anchor] - level[anchor] - zero for level in levels]
    return [
        Aligned(member, float(np.round(gap.vbm_eV + shift, 6)), float(np.round(gap.cbm_eV + shift, 6)), anchor)
        for (member, gap, _), shift in zip(members, shifts, strict=True)
        if gap.vbm_eV is not None and gap.cbm_eV is not None
    ]
