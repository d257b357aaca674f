"""Who wins by the model, whom its rule keeps, and how well it orders what DFT has computed too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.members import Member
from kalloy.workflows.prescreen.store import Record, Store, prescreened_members
from kalloy.workflows.prescreen.table import Keep
from kalloy.workflows.screening.thermodynamics import Ensemble


@dataclass(frozen=True)
class Prescreened:
    """One member as the model sees it."""

    member: str
    content: str
    rank: int | None
    """1 is the lowest of its content; None for the host and for what did not converge."""
    positions: str
    """What was substituted where: ``K 3×6a``."""
    degeneracy: int
    space_group: str
    """Of the unrelaxed structure."""
    relaxed_space_group: str
    energy_eV: float
    """Of the cell."""
    relative_meV: float | None
    """Above the lowest of its content, per cell."""
    relative_meV_fu: float | None
    """The same per formula unit of the host."""
    volume_change_percent: float | None
    """Against the host's, by the same model."""
    length_changes_percent: tuple[float, float, float] | None
    """Of a, b, c against the host's."""
    kept: bool
    """Whether the rule lets it through."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        return asdict(self)


def ranked(campaign: Campaign, store: Store) -> list[Prescreened]:
    """The host, then each content's configurations, lowest first, those that did not converge last."""
    members = prescreened_members(campaign)
    records = store.records(members)
    rows: list[Prescreened] = []
    for content in dict.fromkeys(m.content for m in members):
        own = [m for m in members if m.content == content and m.label in records]
        rows += _ranked_content(campaign, sorted(own, key=lambda m: _order(records[m.label])), records)
    return rows


def _ranked_content(campaign: Campaign, members: list[Member], records: Mapping[str, Record]) -> list[Prescreened]:
    """The rows of one content, its members lowest first."""
    from kalloy.structures.geometry import Geometry

    geometry, host = Geometry(campaign.space), records.get(HOST)
    units = campaign.host.crystal.formula_units
    sound = [m for m in members if records[m.label].converged and m.is_ranked]
    kept = keep(campaign.spec.prescreen.keep, sound, records, units)
    rows = []
    for place, member in enumerate(members, 1):
        record, is_sound = records[member.label], member in sound
        above = 1000 * (record.energy_eV - records[sound[0].label].energy_eV) if is_sound else None
        against = host if member.is_ranked else None
        rows.append(
            Prescreened(
                member=member.label,
                content=member.content,
                rank=place if is_sound else None,
                positions=geometry.wyckoff(member.configuration) if member.configuration else "",
                degeneracy=member.degeneracy,
                space_group=member.space_group,
                relaxed_space_group=record.space_group,
                energy_eV=record.energy_eV,
                relative_meV=above,
                relative_meV_fu=above / units if above is not None else None,
                volume_change_percent=100 * (record.volume_A3 / against.volume_A3 - 1) if against else None,
                length_changes_percent=_length_changes(record, against) if against else None,
                kept=member in kept,
            )
        )
    return rows


def keep(rule: Keep, members: Sequence[Member], records: Mapping[str, Record], units: int) -> list[Member]:
    """Whom a rule lets through.

    Parameters
    ----------
    members : of one content, lowest first.
    units : formula units of the host in the cell.
    """
    if not members:
        return []
    energies = np.array([records[m.label].energy_eV for m in members])
    if rule.lowest is not None:
        return list(members[: rule.lowest])
    if rule.within_meV is not None:
        above = 1000 * (energies - energies[0]) / units
        return [m for m, own in zip(members, above, strict=True) if own <= rule.within_meV]
    assert rule.temperature is not None
    assert rule.weight is not None
    degeneracies = np.array([m.degeneracy for m in members], float)
    ensemble = Ensemble(tuple(m.label for m in members), energies, degeneracies, float(degeneracies.sum()))
    weights = ensemble.weights(rule.temperature)
    heaviest = np.argsort(-weights, kind="stable")
    # One rounding error less than asked must not drag the whole tail in.
    needed = int(np.searchsorted(np.cumsum(weights[heaviest]), rule.weight - 1e-12)) + 1
    chosen = set(heaviest[:needed].tolist())
    return [m for i, m in enumerate(members) if i in chosen]


@dataclass(frozen=True)
class RankCorrelation:
    """How the model's order agrees with DFT's, within one content."""

    content: str
    number: int
    """Configurations with both energies."""
    spearman: float
    kendall: float
    """τ-b."""
    same_lowest: bool

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def correlations(rows: Sequence[Prescreened], energies: Mapping[str, float]) -> list[RankCorrelation]:
    """Rank correlations of each content in which three or more configurations have both energies.

    Parameters
    ----------
    energies : DFT energies per cell by member.
    """
    from scipy.stats import kendalltau, spearmanr

    found = []
    for content in dict.fromkeys(r.content for r in rows):
        both = [r for r in rows if r.content == content and r.rank is not None and r.member in energies]
        if len(both) < 3:
            continue
        model, dft = [r.energy_eV for r in both], [energies[r.member] for r in both]
        found.append(
            RankCorrelation(
                content,
                len(both),
                float(spearmanr(model, dft).statistic),
                float(kendalltau(model, dft).statistic),
                bool(np.argmin(model) == np.argmin(dft)),
            )
        )
    return found


def dft_energies(campaign: Campaign) -> dict[str, float]:
    """Usable static energies per cell by member; none where nothing was collected yet."""
    from kalloy.workflows.index import Index
    from kalloy.workflows.inputs.stage import Stage

    if not campaign.index_file.is_file():
        return {}
    results = Index(campaign).results()
    usable = {m: r.energy_eV for (m, s), r in results.items() if s is Stage.STATIC and r.is_usable}
    return {m: energy for m, energy in usable.items() if energy is not None}


def _order(record: Record) -> tuple[bool, float]:
    return not record.converged, record.energy_eV


def _length_changes(record: Record, host: Record) -> tuple[float, float, float]:
    a, b, c = (100 * (own / its - 1) for own, its in zip(record.lengths_A, host.lengths_A, strict=True))
    return a, b, c
