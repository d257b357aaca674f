"""INCAR: the preset's tags, then the machine's, then the user's own, which always win."""

from __future__ import annotations

from dataclasses import dataclass

from kalloy.workflows.inputs.preset import Preset, Tag
from kalloy.workflows.inputs.stage import Stage


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
    preset: Preset, stage: Stage, machine: dict[str, Tag], own: dict[str, Tag], system: str, atoms: int
) -> IncarTags:
    """The whole INCAR of a stage.

    Parameters
    ----------
    system : SYSTEM, for the person who reads the file.
    atoms : how many the cell holds, for MAGMOM of spinors.
    """
    upper = {k.upper(): v for k, v in machine.items()}
    tags = {"SYSTEM": system, **preset.tags[stage], **_moments(stage, atoms), **upper, **own}
    return IncarTags(tags, tuple(upper), tuple(own))


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
