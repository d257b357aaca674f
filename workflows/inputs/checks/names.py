"""Rules about the tags' names and values, by engine: what is unknown, misspelt, or not understood."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kalloy.errors import VaspInputError, nearest
from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.vasp_tags import is_known, known_tags, value_complaint


def check_names(inputs: Inputs, allowed: Collection[str] = ()) -> Iterator[Finding]:
    """Findings about each tag by itself.

    Parameters
    ----------
    allowed : tags that the user vouches for; the free engine refuses them all the same.
    """
    stage = inputs.stage.value if inputs.stage else None
    for tag, value in inputs.tags.items():
        for code, message, mend in _faults(inputs, tag, value, allowed):
            yield Finding(Severity.ERROR, code, message, mend, stage, "INCAR", tag)
    if inputs.engine == "gpaw":
        yield from _settings(inputs, stage)


def _faults(inputs: Inputs, tag: str, value: object, allowed: Collection[str]) -> Iterator[tuple[str, str, str | None]]:
    if tag not in allowed and not is_known(tag):
        near = nearest(tag, known_tags())
        mend = (
            near if near.startswith("did you mean") else f'[calculation] allow_tags = ["{tag}"] where your VASP has it'
        )
        yield "unknown-tag", f"VASP knows no tag {tag}", mend
    elif tag not in allowed and (complaint := value_complaint(tag, value)):
        yield "wrong-value", complaint, None
    elif inputs.engine == "gpaw":
        from kalloy.workflows.gpaw_engine.tags import check_tags

        try:
            check_tags({tag: value})
        except VaspInputError as error:
            yield "engine-refuses", error.what, error.mend


def _settings(inputs: Inputs, stage: str | None) -> Iterator[Finding]:
    """What the free engine says of the tags together: values and defaults that it cannot honour."""
    from kalloy.workflows.gpaw_engine.settings import read_settings
    from kalloy.workflows.gpaw_engine.tags import ACCEPTED, IDLE, OBEYED

    known = {tag: v for tag, v in inputs.tags.items() if tag in OBEYED or tag in IDLE}
    try:
        read_settings(known, inputs.atoms)
    except VaspInputError as error:
        yield Finding(Severity.ERROR, "engine-refuses", error.what, error.mend, stage, "INCAR", error.what.split()[0])
    if idle := [tag for tag in inputs.tags if tag in IDLE and tag not in ACCEPTED]:
        message = f"kalloy-gpaw sets aside {', '.join(idle)}: they change no result here"
        yield Finding(Severity.NOTE, "engine-sets-aside", message, file="INCAR")
