"""Tables beside the ranking: the gap's shift split in two, and what a model chose before DFT saw anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalloy.errors import AgreementError, CampaignError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.report.block import Block
from kalloy.workflows.screening.strain import strains

if TYPE_CHECKING:
    from kalloy.workflows.screening.alloy import Alloy
    from kalloy.workflows.screening.columns import Results

SHOWN = 15
"""Of a prescreen's configurations, the lowest."""


def strain_block(campaign: Campaign, results: Results) -> Block | None:
    """Strain against chemistry, for every configuration whose variants are computed."""
    try:
        found = strains(campaign, results)
    except AgreementError:
        return None  # the doubts say who differs
    if not found:
        return None
    heads = ("configuration", "shift of the gap eV", "chemistry eV", "strain eV", "the two orders differ by eV")
    rows: list[tuple[str | None, ...]] = [
        (s.configuration, *(f"{v:+.3f}" for v in (s.total_eV, s.chemistry_eV, s.strain_eV, s.coupling_eV)))
        for s in found
    ]
    note = "Host at the alloy's cell, alloy at the host's cell; means over both orders, gaps of the static mesh."
    return Block("strain", "Strain against chemistry", heads, rows, note)


def model_block(alloy: Alloy) -> Block | None:
    """The prescreen: which model, its lowest configurations, and how its order agrees with DFT's."""
    from kalloy.workflows.prescreen.ranking import correlations, ranked
    from kalloy.workflows.prescreen.store import finished_store

    campaign = alloy.campaign
    try:
        store = finished_store(campaign)
    except CampaignError:
        return None  # there is none, or it is not done
    rows = ranked(campaign, store)
    energies = {m: float(e) for o in alloy.orders.values() for m, e in zip(o.members, o.energies, strict=True)}
    agreed = [
        f"{c.content}: rank correlation with DFT over {c.number} configurations: Spearman {c.spearman:.2f}, Kendall "
        f"{c.kendall:.2f}, {'the same' if c.same_lowest else 'another'} lowest"
        for c in correlations(rows, energies)
    ]
    model = store.model.to_json()
    said = ", ".join(f"{k} {v}" for k, v in model.items() if isinstance(v, str | int | float) and v != "")
    heads = ("#", "member", "group", "g", "sites", "ΔE meV/f.u.", "ΔV %", "goes on")
    lowest = [r for r in rows if r.rank is not None][:SHOWN]
    table: list[tuple[str | None, ...]] = [
        (
            str(r.rank),
            r.member,
            r.space_group,
            str(r.degeneracy),
            r.positions,
            None if r.relative_meV_fu is None else f"{r.relative_meV_fu:.1f}",
            None if r.volume_change_percent is None else f"{r.volume_change_percent:+.2f}",
            "yes" if r.kept else "",
        )
        for r in lowest
    ]
    whole = sum(r.rank is not None for r in rows)
    note = f"{said}. The lowest {len(lowest)} of {whole}. {' '.join(agreed) or 'Too few DFT energies to compare with.'}"
    return Block("prescreen", "Prescreen", heads, table, note)
