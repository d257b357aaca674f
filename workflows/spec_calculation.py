"""``[calculation]`` of kalloy.toml: settings, engine, machine, and the user's own tags."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from kalloy.errors import nearest
from kalloy.parsers.elements import SYMBOLS
from kalloy.workflows.inputs.incar import BY_ELEMENT, OwnTag
from kalloy.workflows.inputs.preset import Functional, Tag, TagName
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.spec_members import Table


class CorrectionsTable(Table):
    """``[calculation] corrections``: what custodian may change beside the numerical path."""

    allow: list[TagName]
    """INCAR tags: a cure that changes them is kept."""


OwnTags = dict[TagName, Tag | dict[TagName, Tag | dict[TagName, Tag]]]


class CalculationTable(Table):
    """``[calculation]``: which settings, which engine, on which machine."""

    preset: str
    """A bundled preset by name, or a file of your own that ends in ``.yaml``, relative to kalloy.toml."""
    engine: Literal["vasp", "gpaw"] = "vasp"
    """VASP, or the free engine kalloy-gpaw."""
    site: str = "local"
    """The machine: a table ``[site.NAME]`` of this file or of ``~/.config/kalloy/sites.toml``; ``local`` needs none."""
    incar: OwnTags = Field(default_factory=dict)
    """The user's own tags: they always win, and are listed as such. Those in a table with a stage's name are that
    stage's alone: ``[calculation.incar.relax]``. MAGMOM, LDAUL, LDAUU and LDAUJ may be given by element,
    ``LDAUU = { Mn = 4.0 }``: each member then gets its list, in the order of its POSCAR."""
    start: Literal["given", "prescreened"] = "given"
    """Where first stages start from: the host's structure, or the prescreened one with the cell scaled to the host."""
    allow_tags: list[TagName] = Field(default_factory=list)
    """Tags that no list knows and this site's VASP does: they are written and not called unknown."""
    corrections: str | CorrectionsTable | None = None
    """Which of custodian's corrections are made and kept: a file of the user's, or tags that they may change too."""
    potcar: dict[str, str] = Field(default_factory=dict)
    """The user's own dataset for an element: it wins over the preset's, and is listed as such."""
    potcar_functional: Functional | None = None
    """The release of VASP's datasets; by default the preset's, else the one that the library holds."""

    @field_validator("allow_tags")
    @classmethod
    def _upper_names(cls, tags: list[str]) -> list[str]:
        return [name.upper() for name in tags]

    @field_validator("potcar")
    @classmethod
    def _of_their_elements(cls, table: dict[str, str]) -> dict[str, str]:
        for element, dataset in table.items():
            if element not in SYMBOLS:
                raise ValueError(f"no element '{element}'")
            if not re.fullmatch(rf"{element}([._\d][\w.]*)?", dataset):
                raise ValueError(f"'{dataset}' is no dataset of {element}")
        return table

    @field_validator("incar")
    @classmethod
    def _upper(cls, tags: OwnTags) -> OwnTags:
        found: OwnTags = {}
        for name, value in tags.items():
            if name in set(Stage) and isinstance(value, dict):
                found[name] = {own.upper(): _checked(own, tag) for own, tag in value.items()}
            elif name.upper() in BY_ELEMENT or not isinstance(value, dict) or set(value) <= SYMBOLS:
                found[name.upper()] = _checked(name, value)
            else:
                raise ValueError(f"no stage '{name}': {nearest(name, [s.value for s in Stage])}")
        return found

    def own_tags(self, stage: Stage) -> dict[str, OwnTag]:
        """The user's own tags of a stage: those for every stage, then its own."""
        common = {name: value for name, value in self.incar.items() if name not in set(Stage)}
        mine = self.incar.get(stage.value, {})
        return {**common, **mine}  # type: ignore[dict-item]


def _checked(name: str, value: Any) -> Any:
    """A tag's value: a table goes by element, and only where VASP's list goes by species or atom."""
    if not isinstance(value, dict):
        return value
    if name.upper() not in BY_ELEMENT:
        raise ValueError(f"the tag {name} does not go by element, as {', '.join(BY_ELEMENT)} do")
    for element, number in value.items():
        if element not in SYMBOLS:
            raise ValueError(f"no element '{element}' for {name}")
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"the {name} of {element} is no number: {number}")
    return value
