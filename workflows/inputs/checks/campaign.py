"""The check of a whole campaign: everything written and everything that would be, before anything is submitted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kalloy.errors import VaspInputError
from kalloy.workflows.attempt import State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.checks.alike import check_alike
from kalloy.workflows.inputs.checks.disk import bytes_of
from kalloy.workflows.inputs.checks.finding import Finding, Severity, grouped
from kalloy.workflows.inputs.checks.folders import check_folder
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.names import check_names
from kalloy.workflows.inputs.checks.rules import apply_rules
from kalloy.workflows.inputs.checks.survey import Case, Survey
from kalloy.workflows.inputs.potcar import NO_LIBRARY, has_library
from kalloy.workflows.inputs.writing import warnings_of
from kalloy.workflows.steps import selected

GIGABYTE = 1e9


def check_campaign(campaign: Campaign) -> list[Finding]:
    """Every finding about a campaign, the worst first, one for many members where they share it."""
    survey = Survey(campaign)
    cases = list(survey.cases())
    return grouped(
        [
            *_of_inputs(campaign, cases),
            *(finding for case in cases for finding in check_folder(case)),
            *check_alike(cases),
            *_of_datasets(campaign, survey, cases),
            *_of_kpoints(survey),
            *_of_meshes(campaign),
            *_of_disk(campaign, cases),
        ]
    )


def require_sound(campaign: Campaign) -> None:
    """Refuse a campaign whose check finds errors; nothing has been written then.

    Raises
    ------
    VaspInputError
        Names the first one, its place, and how many there are.
    """
    errors = [f for f in check_campaign(campaign) if f.severity is Severity.ERROR]
    if errors:
        first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        mend = f"{first.mend}; " if first.mend else ""
        raise VaspInputError(
            f"{first.message}{more}", where=first.where or None, mend=f"{mend}`kalloy check` tells all"
        )


def require_known_tags(campaign: Campaign) -> None:
    """Refuse a campaign whose preset or kalloy.toml has tags that its engine does not know; reads no file.

    Raises
    ------
    VaspInputError
        Names the first one with the nearest known tag.
    """
    from kalloy.workflows.inputs.checks.vasp_tags import read_tags
    from kalloy.workflows.inputs.composer import Composer

    calculation, composer = campaign.spec.calculation, Composer(campaign)
    host = campaign.members["host"]
    for stage in campaign.spec.stages:
        tags = {k: v for k, v in composer.tags(host, stage).tags.items() if k != "SYSTEM"}
        inputs = Inputs(read_tags(tags), host.crystal.composition, calculation.engine, stage)
        for finding in check_names(inputs, calculation.allow_tags):
            if finding.code in ("unknown-tag", "wrong-value"):
                raise VaspInputError(finding.message, where=f"{stage} INCAR", mend=finding.mend)


def _of_inputs(campaign: Campaign, cases: list[Case]) -> Iterator[Finding]:
    """Names, values and rules: once for all calculations with the same inputs."""
    allowed = campaign.spec.calculation.allow_tags
    found: dict[int, list[Finding]] = {}
    for case in cases:
        if not case.is_open:
            continue
        key = id(case.inputs)
        if key not in found:
            found[key] = [*check_names(case.inputs, allowed), *apply_rules(case.inputs)]
        for finding in found[key]:
            yield replace(finding, members=(case.member.label,))


def _of_datasets(campaign: Campaign, survey: Survey, cases: list[Case]) -> Iterator[Finding]:
    """Where each dataset comes from, and what the library lacks."""
    if campaign.spec.calculation.engine != "vasp":
        return
    if not has_library():
        yield Finding(Severity.NOTE, "no-potcar-library", NO_LIBRARY, file="POTCAR")
    members = {case.member.label: case.member for case in cases}
    for label, member in members.items():
        elements = tuple(member.crystal.composition)
        if (found := survey.potcars(member)) is None:
            error = survey.refused[elements]
            place = f" ({error.where})" if error.where else ""
            message = f"{error.what}{place}"
            yield Finding(Severity.ERROR, "potcar-missing", message, error.mend, file="POTCAR", members=(label,))
            continue
        chosen = dict(zip(found.choice.elements, found.choice.symbols, strict=True))
        for element in found.choice.own:
            message = f"{chosen[element]} for {element}, as kalloy.toml says"
            yield Finding(Severity.NOTE, "potcar-own", message, file="POTCAR", tag=element, members=(label,))
        for element in found.choice.usual:
            message = (
                f"neither kalloy.toml nor the preset names a dataset of {element}: {chosen[element]}, pymatgen's usual"
            )
            mend = f'[calculation.potcar] {element} = "{chosen[element]}" states it'
            yield Finding(
                Severity.NOTE, "potcar-by-default", message, mend, file="POTCAR", tag=element, members=(label,)
            )
        for block in found.blocks:
            if not block.known:
                message = f"'{block.titel}' is none of the datasets that pymatgen knows: newer than it, or damaged"
                yield Finding(Severity.NOTE, "potcar-unheard-of", message, file="POTCAR", members=(label,))
    there = {element for member in members.values() for element in member.crystal.composition}
    for element in campaign.spec.calculation.potcar.keys() - there:
        message = f"[calculation.potcar] names a dataset of {element}, which no member has"
        yield Finding(Severity.WARNING, "potcar-not-used", message, file="kalloy.toml", tag=element)


def _of_kpoints(survey: Survey) -> Iterator[Finding]:
    """Meshes and paths that cannot be had in a member's cell."""
    for (label, stage), error in survey.without_kpoints.items():
        yield Finding(Severity.ERROR, "kpoints-refused", error.what, error.mend, stage, "KPOINTS", members=(label,))


