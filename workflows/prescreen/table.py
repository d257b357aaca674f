"""``[prescreen]``: which model relaxes the configurations, how tightly, and whom it lets through."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from kalloy.workflows.spec_members import Table


class Keep(Table):
    """Whom the prescreen lets through, of each content: one of three rules."""

    lowest: int | None = Field(default=None, ge=1, strict=True)
    """The k lowest."""
    within_meV: float | None = Field(default=None, ge=0)
    """All up to so much above the lowest: meV per formula unit of the host."""
    weight: float | None = Field(default=None, gt=0, le=1)
    """The fewest that together hold this part of the Boltzmann weight g·exp(−E/kT)/Z."""
    temperature: float | None = Field(default=None, gt=0)
    """K, of ``weight``."""

    @model_validator(mode="after")
    def _one_rule(self) -> Keep:
        if sum(rule is not None for rule in (self.lowest, self.within_meV, self.weight)) != 1:
            raise ValueError("is one of lowest = 1, within_meV = 10, or weight = 0.95 with temperature = 600")
        if (self.weight is None) != (self.temperature is None):
            raise ValueError("weight and temperature go together: weight = 0.95, temperature = 600")
        return self

    @property
    def words(self) -> str:
        """As a person would say it."""
        if self.lowest is not None:
            return f"the {self.lowest} lowest of each content" if self.lowest > 1 else "the lowest of each content"
        if self.within_meV is not None:
            return f"all within {self.within_meV:g} meV per formula unit of the lowest"
        return f"the fewest with {self.weight:.0%} of the weight at {self.temperature:g} K"


class PrescreenTable(Table):
    """``[prescreen]``: the cheap model that relaxes every configuration and chooses who goes on to DFT."""

    model: str = Field(default="chgnet", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+]*$")
    """A built-in model, or with ``calculator`` the name under which its results are kept."""
    calculator: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """``module:factory``, anything that returns an ASE calculator; modules beside kalloy.toml are found."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the factory; a file relative to kalloy.toml is named as ``./file``."""
    fmax: float = Field(default=0.01, gt=0)
    """eV/Å; no force may be larger."""
    smax: float = Field(default=0.01, gt=0)
    """GPa; no component of the stress may be larger. Forces alone leave soft cells a percent of volume off."""
    rattle: float = Field(default=0.0, ge=0)
    """Å; standard deviation of displacements before relaxing, to leave saddle points that symmetry holds."""
    steps: int = Field(default=500, ge=1, strict=True)
    """Most steps of one relaxation."""
    keep: Keep = Keep(lowest=1)
    """Whom it lets through."""
