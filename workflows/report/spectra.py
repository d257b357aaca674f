"""What the figures need of one member: bands, density of states, optics and gap, read from its attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.steps import finished

if TYPE_CHECKING:
    from kalloy.parsers.bands import Bands
    from kalloy.parsers.dos import Dos
    from kalloy.parsers.optics import Spectrum
    from kalloy.parsers.result import Result
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.screening.gaps import MemberGap
    from kalloy.workflows.screening.ranked import Ranked
    from kalloy.workflows.screening.ranking import Ranking

SPECTRA = ("bands", "dos", "optics")
"""Stages that are drawn."""
MOST = 6
"""Members whose spectra are drawn: the host and the lowest; more would be read by nobody."""


@dataclass(frozen=True)
class Spectra:
    """Spectra of one member, on the energy zero of its charge density."""

    member: str
    title: str
    """Member, formula and, for the winner, that it is one."""
    bands: Bands | None
    dos: Dos | None
    gap: MemberGap
    formula_units: int
    """In the cell: densities of states are drawn per formula unit."""
    optics: Spectrum | None = None
    """Mean of the three directions."""


def spectra_of(campaign: Campaign, ranking: Ranking) -> list[Spectra]:
    """Of the host and of the lowest members that have any spectrum, in the ranking's order."""
    found = (_spectra(campaign, row, ranking.formula_units) for row in _with_spectra(campaign, ranking.shown))
    return [s for s in found if s is not None]


def _with_spectra(campaign: Campaign, rows: Iterable[Ranked]) -> list[Ranked]:
    wanted = [s for s in campaign.spec.stages if s.value in SPECTRA]
    have = (r for r in rows if r.gap is not None and any(finished(campaign, r.member, s) for s in wanted))
    return [row for row, _ in zip(have, range(MOST), strict=False)]


def _spectra(campaign: Campaign, row: Ranked, formula_units: int) -> Spectra | None:
    from kalloy.parsers.optics import choose, spectrum

    assert row.gap is not None
    bands, dos, optics = (_read(campaign, row.member, name) for name in SPECTRA)
    dielectric = choose(optics.vasprun.dielectric) if optics else None
    place = ", lowest energy" if row.rank == 1 else ""
    return Spectra(
        row.member,
        f"{row.member} ({row.formula}{place})",
        bands.path if bands else None,
        dos.dos if dos else None,
        row.gap,
        formula_units,
        spectrum(dielectric) if dielectric else None,
    )


def _read(campaign: Campaign, member: str, name: str) -> Result | None:
    from kalloy.parsers.result import read_result

    if name not in campaign.spec.stages:
        return None
    attempt = finished(campaign, member, Stage(name))
    return read_result(attempt.folder) if attempt else None
