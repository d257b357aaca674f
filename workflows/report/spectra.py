"""What the figures need of one member: its bands, its density of states and its gap, read from its attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import finished

if TYPE_CHECKING:
    from kalloy.parsers.bands import Bands
    from kalloy.parsers.dos import Dos
    from kalloy.parsers.result import Result
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.screening.gaps import MemberGap
    from kalloy.workflows.screening.ranking import Ranking


@dataclass(frozen=True)
class Spectra:
    """Bands and density of states of one member, on the energy zero of its charge density."""

    member: str
    title: str
    """Member, formula and, for the winner, that it is one."""
    bands: Bands | None
    dos: Dos | None
    gap: MemberGap
    formula_units: int
    """In the cell: densities of states are drawn per formula unit."""


def spectra_of(campaign: Campaign, ranking: Ranking) -> list[Spectra]:
    """Of the host and of every member that has bands or a density of states, in the ranking's order."""
    found = []
    for row in ranking.rows:
        bands = _read(campaign, row.member, Stage.BANDS)
        dos = _read(campaign, row.member, Stage.DOS)
        if row.gap is None or (bands is None and dos is None):
            continue
        place = ", lowest energy" if row.rank == 1 else ""
        found.append(
            Spectra(
                row.member,
                f"{row.member} ({row.formula}{place})",
                bands.path if bands else None,
                dos.dos if dos else None,
                row.gap,
                ranking.formula_units,
            )
        )
    return found


def _read(campaign: Campaign, member: str, stage: Stage) -> Result | None:
    from kalloy.parsers.result import read_result

    if stage not in campaign.spec.stages:
        return None
    attempt = finished(campaign, member, stage)
    return read_result(attempt.folder) if attempt else None
