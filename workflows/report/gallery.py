"""Which figures a campaign's results allow, drawn one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.absorption import draw_absorption
from kalloy.workflows.report.alignment import draw_alignment
from kalloy.workflows.report.bands import draw_bands
from kalloy.workflows.report.dos import draw_dos
from kalloy.workflows.report.drawing import Drawn, element_colours
from kalloy.workflows.report.energies import draw_energies
from kalloy.workflows.report.spectra import Spectra, spectra_of
from kalloy.workflows.report.structures import Shown, draw_structures, marked_atoms

if TYPE_CHECKING:
    from kalloy.parsers.result import Result
    from kalloy.workflows.screening.alignment import Aligned
    from kalloy.workflows.screening.ranked import Ranked
    from kalloy.workflows.screening.ranking import Ranking

STRUCTURES = 5
"""Configurations whose structures are drawn beside the host's: the lowest."""
SIDE_BY_SIDE = 2
"""Members whose densities of states stand side by side: host and winner."""


def draw_all(campaign: Campaign, ranking: Ranking, folder: Path) -> Iterator[Drawn]:
    """Every figure for which there are results."""
    colours = element_colours(e for m in _few_members(campaign, ranking) for e in campaign.member(m).crystal.species)
    if (drawn := draw_energies(ranking, folder)) is not None:
        yield drawn
    yield draw_structures(list(_structures(campaign, ranking)), folder, colours)
    yield from _spectra(campaign, ranking, folder, colours)


def _spectra(campaign: Campaign, ranking: Ranking, folder: Path, colours: Mapping[str, str]) -> Iterator[Drawn]:
    shown = spectra_of(campaign, ranking)
    for spectra in shown:
        if spectra.bands is not None:
            yield draw_bands(spectra, folder, colours)
    for drawn in (draw_dos([s for s in shown if s.dos][:SIDE_BY_SIDE], folder), draw_absorption(shown, folder)):
        if drawn is not None:
            yield drawn
    if (drawn := draw_alignment(_aligned(campaign, shown), folder)) is not None:
        yield drawn


def _few_members(campaign: Campaign, ranking: Ranking) -> list[str]:
    """The host and the lowest of the first content that has any: what structures are drawn of."""
    ranked = [r for r in ranking.shown if r.rank is not None]
    first = ranked[0].member.split("/")[0] if ranked else ""
    return [HOST, *(r.member for r in ranked if r.member.split("/")[0] == first)][: 1 + STRUCTURES]


def _structures(campaign: Campaign, ranking: Ranking) -> Iterator[Shown]:
    rows = {r.member: r for r in ranking.shown}
    host = campaign.host.crystal
    for label in _few_members(campaign, ranking):
        member = campaign.member(label)
        result = _relaxed(campaign, label)
        crystal = (result.crystal if result else None) or member.crystal
        sites: Sequence[Sequence[float]] = []
        if member.configuration is not None:
            occupation = member.configuration
            changed = [i for i, e in zip(occupation.sites, occupation.occupation, strict=True) if e != host.species[i]]
            sites = [host.positions[i].tolist() for i in changed]
        # Found at the unrelaxed sites in the order of POSCAR, which a relaxation keeps.
        yield Shown(_structure_title(label, rows.get(label)), crystal, marked_atoms(member.crystal, sites))


def _structure_title(label: str, row: Ranked | None) -> str:
    if row is None:
        return label
    above = "" if row.relative_meV_fu is None else f", +{row.relative_meV_fu:.1f} meV/f.u."
    return f"{label}\n{row.space_group}{above}"


def _relaxed(campaign: Campaign, member: str) -> Result | None:
    """What the member's last geometry was read from, where it has one."""
    from kalloy.parsers.result import read_result
    from kalloy.workflows.steps import finished

    for stage in (Stage.STATIC, Stage.RELAX):
        if stage in campaign.spec.stages and (attempt := finished(campaign, member, stage)) is not None:
            return read_result(attempt.folder)
    return None


def _aligned(campaign: Campaign, shown: Sequence[Spectra]) -> list[Aligned]:
    from kalloy.workflows.screening.alignment import align

    found = [(s, r.dos) for s in shown if (r := _relaxed(campaign, s.member)) is not None]
    return align([(s.member, s.gap, dos) for s, dos in found if dos is not None])
