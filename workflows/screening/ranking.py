"""Who wins and by how much: configurations of one content by energy, beside the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kalloy.errors import AgreementError
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.agreement import OF_THE_COMPOSITION, require_agreement
from kalloy.workflows.screening.gaps import READ_FROM, MemberGap, member_gap

Results = Mapping[tuple[str, Stage], CampaignResult]


@dataclass(frozen=True)
class Ranked:
    """One row of a ranking."""

    rank: int | None
    """1 is the lowest; None for the host and for what failed its criteria."""
    member: str
    formula: str
    """Of the cell."""
    degeneracy: int
    space_group: str
    """Of the unrelaxed configuration."""
    energy_eV: float | None
    """E(σ→0) of the cell, from the static stage."""
    relative_meV: float | None
    """Above the lowest configuration of the same content, per cell."""
    relative_meV_fu: float | None
    """The same per formula unit of the host."""
    volume_A3: float | None
    """Of the cell."""
    volume_change_percent: float | None
    """Against the host's, computed alike."""
    gap: MemberGap | None
    gap_shift_eV: float | None
    """Against the host's gap, both read from the stages that both have."""
    note: str
    """Why it is not ranked, or what to doubt."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        gap = self.gap
        return {
            "rank": self.rank,
            "member": self.member,
            "formula": self.formula,
            "degeneracy": self.degeneracy,
            "space_group": self.space_group,
            "energy_eV": self.energy_eV,
            "relative_meV_per_cell": self.relative_meV,
            "relative_meV_per_formula_unit": self.relative_meV_fu,
            "volume_A3": self.volume_A3,
            "volume_change_percent": self.volume_change_percent,
            "gap_eV": gap.gap_eV if gap else None,
            "character": gap.character if gap else None,
            "direct_gap_eV": gap.direct_gap_eV if gap else None,
            "indirect_margin_meV": gap.margin_meV if gap and not gap.metal else None,
            "gap_shift_eV": self.gap_shift_eV,
            "gap_source": gap.source if gap else None,
            "note": self.note,
        }


@dataclass(frozen=True)
class Ranking:
    """The host, then the configurations of each content, lowest first."""

    rows: tuple[Ranked, ...]
    formula_units: int
    """Of the host in the cell."""

    @property
    def host(self) -> Ranked | None:
        """The host's row."""
        return next((r for r in self.rows if r.member == HOST), None)

    def lowest(self, count: int) -> list[str]:
        """The labels of the ``count`` lowest configurations of each content."""
        return [r.member for r in self.rows if r.rank is not None and r.rank <= count]


def rank(campaign: Campaign, results: Results) -> Ranking:
    """Rank the configurations of each content by their static energies.

    Raises
    ------
    AgreementError
        Where nothing has a static energy yet, or results were not computed alike (with a table of who differs).
    """
    compared = {m.label for m in campaign.members.values() if m.is_ranked or m.is_host}
    results = {(m, stage): r for (m, stage), r in results.items() if m in compared}
    statics = {m: r for (m, stage), r in results.items() if stage is Stage.STATIC}
    if not statics:
        raise AgreementError("nothing has a static energy yet", mend="run the campaign; the spec must ask for 'static'")
    usable = {m: r for m, r in statics.items() if r.is_usable}
    _require_agreement(campaign, results)
    host = _host_row(campaign, results)
    units = campaign.host.crystal.formula_units
    rows = [host] if host else []
    for content in dict.fromkeys(m.content for m in campaign.members.values() if m.is_ranked):
        rows += _ranked_content(campaign, content, results, usable, host, units)
    return Ranking(tuple(rows), units)


def _require_agreement(campaign: Campaign, results: Results) -> None:
    """Within a content in everything; with the host in all that is not of the composition's nature."""
    for stage in (Stage.RELAX, Stage.STATIC):
        usable = [r for (_, s), r in results.items() if s is stage and r.is_usable]
        for content in dict.fromkeys(campaign.member(r.member).content for r in usable):
            require_agreement([r for r in usable if campaign.member(r.member).content == content])
        require_agreement(usable, ignoring=OF_THE_COMPOSITION)


def _ranked_content(
    campaign: Campaign,
    content: str,
    results: Results,
    usable: Mapping[str, CampaignResult],
    host: Ranked | None,
    units: int,
) -> list[Ranked]:
    members = [m for m in campaign.members.values() if m.is_ranked and m.content == content]
    ordered = sorted((m for m in members if m.label in usable), key=lambda m: _energy(usable[m.label]))
    lowest = _energy(usable[ordered[0].label]) if ordered else 0.0
    rows = [_row(m, results, i, lowest, units, host) for i, m in enumerate(ordered, 1)]
    return rows + [_row(m, results, None, None, units, host) for m in members if m.label not in usable]


def _host_row(campaign: Campaign, results: Results) -> Ranked | None:
    member = campaign.member(HOST)
    if (HOST, Stage.STATIC) not in results:
        return None
    return _row(member, results, None, None, campaign.host.crystal.formula_units, None)


def _row(
    member: Member, results: Results, place: int | None, lowest: float | None, units: int, host: Ranked | None
) -> Ranked:
    static = results.get((member.label, Stage.STATIC))
    if static is None or not static.is_usable:
        return _unranked(member, results)
    gap = member_gap([r for s in READ_FROM if (r := results.get((member.label, s)))])
    above = 1000 * (_energy(static) - lowest) if lowest is not None else None
    volume = static.volume_A3
    return Ranked(
        rank=place,
        member=member.label,
        formula=member.crystal.formula,
        degeneracy=member.degeneracy,
        space_group=member.space_group,
        energy_eV=static.energy_eV,
        relative_meV=above,
        relative_meV_fu=above / units if above is not None else None,
        volume_A3=volume,
        volume_change_percent=100 * (volume / host.volume_A3 - 1) if host and host.volume_A3 and volume else None,
        gap=gap,
        gap_shift_eV=_shift(member.label, results) if host else None,
        note="",
    )


def _unranked(member: Member, results: Results) -> Ranked:
    """A row without figures that says why."""
    ended = [r for s in Stage if (r := results.get((member.label, s))) and not r.is_usable]
    why = f"{ended[0].stage}: {ended[0].why_not}" if ended else "its static energy is not computed"
    nothing = dict.fromkeys(("rank", "energy_eV", "relative_meV", "relative_meV_fu", "volume_A3"))
    return Ranked(
        **nothing,
        member=member.label,
        formula=member.crystal.formula,
        degeneracy=member.degeneracy,
        space_group=member.space_group,
        volume_change_percent=None,
        gap=None,
        gap_shift_eV=None,
        note=f"not ranked: {why}",
    )


def _shift(member: str, results: Results) -> float | None:
    """Between the gaps that the stages of both offer: one between different k-points would be the k-points' own."""
    both = [s for s in READ_FROM if all((r := results.get((m, s))) and r.is_usable for m in (member, HOST))]
    gap, host = (member_gap([results[label, s] for s in both]) for label in (member, HOST))
    return gap.gap_eV - host.gap_eV if gap and host else None


def _energy(result: CampaignResult) -> float:
    assert result.energy_eV is not None
    return result.energy_eV
