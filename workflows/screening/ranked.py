"""One row of a ranking: everything that is said of a member, in its own cell and in the host's axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from kalloy.structures.geometry import Geometry
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.columns import Results
from kalloy.workflows.screening.gaps import READ_FROM, MemberGap, member_gap
from kalloy.workflows.screening.metric import CELL, HostMetric, strain


@dataclass(frozen=True)
class Ranked:
    """One row of a ranking."""

    rank: int | None
    """1 is the lowest; None for the host and for what failed its criteria."""
    tie: int | None
    """The place that it shares with all that the noise cannot tell from it: ``1=``."""
    tied: bool
    """Whether anybody shares it."""
    member: str
    formula: str
    """Of the cell."""
    degeneracy: int
    space_group: str
    """Of the unrelaxed configuration."""
    relaxed_space_group: str | None
    """Of the last structure, within 0.01 Å."""
    sites: str
    """The host's Wyckoff positions that are substituted: ``K 1×6a 2×18e``."""
    nearest_A: dict[str, float]
    """Shortest distances between substituted atoms in the host's unrelaxed cell, Å, images included: ``K-K``."""
    energy_eV: float | None
    """E(σ→0) of the cell, from the static stage."""
    relative_meV: float | None
    """Above the lowest configuration of the same content, per cell."""
    relative_meV_fu: float | None
    """The same per formula unit of the host."""
    relative_meV_atom: float | None
    """The same per substituted atom."""
    volume_A3: float | None
    """Of the cell."""
    volume_change_percent: float | None
    """Against the host's, computed alike."""
    cell: tuple[float, ...] | None
    """a, b, c in Å and α, β, γ in degrees, in the axes of the host's conventional cell."""
    strain_percent: tuple[tuple[float, ...], ...] | None
    """Strain tensor against the relaxed host, in the Cartesian axes of its cell, rotation taken out."""
    gap: MemberGap | None
    gap_shift_eV: float | None
    """Against the host's gap, both read from the stages that both have."""
    note: str
    """Why it is not ranked, or what to doubt."""

    @property
    def place(self) -> str:
        """``1``, ``1=`` in a tie, or nothing."""
        return "" if self.tie is None else f"{self.tie}{'=' if self.tied else ''}"

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        gap = self.gap
        return {
            "rank": self.rank,
            "place": self.tie,
            "tied": self.tied,
            "member": self.member,
            "formula": self.formula,
            "degeneracy": self.degeneracy,
            "space_group": self.space_group,
            "relaxed_space_group": self.relaxed_space_group,
            "sites": self.sites,
            **{f"nearest_{pair.replace('-', '_')}_A": distance for pair, distance in self.nearest_A.items()},
            "energy_eV": self.energy_eV,
            "relative_meV_per_cell": self.relative_meV,
            "relative_meV_per_formula_unit": self.relative_meV_fu,
            "relative_meV_per_substituted_atom": self.relative_meV_atom,
            "volume_A3": self.volume_A3,
            "volume_change_percent": self.volume_change_percent,
            **dict(zip(CELL, self.cell or [None] * 6, strict=True)),
            **{f"strain_{axes}_percent": self._strain(i, j) for axes, i, j in _VOIGT},
            "gap_eV": gap.gap_eV if gap else None,
            "character": gap.character if gap else None,
            "direct_gap_eV": gap.direct_gap_eV if gap else None,
            "indirect_margin_meV": gap.margin_meV if gap and not gap.metal else None,
            "gap_shift_eV": self.gap_shift_eV,
            "gap_source": gap.source if gap else None,
            "note": self.note,
        }

    def _strain(self, i: int, j: int) -> float | None:
        return self.strain_percent[i][j] if self.strain_percent else None


_VOIGT = (("xx", 0, 0), ("yy", 1, 1), ("zz", 2, 2), ("yz", 1, 2), ("xz", 0, 2), ("xy", 0, 1))
_UNKNOWN = Ranked(
    rank=None,
    tie=None,
    tied=False,
    member="",
    formula="",
    degeneracy=1,
    space_group="",
    relaxed_space_group=None,
    sites="",
    nearest_A={},
    energy_eV=None,
    relative_meV=None,
    relative_meV_fu=None,
    relative_meV_atom=None,
    volume_A3=None,
    volume_change_percent=None,
    cell=None,
    strain_percent=None,
    gap=None,
    gap_shift_eV=None,
    note="",
)


