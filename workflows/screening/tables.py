"""A ranking as people read it: columns with units, reference values beside, and the doubts in words."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from kalloy.parsers.gap import QUASI_DIRECT_EV
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.gaps import MemberGap
from kalloy.workflows.screening.ranking import Ranked, Ranking
from kalloy.workflows.spec import ReferenceValues

COLUMNS = ("#", "member", "group", "g", "ΔE meV/f.u.", "gap eV", "character", "margin meV", "Δgap eV", "ΔV %")
"""Columns of the terminal's table and of the page's."""

Row = tuple[str | None, ...]


def table_row(row: Ranked) -> Row:
    """One row as text; None where there is no figure."""
    return (
        str(row.rank) if row.rank else "",
        row.member,
        row.space_group,
        str(row.degeneracy),
        _fixed(row.relative_meV_fu, 1),
        _fixed(row.gap.gap_eV, 3) if row.gap else None,
        row.gap.character if row.gap else (row.note or None),
        _fixed(_margin(row.gap), 0),
        _fixed(row.gap_shift_eV, 3, sign=True),
        _fixed(row.volume_change_percent, 2, sign=True),
    )


def _margin(gap: MemberGap | None) -> float | None:
    return gap.margin_meV if gap and not gap.metal else None


def _fixed(value: float | None, digits: int, *, sign: bool = False) -> str | None:
    return None if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def reference_rows(campaign: Campaign) -> list[Row]:
    """The user's reference values in the same columns; nothing is computed from them but the shift between the two."""
    reference = campaign.spec.reference
    if reference is None:
        return []
    host, lowest = reference.host, reference.lowest
    shift = lowest.gap_eV - host.gap_eV if lowest.gap_eV is not None and host.gap_eV is not None else None
    name = reference.name
    return [_reference(f"{name}: host", host, None), _reference(f"{name}: lowest", lowest, shift)]


def _reference(name: str, values: ReferenceValues, shift: float | None) -> Row:
    character = None if values.direct is None else ("direct" if values.direct else "indirect")
    change = _fixed(values.volume_change_percent, 2, sign=True)
    return ("", name, "", "", None, _fixed(values.gap_eV, 3), character, None, _fixed(shift, 3, sign=True), change)


def as_csv(ranking: Ranking) -> str:
    """The whole ranking, units in the column names."""
    rows = [row.to_json() for row in ranking.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def doubts(campaign: Campaign, ranking: Ranking, results: Mapping[tuple[str, Stage], CampaignResult]) -> list[str]:
    """How far the figures can be trusted, one line each."""
    cell = f"{campaign.formula} ({campaign.host.cell} cell)"
    lines = [f"direct and indirect are those of {cell}; a larger cell folds k-points onto Γ"]
    lines += _gap_doubts(ranking)
    lines += _convergence(results)
    lines += _mesh_noise(campaign)
    if campaign.preset.rough:
        lines.append(f"preset {campaign.spec.calculation.preset} is rough: see its file for cut-off and meshes")
    if "Pb" in campaign.host.crystal.species:
        lines.append(
            "PBE without spin–orbit coupling on Pb agrees with measured gaps by cancellation: only differences hold"
        )
    missing = sum(row.rank is None for row in ranking.rows if row.member != HOST)
    if missing:
        lines.append(
            f"{missing} of {len(campaign.configurations)} configurations are not ranked: the lowest may be among them"
        )
    lines += _changed_files(results)
    lines += [f"{row.member} {row.note}" for row in ranking.rows if row.note]
    return lines


def _gap_doubts(ranking: Ranking) -> list[str]:
    sources: dict[str, list[str]] = {}
    for row in ranking.rows:
        if row.gap:
            sources.setdefault(row.gap.source, []).append(row.member)
    lines = [f"gap of {', '.join(members)} read from {source}" for source, members in sources.items()]
    if len(sources) > 1:
        lines.append("Δgap compares only the calculations that both have, so it may differ from the gaps' difference")
    if any(row.gap and row.gap.character == "quasi-direct" for row in ranking.rows):
        lines.append(
            f"quasi-direct: indirect by less than {1000 * QUASI_DIRECT_EV:.0f} meV, within the reach of the settings"
        )
    return lines


def _convergence(results: Mapping[tuple[str, Stage], CampaignResult]) -> list[str]:
    relaxed = [r for (_, stage), r in results.items() if stage.is_relaxation and r.is_usable]
    forces = [r.largest_force_eV_A for r in relaxed if r.largest_force_eV_A is not None]
    stresses = [r.largest_stress_kB for r in relaxed if r.largest_stress_kB is not None]
    if not forces:
        return []
    stress = f" and stresses of {max(stresses):.2f} kB" if stresses else ""
    return [f"relaxed to forces of {max(forces):.3f} eV/Å{stress} at most; volumes carry what is left of them"]


def _mesh_noise(campaign: Campaign) -> list[str]:
    from kalloy.workflows.inputs.kpoints import mesh_warnings

    stages = [s for s in campaign.spec.stages if s in (Stage.RELAX, Stage.STATIC)]
    meshes = {s: m for s in stages if isinstance(m := campaign.preset.kpoints[s], MeshSettings)}
    # As for a relaxation: a mesh without Γ is no fault of an energy.
    broken = [s for s, mesh in meshes.items() if mesh_warnings({Stage.RELAX: mesh}, campaign.host.crystal)]
    if broken:
        name = " and ".join(broken)
        return [f"the {name} mesh breaks the lattice's symmetry: energies depend on a configuration's orientation"]
    return ["the meshes keep the lattice's symmetry: by symmetry no mesh noise between orientations"]


def _changed_files(results: Mapping[tuple[str, Stage], CampaignResult]) -> list[str]:
    changed = [
        r.folder for r in results.values() if any("is not the one" in w for w in (r.parsed or {}).get("warnings", ()))
    ]
    return [f"vasprun.xml is not the one that the engine left in {', '.join(changed)}"] if changed else []
