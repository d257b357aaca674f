"""The shift of the gap, split: what the other atoms do in one cell, and what the other cell does to the same atoms.

Both orders of the two changes are computed, for their parts differ where chemistry and strain do not simply add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kalloy.errors import AgreementError
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.agreement import OF_THE_COMPOSITION, require_agreement
from kalloy.workflows.screening.columns import Results
from kalloy.workflows.screening.gaps import member_gap


@dataclass(frozen=True)
class Strain:
    """The shift of a configuration's gap against the host's; every gap from the static mesh, eV."""

    configuration: str
    host_gap_eV: float
    """Host in its own cell."""
    strained_host_gap_eV: float
    """Host in the configuration's relaxed cell."""
    strained_alloy_gap_eV: float
    """Configuration in the host's relaxed cell."""
    alloy_gap_eV: float
    """Configuration in its own cell."""

    @property
    def total_eV(self) -> float:
        """Chemistry and strain in either order sum to it exactly."""
        return self.alloy_gap_eV - self.host_gap_eV

    @property
    def chemistry_at_host_cell_eV(self) -> float:
        """What the substitution does in the host's cell."""
        return self.strained_alloy_gap_eV - self.host_gap_eV

    @property
    def chemistry_at_alloy_cell_eV(self) -> float:
        """What the substitution does in the alloy's cell."""
        return self.alloy_gap_eV - self.strained_host_gap_eV

    @property
    def strain_of_host_eV(self) -> float:
        """What the alloy's cell does to the host."""
        return self.strained_host_gap_eV - self.host_gap_eV

    @property
    def strain_of_alloy_eV(self) -> float:
        """What the alloy's own cell does to it, against the host's."""
        return self.alloy_gap_eV - self.strained_alloy_gap_eV

    @property
    def chemistry_eV(self) -> float:
        """Mean over both orders."""
        return (self.chemistry_at_host_cell_eV + self.chemistry_at_alloy_cell_eV) / 2

    @property
    def strain_eV(self) -> float:
        """Mean over both orders."""
        return (self.strain_of_host_eV + self.strain_of_alloy_eV) / 2

    @property
    def coupling_eV(self) -> float:
        """How far the two orders disagree: what is neither chemistry nor strain alone."""
        return self.strain_of_alloy_eV - self.strain_of_host_eV

    @property
    def line(self) -> str:
        """In words."""
        return (
            f"gap of {self.configuration} against the host: {self.total_eV:+.3f} eV = chemistry "
            f"{self.chemistry_eV:+.3f} + strain {self.strain_eV:+.3f} (means of both orders, which differ by "
            f"{abs(self.coupling_eV):.3f}; static mesh)"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        return {
            "configuration": self.configuration,
            "gap_shift_eV": self.total_eV,
            "chemistry_eV": self.chemistry_eV,
            "strain_eV": self.strain_eV,
            "chemistry_at_host_cell_eV": self.chemistry_at_host_cell_eV,
            "chemistry_at_alloy_cell_eV": self.chemistry_at_alloy_cell_eV,
            "strain_of_host_eV": self.strain_of_host_eV,
            "strain_of_alloy_eV": self.strain_of_alloy_eV,
            "coupling_eV": self.coupling_eV,
        }


def strains(campaign: Campaign, results: Results) -> list[Strain]:
    """The split of every configuration whose two variants are computed.

    Raises
    ------
    AgreementError
        Where its four calculations were not made alike.
    """
    variants = {(m.of, m.recipe["cell_of"]): m.label for m in campaign.members.values() if m.kind is Kind.VARIANT}
    found = []
    for configuration in [of for of, cell_of in variants if cell_of == HOST]:
        labels = (HOST, variants.get((HOST, configuration)), variants[configuration, HOST], configuration)
        gaps = _gaps([results.get((label, Stage.STATIC)) if label else None for label in labels])
        if gaps is not None:
            found.append(Strain(str(configuration), *gaps))
    return found


def _gaps(results: list[CampaignResult | None]) -> list[float] | None:
    usable = [r for r in results if r is not None and r.is_usable]
    if len(usable) < len(results):
        return None
    require_agreement(usable, ignoring=OF_THE_COMPOSITION)
    gaps = [member_gap([result]) for result in usable]
    return [gap.gap_eV for gap in gaps if gap is not None] if all(gap is not None for gap in gaps) else None


def strain_lines(campaign: Campaign, results: Results) -> list[str]:
    """In words, one line a configuration."""
    try:
        return [strain.line for strain in strains(campaign, results)]
    except AgreementError as error:
        return [f"the gap's shift is not split into chemistry and strain: {error.what.splitlines()[1].strip()} differs"]
