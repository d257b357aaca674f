"""A campaign is a folder: where everything in it lies and what is asked. Paths and identity, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from kalloy.errors import InputError, SpecError, nearest
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.host import Host, bundled_hosts, load_host
from kalloy.structures.substitution import Substitution
from kalloy.workflows.derivation import Recipe, derive
from kalloy.workflows.execution.policy import load_policy
from kalloy.workflows.files import hash_of, read_record
from kalloy.workflows.inputs.preset import LineSettings, Preset, load_preset
from kalloy.workflows.inputs.stage import Program, Stage
from kalloy.workflows.members import Kind, Member, Parent, in_poscar_order, own_parents
from kalloy.workflows.spec import On, Spec, StepTable, SubstitutionTable, load_spec
from kalloy.workflows.spec_members import ReferencePhase

SPEC_FILE = "kalloy.toml"
HOST = "host"
DERIVED = "~"
"""In the label of every member that is derived from another one, and in no other."""
REFERENCES = "refs"
"""Folder of the reference phases: ``refs/KBr``."""
USUAL_COMMANDS = {Program.STANDARD: "vasp_std", Program.NONCOLLINEAR: "vasp_ncl", Program.GPAW: "kalloy-gpaw"}
"""Where a site names no command of its own."""
MEMBER_LIMIT = 20_000
"""More members than this are refused: nobody computes them all."""


class Campaign:
    """A campaign folder, its kalloy.toml read and validated whole.

    Parameters
    ----------
    look : only to see where it stands: the host is not read before something asks for it.

    Raises
    ------
    InputError
        Where the folder holds no kalloy.toml, or what it asks for cannot be done.
    """

    def __init__(self, root: Path, spec: Spec | None = None, *, look: bool = False) -> None:
        self.root = root
        if spec is None:
            if not (root / SPEC_FILE).is_file():
                raise InputError(f"no {SPEC_FILE} in '{root}'", mend="name a campaign folder, or make one: kalloy new")
            spec = load_spec(root / SPEC_FILE)
        self.spec = spec
        self._read: dict[Path, list[Recipe]] = {}
        self._made: dict[str, Member] = {}
        self.preset: Preset = load_preset(spec.calculation.preset, root)
        if not look:
            self._check()

    def _check(self) -> None:
        """Refuse here, before anything is written, what cannot be done."""
        root, spec = self.root, self.spec
        _ = self.space
        for table in spec.step:
            for label in table.on.members if isinstance(table.on, On) else ():
                self.member(label)
        for number, step in enumerate(spec.written, 1):
            self._check_path(number, step)
        for label in spec.derived_from:
            if not self.member(label).is_ranked:
                raise SpecError(f"'{label}' is no configuration", where=str(root / SPEC_FILE), mend="name one: K03/c12")
        _ = self.corrections

    @cached_property
    def host(self) -> Host:
        """The crystal that everything is made from."""
        return load_host(self._host_source, self.spec.host.cell, self.spec.host.tolerance)

    @property
    def host_version(self) -> str:
        """Says whether host or cell were changed, without reading the structure: what was computed for another one is
        not this campaign's."""
        asked, source = self.spec.host, Path(self._host_source)
        content = hash_of(source) if source.is_file() else ""
        return sha256(f"{asked.structure} {asked.cell} {content}".encode()).hexdigest()[:12]

    @cached_property
    def space(self) -> ConfigurationSpace:
        """What its substitutions allow."""
        return ConfigurationSpace(self.host, [_substitution(t) for t in self.spec.substitution])

    def _check_path(self, number: int, step: StepTable) -> None:
        """A band path is laid through somebody's finished static structure: refuse a step that cannot have one."""
        on_lines = [stage for stage in step.stages if isinstance(self.preset.kpoints[stage], LineSettings)]
        where = str(self.root / SPEC_FILE)
        if step.path_of is not None:
            self.member(step.path_of)
            if not on_lines:
                message = f"step {number} has a path_of and no stage on a path"
                raise SpecError(message, where=where, mend="put it where 'bands' is asked for")
        if on_lines and isinstance(step.on, On) and step.on.references:
            message = f"step {number} takes reference phases along a band path, which is one of the host's lattice"
            raise SpecError(message, where=where, mend=f"leave '{on_lines[0]}' or references out of it")
        for stage in on_lines:
            if beside := [parent for parent in stage.parents if parent in step.stages]:
                message = (
                    f"step {number} asks for '{stage}' beside its parent '{beside[0]}', and its path follows from that"
                )
                raise SpecError(message, where=where, mend=f"give '{stage}' a later [[step]]")

    @property
    def _host_source(self) -> str:
        """A bundled name, or a file relative to kalloy.toml and to nothing else."""
        return self._structure_source(self.spec.host.structure)

    def _structure_source(self, structure: str) -> str:
        return structure if structure in bundled_hosts() else str(self.root / Path(structure).expanduser())

    @property
    def members(self) -> dict[str, Member]:
        """By label: the host, configurations in enumeration order, references, then what selections derived."""
        return self._listed | self._derived

    @cached_property
    def corrections(self) -> dict[str, Any] | None:
        """The user's own policy for custodian's corrections, whole; None for kalloy's."""
        asked = self.spec.calculation.corrections
        if asked is None:
            return None
        return load_policy(asked if isinstance(asked, str) else asked.model_dump(), self.root)

    @cached_property
    def _listed(self) -> dict[str, Member]:
        """What kalloy.toml names by itself, before anything is computed."""
        asked = sum(self.space.count(content) for content in self.space.contents)
        if asked > MEMBER_LIMIT:
            raise InputError(
                f"{asked:,} configurations are more than {MEMBER_LIMIT:,}",
                where=str(self.root / SPEC_FILE),
                mend="ask for fewer with count, or for a smaller cell; `kalloy count` shows the numbers",
            )
        found = {HOST: self._host_member}
        for content in self.space.contents:
            if any(content.counts):
                found |= {c.label: _configuration_member(c) for c in self.space.configurations(content)}
        for member in (*self.end_members, *self.reference_members):
            found.setdefault(member.label, member)
        return found

    @cached_property
    def _host_member(self) -> Member:
        crystal = in_poscar_order(self.host.crystal)
        return Member(HOST, crystal, 1, self.host.identity, lambda: self.host.space_group.symbol, None, Kind.HOST)

    @cached_property
    def end_members(self) -> list[Member]:
        """The fully substituted crystals of the substitutions that ask for theirs: ``K24/c1``."""
        tables = self.spec.substitution
        alone = [[_alone(t, t is table) for t in tables] for table in tables if table.end_member]
        spaces = [ConfigurationSpace(self.host, substitutions) for substitutions in alone]
        found = [c for space in spaces for content in space.contents for c in space.configurations(content)]
        return [replace(_configuration_member(c), kind=Kind.REFERENCE) for c in found]

    @cached_property
    def reference_members(self) -> list[Member]:
        """The phases of ``[references]``."""
        return [self._reference(name, phase) for name, phase in self.spec.references.items()]

    def _reference(self, name: str, phase: ReferencePhase) -> Member:
        host = load_host(self._structure_source(phase.structure), phase.cell)
        crystal = in_poscar_order(host.crystal)
        label = f"{REFERENCES}/{name}"
        return Member(label, crystal, 1, host.identity, lambda: host.space_group.symbol, None, Kind.REFERENCE)

    def phase(self, member: Member) -> ReferencePhase | None:
        """What ``[references]`` says of a member; None for what shares the host's cell, end members among it."""
        folder, _, name = member.label.partition("/")
        return self.spec.references[name] if folder == REFERENCES else None

    @property
    def recipes(self) -> dict[str, Recipe]:
        """How the derived members on record were made, by label. Selections never change: none is read twice."""
        files = sorted(self.selections.glob("*.json")) if self.selections.is_dir() else []
        for path in files:
            if path not in self._read:
                self._read[path] = read_record(path).get("derived", [])
        return {recipe["label"]: recipe for path in files for recipe in self._read[path]}

    @property
    def _derived(self) -> dict[str, Member]:
        return {label: self._derive(label, recipe) for label, recipe in self.recipes.items()}

    def _derive(self, label: str, recipe: Recipe) -> Member:
        if label not in self._made:
            self._made[label] = derive(recipe, self._listed)
        return self._made[label]

    @property
    def configurations(self) -> list[Member]:
        """The members that are ranked, in enumeration order."""
        return [m for m in self._listed.values() if m.is_ranked]

    def member(self, label: str) -> Member:
        """The member of that label; the nearest known one is named where there is none."""
        if label in self._listed:
            return self._listed[label]
        members = self.members
        if label not in members:
            raise InputError(f"no member '{label}'", mend=nearest(label, list(members)))
        return members[label]

    def parents(self, label: str, stage: Stage) -> tuple[Parent, ...]:
        """The calculations that a member's stage waits for; of most members told without making their structure."""
        if DERIVED in label:
            return self.member(label).parents(stage, self.spec.stages)
        return own_parents(label, stage, self.spec.stages)

    @property
    def commands(self) -> dict[Program, str]:
        """How each build is started on the campaign's site; the Γ-only one is used where the site names it."""
        return with_usual(self.spec.machine.commands)

    @property
    def formula(self) -> str:
        """Of the host's cell, elements in the order of POSCAR."""
        return self.member(HOST).crystal.formula

    # -- where things lie ------------------------------------------------------

    @property
    def index_file(self) -> Path:
        """The database: deleting it loses nothing."""
        return self.root / "kalloy.db"

    @property
    def selections(self) -> Path:
        """One append-only record a step: who goes on, by which rule."""
        return self.root / "selections"

    @property
    def batches(self) -> Path:
        """One folder a submission, with its manifest."""
        return self.root / "batches"

    @property
    def report(self) -> Path:
        """The page, its figures and tables."""
        return self.root / "report"

    def calculation(self, member: str, stage: Stage) -> Path:
        """The folder of a calculation's attempts."""
        return self.root / member / stage.value


def with_usual(named: Mapping[Program, str]) -> dict[Program, str]:
    """How each build is started, by its usual name where nothing is said."""
    found = {program: named.get(program, usual) for program, usual in USUAL_COMMANDS.items()}
    return {**found, Program.GAMMA_ONLY: named.get(Program.GAMMA_ONLY, found[Program.STANDARD])}


def _alone(table: SubstitutionTable, full: bool) -> Substitution:
    """On every site of its sublattice, or on none."""
    return Substitution(table.replace, table.with_, **({"fractions": (1.0,)} if full else {"counts": (0,)}))


def _substitution(table: SubstitutionTable) -> Substitution:
    counts = () if table.count in (None, "all") else table.count
    fractions = () if table.fraction is None else table.fraction
    return Substitution(table.replace, table.with_, counts=_tuple(counts), fractions=_tuple(fractions))


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _configuration_member(configuration: Configuration) -> Member:
    return Member(
        configuration.label,
        in_poscar_order(configuration.crystal()),
        configuration.degeneracy,
        configuration.identity,
        lambda: configuration.space_group.symbol,
        configuration,
        Kind.CONFIGURATION,
    )
