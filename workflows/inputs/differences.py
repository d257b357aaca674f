"""What a campaign's settings differ in from another preset: stage by stage, tag by tag, k-points too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.incar import compose, format_tag
from kalloy.workflows.inputs.preset import Preset
from kalloy.workflows.inputs.stage import Stage

ALL = "all"
"""In place of a stage: what holds for every one."""


@dataclass(frozen=True)
class Difference:
    """One setting that the campaign and the other preset state differently."""

    stage: str
    setting: str
    """An INCAR tag, ``k-points``, or a key of presets."""
    here: str | None
    """As the campaign's inputs have it; None where they do not."""
    there: str | None
    """As the other preset has it."""
    by: str
    """Who set it here: ``preset``, ``site`` or ``you``."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def differences(campaign: Campaign, other: Preset) -> list[Difference]:
    """Every difference in the stages that the campaign asks for, in the order of the stages and of INCAR."""
    stages = list(dict.fromkeys(campaign.spec.stages))
    return [*_of_all(campaign, other), *(found for stage in stages for found in _of_stage(campaign, other, stage))]


def _of_stage(campaign: Campaign, other: Preset, stage: Stage) -> list[Difference]:
    composition = campaign.member("host").crystal.composition
    own, machine = campaign.spec.calculation.own_tags(stage), campaign.spec.machine.for_stage(stage).incar
    tags = compose(campaign.preset, stage, machine, own, "", composition)
    here = {name: format_tag(value) for name, value in tags.tags.items()}
    there = {name: format_tag(value) for name, value in compose(other, stage, {}, {}, "", composition).tags.items()}
    set_by = {**dict.fromkeys(tags.machine, "site"), **dict.fromkeys(tags.own, "you")}
    found = _unequal(stage.value, here, there, set_by)
    return found + _unequal(stage.value, _more(campaign.preset, stage), _more(other, stage), {})


def _more(preset: Preset, stage: Stage) -> dict[str, str]:
    """What a preset says of a stage beside its INCAR."""
    said = {"k-points": preset.kpoints[stage].words}
    if bands := preset.nbands.get(stage):
        said["nbands"] = _words(bands.model_dump(exclude_none=True))
    if stage.is_relaxation:
        restarts = preset.relax_restarts
        said["relax_restarts"] = _words(restarts.model_dump()) if restarts else "none"
    if stage is Stage.DOS:
        said["dos_window"] = "{:g} to {:g} eV of the VBM".format(*preset.dos_window)
    return said


def _of_all(campaign: Campaign, other: Preset) -> list[Difference]:
    """Datasets, where VASP takes them, and how charge densities are handed on."""
    here: dict[str, str] = {"charge_density": campaign.preset.charge_density}
    there: dict[str, str] = {"charge_density": other.charge_density}
    set_by: dict[str, str] = {}
    calculation = campaign.spec.calculation
    if calculation.engine == "vasp":
        set_by = {f"dataset of {element}": "you" for element in calculation.potcar}
        here |= {f"dataset of {e}": name for e, name in {**campaign.preset.potcar, **calculation.potcar}.items()}
        there |= {f"dataset of {e}": name for e, name in other.potcar.items()}
    return _unequal(ALL, here, there, set_by)


def _unequal(stage: str, here: dict[str, str], there: dict[str, str], set_by: dict[str, str]) -> list[Difference]:
    return [
        Difference(stage, name, here.get(name), there.get(name), set_by.get(name, "preset"))
        for name in {**here, **there}
        if here.get(name) != there.get(name)
    ]


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in settings.items())
