"""A campaign is a folder: where everything in it lies and what is asked. Paths and identity, nothing else."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from kalloy.errors import InputError, SpecError, nearest
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import Host, bundled_hosts, load_host
from kalloy.structures.substitution import Substitution
from kalloy.workflows.inputs.preset import Preset, load_preset
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.spec import On, Spec, SubstitutionTable, load_spec

SPEC_FILE = "kalloy.toml"
HOST = "host"
MEMBER_LIMIT = 20_000
"""More members than this are refused: nobody computes them all."""


class Campaign:
    """A campaign folder, its kalloy.toml read and validated whole.

    Raises
    ------
    InputError
        Where the folder holds no kalloy.toml, or what it asks for cannot be done.
    """

    def __init__(self, root: Path, spec: Spec | None = None) -> None:
        self.root = root
        if spec is None:
            if not (root / SPEC_FILE).is_file():
                raise InputError(f"no {SPEC_FILE} in '{root}'", mend="name a campaign folder, or make one: kalloy new")
            spec = load_spec(root / SPEC_FILE)
        self.spec = spec
        if len(spec.step) > len(spec.written) or spec.references or any(t.end_member for t in spec.substitution):
            raise SpecError("[noise], [variants], [references] and end_member are not computed yet")
        self.preset: Preset = load_preset(spec.calculation.preset, root)
        self.host: Host = load_host(self._host_source, spec.host.cell)
        self.space = ConfigurationSpace(self.host, [_substitution(t) for t in spec.substitution])
        for table in spec.step:
            for label in table.on.members if isinstance(table.on, On) else ():
                self.member(label)

    @property
    def _host_source(self) -> str:
        """A bundled name, or a file relative to kalloy.toml and to nothing else."""
        structure = self.spec.host.structure
        return structure if structure in bundled_hosts() else str(self.root / Path(structure).expanduser())

    @cached_property
    def members(self) -> dict[str, Member]:
        """Every member by label: the host, then the configurations in enumeration order."""
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
        return found

    @cached_property
    def _host_member(self) -> Member:
        crystal = _in_poscar_order(self.host.crystal)
        return Member(HOST, crystal, 1, self.host.identity, self.host.space_group.symbol, None, Kind.HOST)

    @property
    def configurations(self) -> list[Member]:
        """The members that are ranked, in enumeration order."""
        return [m for m in self.members.values() if m.is_ranked]

    def member(self, label: str) -> Member:
        """The member of that label; the nearest known one is named where there is none."""
        try:
            return self.members[label]
        except KeyError:
            raise InputError(f"no member '{label}'", mend=nearest(label, list(self.members))) from None

    @property
    def command(self) -> str:
        """How the engine is started on the campaign's site."""
        commands = self.spec.machine.commands
        is_vasp = self.spec.calculation.engine == "vasp"
        return commands.get("std", "vasp_std") if is_vasp else commands.get("gpaw", "kalloy-gpaw")

    @property
    def formula(self) -> str:
        """Of the host's cell, elements in the order of POSCAR."""
        return self.members[HOST].crystal.formula

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


def _substitution(table: SubstitutionTable) -> Substitution:
    counts = () if table.count in (None, "all") else table.count
    fractions = () if table.fraction is None else table.fraction
    return Substitution(table.replace, table.with_, counts=_tuple(counts), fractions=_tuple(fractions))


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _configuration_member(configuration: Configuration) -> Member:
    return Member(
        configuration.label,
        _in_poscar_order(configuration.crystal()),
        configuration.degeneracy,
        configuration.identity,
        configuration.space_group.symbol,
        configuration,
        Kind.CONFIGURATION,
    )


def _in_poscar_order(crystal: Crystal) -> Crystal:
    """Elements from the most electropositive on, so that every member of a set names them in one order."""
    from pymatgen.core import Element

    order = sorted(range(len(crystal)), key=lambda i: (Element(crystal.species[i]).X, crystal.species[i]))
    return Crystal(crystal.lattice, tuple(crystal.species[i] for i in order), crystal.positions[order])
