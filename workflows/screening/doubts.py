"""How far the figures can be trusted: what limits a ranking, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kalloy.parsers.gap import QUASI_DIRECT_EV
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.screening.columns import Results, columns_of
from kalloy.workflows.screening.noise import noise_floor
from kalloy.workflows.screening.ranked import Ranked
from kalloy.workflows.screening.ranking import Order, Ranking
from kalloy.workflows.screening.strain import strain_lines

MOST_NOTES = 10
"""Members of which it is said one by one why they are not ranked."""


def doubts(campaign: Campaign, ranking: Ranking, results: Results, rows: Sequence[Ranked] | None = None) -> list[str]:
    """What limits the figures.

    Parameters
    ----------
    rows : those that are shown, whose gaps are spoken of; all that have anything to show by default.
    """
    shown = ranking.shown if rows is None else rows
    cell = f"{campaign.formula} ({campaign.host.cell} cell)"
    lines = [line for agreement in ranking.agreement for line in agreement.doubts()]
    lines += [line for order in ranking.orders for line in _noise(order)]
    lines.append(f"direct and indirect are those of {cell}; a larger cell folds k-points onto Γ")
    lines += _gap_doubts(shown)
    lines += _convergence(results)
    lines += noise_floor(campaign, results).lines
    lines += strain_lines(campaign, results)
    if campaign.spec.calculation.start == "prescreened" and Stage.RELAX not in campaign.spec.stages:
        model = campaign.spec.prescreen.model
        lines.append(f"cells and positions are {model}'s on the host's cell, not relaxed by the engine: so is ΔV")
    if campaign.preset.rough:
        lines.append(f"preset {campaign.spec.calculation.preset} is rough: see its file for cut-off and meshes")
    if "Pb" in campaign.host.crystal.species:
        lines.append(
            "PBE without spin–orbit coupling on Pb agrees with measured gaps by cancellation: only differences hold"
        )
    if ranking.unranked:
        whole = ranking.ranked + ranking.unranked
        lines.append(f"{ranking.unranked} of {whole} configurations are not ranked: the lowest may be among them")
    lines += _changed_files(results, shown)
    lines += _notes(ranking)
    return list(dict.fromkeys(lines))


def _noise(order: Order) -> list[str]:
    if order.noise_meV is None or not order.members:
        return []
    tied = int((order.ties == 1).sum())
    line = f"energies of {order.content} are uncertain by {order.noise_meV:.1f} meV per cell against each other"
    if tied > 1:
        line += f": {', '.join(order.members[: min(tied, 4)])}{', …' if tied > 4 else ''} tie for the lowest"
    elif len(order.members) > 1:
        line += f"; {order.members[0]} is lowest by {order.relative_meV[1] / order.noise_meV:.0f} times that" * (
            order.noise_meV > 0
        )
    return [line]


def _gap_doubts(rows: Iterable[Ranked]) -> list[str]:
    sources: dict[str, list[str]] = {}
    quasi = False
    for row in rows:
        if row.gap:
            sources.setdefault(row.gap.source, []).append(row.member)
            quasi = quasi or row.gap.character == "quasi-direct"
    lines = [f"gap of {_some(members)} read from {source}" for source, members in sources.items()]
    if len(sources) > 1:
        lines.append("Δgap compares only the calculations that both have, so it may differ from the gaps' difference")
    if quasi:
        lines.append(
            f"quasi-direct: indirect by less than {1000 * QUASI_DIRECT_EV:.0f} meV, within the reach of the settings"
        )
    return lines


def _convergence(results: Results) -> list[str]:
    relaxed = columns_of(results, Stage.RELAX)
    largest = []
    for name in ("largest_force_eV_A", "largest_stress_kB"):
        values = relaxed.figures[name][relaxed.usable]
        known = values[np.isfinite(values)]
        largest.append(float(known.max()) if len(known) else None)
    force, stress = largest
    if force is None:
        return []
    and_stress = f" and stresses of {stress:.2f} kB" if stress is not None else ""
    return [f"relaxed to forces of {force:.3f} eV/Å{and_stress} at most; volumes carry what is left of them"]


def _changed_files(results: Results, rows: Iterable[Ranked]) -> list[str]:
    found = (results.get((row.member, stage)) for row in rows for stage in Stage)
    changed = [
        r.folder for r in found if r and any("is not the one" in w for w in (r.parsed or {}).get("warnings", ()))
    ]
    return [f"vasprun.xml is not the one that the engine left in {', '.join(changed)}"] if changed else []


def _notes(ranking: Ranking) -> list[str]:
    start = 1 if ranking.host else 0
    lines = []
    for order in ranking.orders:
        start += len(order.members)
        lines += [f"{r.member} {r.note}" for r in ranking.rows[start : start + min(order.failed, MOST_NOTES)]]
        if (more := order.failed - MOST_NOTES) > 0:
            lines.append(f"and {more} more of {order.content}: `kalloy status` lists them")
        if left := len(order.unranked) - order.failed:
            lines.append(f"{left:,} of {order.content} are not computed: left out by a step's choice, or not run yet")
        start += len(order.unranked)
    return lines


def _some(members: Sequence[str], most: int = 6) -> str:
    rest = len(members) - most
    return ", ".join(members[:most]) + (f" and {rest} more" if rest > 0 else "")