def _of_meshes(campaign: Campaign) -> Iterator[Finding]:
    """Symmetry of the meshes and Γ, and what reading the host said."""
    for line in warnings_of(campaign):
        about_host = line in campaign.host.warnings
        code, file = ("host", "kalloy.toml") if about_host else ("mesh", "KPOINTS")
        yield Finding(Severity.WARNING, code, line, file=file)


def _of_disk(campaign: Campaign, cases: list[Case]) -> Iterator[Finding]:
    """What is still to be written against what is free."""
    need = disk_need(campaign, cases)
    if not need:
        return
    folder = next(p for p in (campaign.root.absolute(), *campaign.root.absolute().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    said = f"about {need / GIGABYTE:.1f} GB at most to be written, {free / GIGABYTE:.1f} GB free"
    if need > free:
        mend = "free some, move the campaign, or set LWAVE and LCHARG = .FALSE. where nothing needs them"
        yield Finding(Severity.WARNING, "disk-full", said, mend, file=str(Path(folder)))
    else:
        yield Finding(Severity.NOTE, "disk-need", said)


def disk_need(campaign: Campaign, cases: list[Case]) -> int:
    """Bytes that the calculations not yet done will write with VASP, by their largest files.

    Of a step that is not selected yet, as many calculations count as its rule will take.
    """
    from kalloy.workflows.estimate import calculations

    if campaign.spec.calculation.engine != "vasp":
        return 0
    sizes: dict[int, int] = {}
    by_stage: dict[str, list[int]] = {}
    for case in cases:
        if case.attempt is None or case.attempt.state is not State.DONE:
            size = sizes.setdefault(id(case.inputs), -1)
            if size < 0:
                size = sizes[id(case.inputs)] = sum(bytes_of(case.inputs).values())
            by_stage.setdefault(case.stage.value, []).append(size)
    chosen = {s.value for i, t in enumerate(campaign.spec.step, 1) if selected(campaign, i) for s in t.stages}
    left = {} if chosen.issuperset(by_stage) else calculations(campaign)
    return sum(
        sum(found) if stage in chosen else round(sum(found) / len(found) * min(left.get(stage, 0), len(found)))
        for stage, found in by_stage.items()
    )
