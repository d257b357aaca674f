"""What a campaign has written and would write: every calculation's inputs, read and formatted once for all alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kalloy.errors import KalloyError, VaspInputError
from kalloy.workflows.attempt import Attempt, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.vasp_tags import read_tags
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.potcar import Potcars
from kalloy.workflows.inputs.stage import Stage, Takes
from kalloy.workflows.inputs.writing import is_outdated
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.spec import On
from kalloy.workflows.spec_members import NoiseTable, VariantsTable
from kalloy.workflows.steps import selected

OPEN = (State.READY, State.BLOCKED)


@dataclass(frozen=True)
class Case:
    """One calculation of the campaign."""

    member: Member
    stage: Stage
    inputs: Inputs
    kpoints: str | None
    """KPOINTS as text; None where the path is not chosen yet."""
    attempt: Attempt | None
    """The newest, where one is written."""
    is_open: bool
    """Whether it has yet to be run with these inputs."""
    datasets: list[dict[str, Any]]
    """As attempt.json records them, or would: name, element, and with a library title and hash."""


class Survey:
    """All calculations of a campaign, their inputs shared where they are the same."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.engine = campaign.spec.calculation.engine
        self.refused: dict[tuple[str, ...], VaspInputError] = {}
        """Elements whose datasets the library refuses, and why."""
        self.without_kpoints: dict[tuple[str, Stage], KalloyError] = {}
        """Calculations whose mesh or path is refused, and why."""
        self._potcars: dict[tuple[str, ...], Potcars | None] = {}
        self._tags: dict[str, dict[str, Any]] = {}
        self._kpoints: dict[Any, str | None] = {}
        self._parsed: dict[str, Any] = {}
        self._inputs: dict[Any, Inputs] = {}
        self._composer = Composer(campaign)

    def cases(self) -> Iterator[Case]:
        """Every calculation: the written file where it has yet to run or has run, else what would be written."""
        for step, table in enumerate(self.campaign.spec.step, 1):
            selection = selected(self.campaign, step)
            members = selection.members if selection else self._possible(table.on)
            for stage in table.stages:
                for label in members:
                    yield self._case(self.campaign.member(label), stage, selection.path if selection else None)

    def _possible(self, on: On | NoiseTable | VariantsTable | str) -> list[str]:
        """Whom a step that is not selected yet may be for: any configuration where it takes the best of them."""
        if isinstance(on, NoiseTable | VariantsTable):
            return []  # who is derived from whom is known with the energies
        return [label for label, member in self.campaign.members.items() if _may_be_for(on, member)]

    def _case(self, member: Member, stage: Stage, path: BandPath | None) -> Case:
        tried = attempts(self.campaign.calculation(member.label, stage))
        last = tried[-1] if tried else None
        is_open = last is None or last.state in OPEN
        if last is not None and is_open and self._is_outdated(member, stage, path, last):
            last = None  # another one is written before anything is submitted
        tags, kpoints = self._asked_tags(member, stage), self._asked_kpoints(member, stage, path)
        if last is not None:
            tags = self._file_tags(last) or tags
            file = last.folder / "KPOINTS"
            kpoints = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else kpoints
        return Case(
            member, stage, self._of(member, stage, tags, kpoints), kpoints, last, is_open, self._named(member, last)
        )

    def _named(self, member: Member, attempt: Attempt | None) -> list[dict[str, Any]]:
        if attempt is not None:
            return list(attempt.written.get("datasets", ()))
        found = self.potcars(member)
        return found.to_json() if found else []

    def _is_outdated(self, member: Member, stage: Stage, path: BandPath | None, attempt: Attempt) -> bool:
        if path is None and stage.is_on_a_path:
            return False
        try:
            return is_outdated(self._composer, member, stage, path, attempt)
        except KalloyError:
            return True

    def _of(self, member: Member, stage: Stage, tags: dict[str, Any], kpoints: str | None) -> Inputs:
        composition = member.crystal.composition
        crystal = self._standing_in(member, tags, kpoints)
        key = (id(tags), stage, kpoints, tuple(composition.items()), id(crystal))
        if key not in self._inputs:
            found = self.potcars(member)
            self._inputs[key] = Inputs(
                tags=tags,
                composition=composition,
                engine=self.engine,
                stage=stage,
                kpoints=self._parse(kpoints),
                crystal=crystal,
                takes=frozenset(t for p in member.parents(stage, self._stages) for t in p.takes),
                gives=self._gives.get(stage, frozenset()),
                datasets=found.choice.symbols if found else (),
                valences=found.valences if found else {},
                enmax=found.enmax if found else None,
            )
        return self._inputs[key]

    # -- what is shared -----------------------------------------------------------

    @cached_property
    def _stages(self) -> list[Stage]:
        return self.campaign.spec.stages

    @cached_property
    def _gives(self) -> dict[Stage, frozenset[Takes]]:
        found: dict[Stage, frozenset[Takes]] = {}
        for child in self._stages:
            for parent, takes in child.parents.items():
                found[parent] = found.get(parent, frozenset()) | frozenset(takes)
        return found

    def _standing_in(self, member: Member, tags: dict[str, Any], kpoints: str | None) -> Any:
        """The crystal by which k-points are counted: the host's where its count settles the matter.

        A configuration's symmetry is a subgroup of the host's, so that it has at least as many irreducible points.
        """
        host = self.campaign.host.crystal
        if member.kind is not Kind.CONFIGURATION:
            return member.crystal
        wanted = max(int(tags.get("KPAR", 1) or 1), 4 if tags.get("ISMEAR") in (-4, -5, -14, -15) else 1)
        if wanted == 1 or kpoints is None:
            return host
        key = (id(tags), kpoints)
        if key not in self._inputs:
            self._inputs[key] = Inputs(tags, host.composition, kpoints=self._parse(kpoints), crystal=host)
        return host if (self._inputs[key].points or 0) >= wanted else member.crystal

    def potcars(self, member: Member) -> Potcars | None:
        """The datasets of a member; None for the free engine, and where the library refuses them."""
        if self.engine != "vasp":
            return None
        elements = tuple(member.crystal.composition)
        if elements not in self._potcars:
            try:
                self._potcars[elements] = self._composer.potcars(member)
            except VaspInputError as error:
                self.refused[elements], self._potcars[elements] = error, None
        return self._potcars[elements]

    def _asked_tags(self, member: Member, stage: Stage) -> dict[str, Any]:
        tags = {k: v for k, v in self._composer.tags(member, stage).tags.items() if k != "SYSTEM"}
        return self._typed(repr(tags), tags)

    def _file_tags(self, attempt: Attempt) -> dict[str, Any] | None:
        file = attempt.folder / "INCAR"
        if not file.is_file():
            return None
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        text = "\n".join(line for line in lines if line.split("=")[0].strip() != "SYSTEM")
        return self._typed(text, None)

    def _typed(self, key: str, tags: dict[str, Any] | None) -> dict[str, Any]:
        if key not in self._tags:
            from kalloy.workflows.inputs.checks.vasp_tags import vasp_incar

            self._tags[key] = read_tags(tags if tags is not None else dict(vasp_incar().from_str(key)))
        return self._tags[key]

    def _asked_kpoints(self, member: Member, stage: Stage, path: BandPath | None) -> str | None:
        shares = member.kind in (Kind.HOST, Kind.CONFIGURATION)
        key = (stage, "" if shares else member.label, np.asarray(member.crystal.lattice).tobytes())
        if key not in self._kpoints:
            try:
                self._kpoints[key] = self._composer.kpoints_text(member, stage, path)
            except KalloyError as error:
                self.without_kpoints[member.label, stage], self._kpoints[key] = error, None
        return self._kpoints[key]

    def _parse(self, text: str | None) -> Any:
        """pymatgen's Kpoints; None where it cannot read them (generating vectors, for one)."""
        if text is None:
            return None
        if text not in self._parsed:
            from pymatgen.io.vasp.inputs import Kpoints

            try:
                self._parsed[text] = Kpoints.from_str(text)
            except (ValueError, IndexError):
                self._parsed[text] = None
        return self._parsed[text]


def _may_be_for(on: On | str, member: Member) -> bool:
    if not isinstance(on, On):
        return not member.kind.is_derived
    by_kind = {
        Kind.HOST: on.host,
        Kind.CONFIGURATION: on.prescreened or on.needs_energies,
        Kind.REFERENCE: on.references,
    }
    return member.label in on.members or by_kind.get(member.kind, False)
