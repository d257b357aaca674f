"""What kalloy.toml says about members beyond host and configurations: ``[noise]``, ``[variants]``, ``[references]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from kalloy.workflows.inputs.preset import Division
from kalloy.workflows.inputs.stage import Stage


class Table(BaseModel):
    """A table of kalloy.toml: no unknown keys, nothing changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Whose = StrictBool | Annotated[StrictInt, Field(ge=0)] | list[str]
"""``true`` for the configuration of lowest energy of each content, a number for so many of the lowest, or labels."""


def how_many(whose: bool | int | list[str], contents: int) -> int:
    """How many configurations are meant in a campaign of so many contents."""
    return len(whose) if isinstance(whose, list) else int(whose) * contents


class NoiseTable(Table):
    """``[noise]``: what the energies are uncertain by, measured."""

    duplicate: Whose = False
    """Whose duplicate is computed: the same configuration where the k-mesh meets it differently.
    ``true`` for the lowest of each content, a number for so many of the lowest, or labels."""
    rattle: Whose = False
    """Who is relaxed a second time, from displaced atoms."""
    amplitude: StrictFloat = Field(default=0.03, gt=0, le=0.3)
    """Å; standard deviation of each displacement's components."""
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] = 1
    """Of the displacements."""

    @property
    def needs_energies(self) -> bool:
        """Whether it means the lowest, whoever they turn out to be."""
        return any(whose and not isinstance(whose, list) for whose in (self.duplicate, self.rattle))


class VariantsTable(Table):
    """``[variants]``: host and alloy in each other's relaxed cells, static only."""

    cells: Whose = False
    """Which configurations are put into the host's cell, and the host into theirs."""

    @property
    def needs_energies(self) -> bool:
        """Whether it means the lowest, whoever they turn out to be."""
        return bool(self.cells) and not isinstance(self.cells, list)


class ReferencePhase(Table):
    """``[references]``: one phase, an end of a reaction; ``KBr = "KBr"`` is short for its structure."""

    structure: str
    """A bundled name or a file, relative to kalloy.toml."""
    cell: str = "primitive"
    """As ``cell`` of ``[host]``."""
    mesh: tuple[Division, Division, Division] | None = None
    """Γ-centred, for relax and static; by default as dense as the host's."""


def _as_phase(value: object) -> object:
    """``KBr = "KBr"`` is short for ``KBr = { structure = "KBr" }``."""
    return {"structure": value} if isinstance(value, str) else value


PhaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
References = dict[PhaseName, Annotated[ReferencePhase, BeforeValidator(_as_phase)]]
"""``[references]``: phases by name, which is that of their folder in ``refs/`` as well."""


@dataclass(frozen=True)
class DerivedStep:
    """A step that kalloy.toml implies: members that depend on who came out lowest, after all written steps."""

    on: NoiseTable | VariantsTable
    stages: tuple[Stage, ...]
