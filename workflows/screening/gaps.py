"""The gap of a member: the extremum over every k-point that its calculations offer, with the source named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kalloy.parsers.gap import DEGENERATE_EV, QUASI_DIRECT_EV
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.results import CampaignResult


@dataclass(frozen=True)
class MemberGap:
    """Fundamental and smallest direct gap of a member."""

    metal: bool
    gap_eV: float
    direct: bool | None
    """Whether VBM and CBM share a k-point; None for a metal."""
    direct_gap_eV: float
    """The smallest vertical gap."""
    vbm_eV: float | None
    cbm_eV: float | None
    vbm_k: list[list[float]]
    """Every fractional k-point within 1 meV of the VBM."""
    cbm_k: list[list[float]]
    source: str
    """Which calculations it was read from: ``static mesh + bands path``."""

    @property
    def margin_meV(self) -> float:
        """Direct gap less fundamental gap: what "indirect" rests on."""
        return 1000 * (self.direct_gap_eV - self.gap_eV)

    @property
    def character(self) -> str:
        """``direct``, ``indirect``, ``quasi-direct`` or ``metal``."""
        if self.metal:
            return "metal"
        if self.direct:
            return "direct"
        return "quasi-direct" if self.margin_meV < 1000 * QUASI_DIRECT_EV else "indirect"


def member_gap(results: Sequence[CampaignResult]) -> MemberGap | None:
    """Join what the stages of one member say.

    dos and bands run on the charge density of static, so that their eigenvalues share one zero of energy and the
    extremum over all of them is the member's own. Relaxations take no part: their last basis is not their first.

    Returns
    -------
    None where no usable result has eigenvalues.
    """
    usable = [r for r in results if r.is_usable and not r.stage.is_relaxation and _parsed(r)["gap_eV"] is not None]
    if not usable:
        return None
    source = " + ".join(f"{r.stage} {_parsed(r)['gap_source'] or ''}".strip() for r in usable)
    if any(_parsed(r)["metal"] for r in usable):
        return MemberGap(True, 0.0, None, 0.0, None, None, [], [], source)
    vbm = max(_parsed(r)["vbm_eV"] for r in usable)
    cbm = min(_parsed(r)["cbm_eV"] for r in usable)
    vbm_k = _union(_parsed(r)["vbm_k"] for r in usable if vbm - _parsed(r)["vbm_eV"] < DEGENERATE_EV)
    cbm_k = _union(_parsed(r)["cbm_k"] for r in usable if _parsed(r)["cbm_eV"] - cbm < DEGENERATE_EV)
    shared = any(_same(a, b) for a in vbm_k for b in cbm_k)
    direct_gap = min(_parsed(r)["direct_gap_eV"] for r in usable)
    return MemberGap(False, max(cbm - vbm, 0.0), shared, max(direct_gap, 0.0), vbm, cbm, vbm_k, cbm_k, source)


def _parsed(result: CampaignResult) -> dict[str, Any]:
    assert result.parsed is not None
    return result.parsed


def _union(lists: Any) -> list[list[float]]:
    found: list[list[float]] = []
    for k in (k for ks in lists for k in ks):
        if not any(_same(k, other) for other in found):
            found.append(k)
    return found


def _same(a: list[float], b: list[float]) -> bool:
    """Whether two k-points are one up to a reciprocal lattice vector."""
    return all(abs((x - y) - round(x - y)) < 1e-4 for x, y in zip(a, b, strict=True))


READ_FROM = (Stage.STATIC, Stage.DOS, Stage.BANDS)
"""The stages that gaps are read from."""
