"""INCAR: the preset's tags, then the machine's, then the user's own, which always win."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kalloy.workflows.inputs.preset import Preset, Tag
from kalloy.workflows.inputs.stage import Stage

OwnTag: TypeAlias = "Tag | Mapping[str, int | float]"
"""A value, or for each element one."""
BY_ELEMENT: dict[str, int | float] = {"MAGMOM": 0, "LDAUL": -1, "LDAUU": 0.0, "LDAUJ": 0.0}
"""Tags that may be given by element, and what an element has that is not named."""


@dataclass(frozen=True)
class IncarTags:
    """The tags of one calculation and where each comes from."""

    tags: dict[str, Tag]
    machine: tuple[str, ...]
    """Names that the site's table set."""
    own: tuple[str, ...]
    """Names that the user's own table set."""

    @property
    def text(self) -> str:
        """INCAR as VASP reads it."""
        width = max(map(len, self.tags))
        return "".join(f"{name:{width}} = {format_tag(value)}\n" for name, value in self.tags.items())


def compose(
    preset: Preset,
    stage: Stage,
    machine: dict[str, Tag],
    own: Mapping[str, OwnTag],
    system: str,
    composition: Mapping[str, int],
) -> IncarTags:
    """The whole INCAR of a stage.

    Parameters
    ----------
    system : SYSTEM, for the person who reads the file.
    composition : atoms by element in POSCAR's order, for what goes by atom or by species.
    """
    upper = {k.upper(): v for k, v in machine.items()}
    moments = _moments(stage, sum(composition.values()))
    asked = {"SYSTEM": system, **preset.tags[stage], **moments, **upper, **own}
    spinors = asked.get("LSORBIT") is True or asked.get("LNONCOLLINEAR") is True
    tags = {
        name: _listed(name, value, composition, spinors) if isinstance(value, Mapping) else value
        for name, value in asked.items()
    }
    return IncarTags(tags, tuple(upper), tuple(own))


def _listed(name: str, values: Mapping[str, int | float], composition: Mapping[str, int], spinors: bool) -> Tag:
    """A tag that is given by element, as VASP takes it: MAGMOM atom by atom, along z for spinors, the others species by
    species."""
    mine = {element: values.get(element, BY_ELEMENT[name]) for element in composition}
    if name != "MAGMOM":
        return " ".join(format_tag(value) for value in mine.values())
    if spinors:
        return "  ".join(" ".join([f"0 0 {format_tag(mine[e])}"] * count) for e, count in composition.items())
    return " ".join(f"{count}*{format_tag(mine[e])}" for e, count in composition.items())


def _moments(stage: Stage, atoms: int) -> dict[str, Tag]:
    """Three components of no moment for every atom: VASP's default for spinors is one Bohr magneton each."""
    return {"MAGMOM": f"{3 * atoms}*0"} if stage.is_noncollinear else {}


def format_tag(value: Tag) -> str:
    """One value in VASP's spelling."""
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    if isinstance(value, float):
        return repr(value).upper()
    if isinstance(value, list):
        return " ".join(format_tag(v) for v in value)
    return str(value)