class RowMaker:
    """Makes rows from a campaign's members and results."""

    def __init__(self, campaign: Campaign, results: Results) -> None:
        self.campaign, self.results = campaign, results
        self.metric = HostMetric(campaign.host)
        self.geometry = Geometry(campaign.space)
        self.units = campaign.host.crystal.formula_units

    @cached_property
    def host(self) -> CampaignResult | None:
        """The host's static result."""
        found = self.results.get((HOST, Stage.STATIC))
        return found if found and found.is_usable else None

    def host_row(self) -> Ranked:
        """The host's row."""
        return self._row(HOST, {}) if self.host else self.unranked(HOST)

    def ranked(self, label: str, place: int, tie: int, tied: bool, relative: float) -> Ranked:
        """The row of a configuration.

        Parameters
        ----------
        relative : meV per cell above the lowest of its content.
        """
        substituted = self._substituted(self.campaign.member(label))
        energies = {
            "relative_meV": relative,
            "relative_meV_fu": relative / self.units,
            "relative_meV_atom": relative / substituted if substituted else None,
        }
        return self._row(label, {"rank": place, "tie": tie, "tied": tied, **energies})

    def unranked(self, label: str) -> Ranked:
        """A row without figures that says why."""
        ended = [r for s in Stage if (r := self.results.get((label, s))) and not r.is_usable]
        why = f"{ended[0].stage}: {ended[0].why_not}" if ended else "its static energy is not computed"
        return self._known(label, {"note": f"not ranked: {why}"})

    # -- inside --------------------------------------------------------------

    def _known(self, label: str, found: dict[str, Any]) -> Ranked:
        """What is known of a member before anything is computed, and what was found."""
        member = self.campaign.member(label)
        about: dict[str, Any] = {
            "member": member.label,
            "formula": member.crystal.formula,
            "degeneracy": member.degeneracy,
            "space_group": member.space_group,
        }
        if member.configuration is not None:
            about |= {"sites": self.geometry.wyckoff(member.configuration), "nearest_A": self._nearest(member)}
        return replace(_UNKNOWN, **about, **found)

    def _row(self, label: str, place: dict[str, Any]) -> Ranked:
        static = self.results[label, Stage.STATIC]
        gap = member_gap([r for s in READ_FROM if (r := self.results.get((label, s)))])
        against = self.host if label != HOST else None
        volume, whole = static.volume_A3, against.volume_A3 if against else None
        return self._known(
            label,
            {
                **place,
                "relaxed_space_group": static.space_group,
                "energy_eV": static.energy_eV,
                "volume_A3": volume,
                "volume_change_percent": 100 * (volume / whole - 1) if volume and whole else None,
                "cell": _tuple(self.metric.parameters(static.lattice_A)) if static.lattice_A else None,
                "strain_percent": _strained(static, against),
                "gap": gap,
                "gap_shift_eV": self._shift(label) if against else None,
            },
        )

    def _substituted(self, member: Member) -> int:
        """How many sites are occupied otherwise than in the host."""
        if member.configuration is None:
            return 0
        host = self.campaign.host.crystal.species
        sites, occupation = member.configuration.sites, member.configuration.occupation
        return sum(o != host[s] for s, o in zip(sites, occupation, strict=True))

    def _nearest(self, member: Member) -> dict[str, float]:
        assert member.configuration is not None
        names = list(dict.fromkeys(s.with_ for s in self.campaign.space.substitutions))
        found = {
            f"{one}-{other}": self.geometry.between(member.configuration, one, other)
            for one, other in combinations_with_replacement(names, 2)
            if {one, other} <= set(member.configuration.occupation)
        }
        return {pair: round(distances[0], 6) for pair, distances in found.items() if distances}

    def _shift(self, label: str) -> float | None:
        """Between the gaps that the stages of both offer: one between different k-points would be the k-points' own."""
        results = self.results
        both = [s for s in READ_FROM if all((r := results.get((m, s))) and r.is_usable for m in (label, HOST))]
        gap, host = (member_gap([results[m, s] for s in both]) for m in (label, HOST))
        return gap.gap_eV - host.gap_eV if gap and host else None


def _strained(alloy: CampaignResult, host: CampaignResult | None) -> tuple[tuple[float, ...], ...] | None:
    if host is None or not host.lattice_A or not alloy.lattice_A:
        return None
    return tuple(_tuple(row) for row in 100 * strain(alloy.lattice_A, host.lattice_A))


def _tuple(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values))
