"""kalloy.toml: what a campaign is asked to do, validated whole before anything is written."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_validator,
)

from kalloy.errors import SpecError, why_unreadable
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.prescreen.table import PrescreenTable
from kalloy.workflows.spec_calculation import CalculationTable
from kalloy.workflows.spec_members import DerivedStep, NoiseTable, References, Table, VariantsTable
from kalloy.workflows.spec_screening import AgreementTable, EnsembleTable
from kalloy.workflows.spec_sites import SiteTable, user_sites_file, with_user_sites
from kalloy.workflows.validation import complaint, explain, place_of, read_user_text


class HostTable(Table):
    """``[host]``: the crystal and the cell that is computed."""

    structure: str
    """A bundled name or a file, relative to kalloy.toml."""
    cell: str = "given"
    """``given``, ``primitive``, ``conventional``, ``2 1 1`` or nine integers: new vectors by the given ones."""
    tolerance: float = Field(default=0.01, gt=0, lt=1)
    """Å; how far an atom may be from where symmetry would have it. It decides which configurations are the same."""


class SubstitutionTable(Table):
    """``[[substitution]]``: what is replaced, with what, how many."""

    replace: str
    """``Cs``, or those of its sites alone that have a Wyckoff position or a label: ``Cs@18e``, ``Cs@Cs2``."""
    with_: str = Field(alias="with")
    """An element, or ``vacancy``."""
    count: StrictInt | Annotated[list[StrictInt], Field(min_length=1)] | Literal["all"] | None = None
    """Sites that are substituted; ``all``, every number from none to all, is what is meant where nothing is said."""
    fraction: StrictFloat | Annotated[list[StrictFloat], Field(min_length=1)] | None = None
    """Part of the sublattice, in place of ``count``."""
    end_member: bool = False
    """Whether the fully substituted crystal is computed too, for mixing energies."""

    @model_validator(mode="after")
    def _one_amount(self) -> SubstitutionTable:
        if self.count is not None and self.fraction is not None:
            raise ValueError("count and fraction exclude each other")
        return self


class On(Table):
    """Whom a step is for: the host, the k configurations of lowest energy, and members named one by one."""

    host: bool = False
    """The host."""
    references: bool = False
    """The phases of ``[references]`` and the fully substituted end members."""
    prescreened: bool = False
    """The configurations that ``[prescreen]`` keeps."""
    lowest: int = Field(default=0, ge=0)
    """How many configurations of lowest energy *of each content*, by the static energies of the earlier steps."""
    within_meV: float | None = Field(default=None, ge=0)
    """Every configuration within so much of the lowest of its content: meV per formula unit of the host."""
    weight: float | None = Field(default=None, gt=0, le=1)
    """The fewest configurations of each content that carry this part of its Boltzmann weight at ``temperature``."""
    temperature: float | None = Field(default=None, gt=0)
    """K, for ``weight``."""
    members: list[str] = Field(default_factory=list)
    """Members by label: ``K03/c12``."""

    @model_validator(mode="after")
    def _somebody(self) -> On:
        if (self.weight is None) != (self.temperature is None):
            raise ValueError("weight and temperature go together: weight = 0.95, temperature = 300")
        if not (self.host or self.references or self.prescreened or self.needs_energies or self.members):
            raise ValueError('is nobody: say host = true, lowest = 1, members = ["K1/c1"], or on = "all"')
        return self

    @property
    def needs_energies(self) -> bool:
        """Whether the choice rests on static energies."""
        return self.lowest > 0 or self.within_meV is not None or self.weight is not None


class StepTable(Table):
    """``[[step]]``: one turn of the funnel."""

    stages: list[Stage] = Field(min_length=1)
    """``relax``, ``static``, ``dos``, ``bands``, ``optics``, ``soc``, ``hse``; each in one step, after its parents."""
    on: Literal["all"] | On = "all"
    """Whom it is for."""
    path_of: str | None = None
    """The member through whose Brillouin zone the one band path of the set is laid; by default the winner."""


class ReferenceValues(Table):
    """What is known of one structure, to be shown beside the results."""

    gap_eV: float | None = None
    """Fundamental gap, eV."""
    direct: bool | None = None
    """Its character."""
    volume_change_percent: float | None = None
    """Against the host, per cent."""


class ReferenceTable(Table):
    """``[reference]``: values to stand beside the results; never used in any of them."""

    name: str
    """What the row is called."""
    host: ReferenceValues = ReferenceValues()
    """Of the host."""
    lowest: ReferenceValues = ReferenceValues()
    """Of the configuration of lowest energy."""
    peak_shifts: dict[str, float] = Field(default_factory=dict)
    """Reflections and how far they move from host to alloy, degrees 2θ in Cu Kα: ``"006" = 0.47``."""
    note: str = ""
    """Where the values are from."""

    @field_validator("peak_shifts")
    @classmethod
    def _reflections(cls, shifts: dict[str, float]) -> dict[str, float]:
        for name in shifts:
            if not re.fullmatch(r"\d(-?\d){2,3}|-?\d+( -?\d+){2}", name):
                raise ValueError(f"'{name}' is no reflection: write 006, 20-24 or '1 1 0'")
        return shifts


class Spec(Table):
    """A whole kalloy.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)

    host: HostTable
    substitution: list[SubstitutionTable] = Field(min_length=1)
    calculation: CalculationTable
    written: list[StepTable] = Field(min_length=1, alias="step")
    noise: NoiseTable = NoiseTable()
    variants: VariantsTable = VariantsTable()
    references: References = Field(default_factory=dict)
    prescreen: PrescreenTable = PrescreenTable()
    site: dict[str, SiteTable] = Field(default_factory=dict)
    reference: ReferenceTable | None = None
    agreement: AgreementTable = AgreementTable()
    ensemble: EnsembleTable = EnsembleTable()

    @model_validator(mode="after")
    def _steps_in_order(self) -> Spec:
        seen: set[Stage] = set()
        for table in self.written:
            for stage in table.stages:
                if missing := [p for p in stage.parents if p not in seen and p not in stage.optional_parents]:
                    raise ValueError(f"step asks for '{stage}' before its parent '{missing[0]}': put that stage first")
                if stage in seen:
                    raise ValueError(f"step asks for '{stage}' twice: name each stage in one step")
                seen.add(stage)
        return self

    @model_validator(mode="after")
    def _engine_has_stages(self) -> Spec:
        engine = self.calculation.engine
        for stage in self.stages:
            if engine not in stage.engines:
                others = " or ".join(f'engine = "{e}"' for e in stage.engines)
                raise ValueError(
                    f"stage '{stage}' cannot be computed by engine '{engine}': "
                    f"say {others} in [calculation], or leave '{stage}' out"
                )
        return self

    @model_validator(mode="after")
    def _everybody_has_parents(self) -> Spec:
        """Whom a step is for must have had the parent stages in an earlier one."""
        for number, table in enumerate(self.written, 1):
            earlier = [(t.on, stage) for t in self.written[: number - 1] for stage in t.stages]
            if (
                isinstance(table.on, On)
                and table.on.needs_energies
                and Stage.STATIC not in [stage for _, stage in earlier]
            ):
                raise ValueError(f"step {number} cannot choose the lowest: nothing has a static energy yet")
            for parent in {p for stage in table.stages for p in stage.parents if p not in table.stages}:
                for on in [on for on, stage in earlier if stage is parent]:
                    if (who := _left_out(table.on, on)) is not None:
                        raise ValueError(f"step {number} is for {who}, which no earlier step takes through '{parent}'")
        return self

    @model_validator(mode="after")
    def _derived_members_have_parents(self) -> Spec:
        """What depends on the lowest needs energies, and a cell to take needs a relaxation."""
        if (self.noise.duplicate or self.noise.rattle) and Stage.STATIC not in self.stages:
            raise ValueError("[noise] needs a step with 'static': it is measured in static energies")
        if self.noise.rattle and Stage.RELAX not in self.stages:
            raise ValueError("[noise] rattle needs a step with 'relax': it repeats that")
        if self.variants.cells:
            for stage in (Stage.RELAX, Stage.STATIC):
                if not any(stage in t.stages and _is_for_host(t.on) for t in self.written):
                    raise ValueError(f"[variants] needs a step that takes the host through '{stage}'")
        return self

    @property
    def needs_prescreen(self) -> bool:
        """Whether a step or the start of one waits for the prescreen."""
        chosen = any(isinstance(table.on, On) and table.on.prescreened for table in self.written)
        return chosen or self.calculation.start == "prescreened"

    @property
    def machine(self) -> SiteTable:
        """The site that the calculation names; ``local`` needs no table."""
        return self.site.get(self.calculation.site, SiteTable())

    @property
    def derived_from(self) -> list[str]:
        """Labels that ``[noise]`` and ``[variants]`` name."""
        asked = (self.noise.duplicate, self.noise.rattle, self.variants.cells)
        return [label for whose in asked if isinstance(whose, list) for label in whose]

    @property
    def stages(self) -> list[Stage]:
        """Every stage of every step, in order."""
        return [stage for table in self.written for stage in table.stages]

    @property
    def step(self) -> list[StepTable | DerivedStep]:
        """The steps as written, then those that ``[noise]`` and ``[variants]`` imply."""
        energies = tuple(stage for stage in self.stages if stage in (Stage.RELAX, Stage.STATIC))
        implied = []
        if self.noise.duplicate or self.noise.rattle:
            implied.append(DerivedStep(self.noise, energies))
        if self.variants.cells:
            implied.append(DerivedStep(self.variants, (Stage.STATIC,)))
        return [*self.written, *implied]


def _left_out(on: On | str, earlier: On | str) -> str | None:
    """Whom a step is for that the earlier one was not, in words."""
    if not isinstance(earlier, On):
        return None
    if not isinstance(on, On):
        return "everybody"
    if on.host and not earlier.host and "host" not in earlier.members:
        return "the host"
    if on.references and not earlier.references:
        return "the reference phases"
    if on.prescreened and not earlier.prescreened:
        return "what the prescreen keeps"
    if on.needs_energies and not earlier.prescreened and (who := _beyond(on, earlier)) is not None:
        return who
    return next((m for m in on.members if m not in earlier.members and not (m == "host" and earlier.host)), None)


def _beyond(on: On, earlier: On) -> str | None:
    """Whom the energies may name that an earlier step's rules need not have named, in words."""
    # The lowest one lies in every window; by weight it need not be among the heaviest.
    named = Counter(label.split("/")[0] for label in earlier.members if "/" in label)
    if on.lowest > max(earlier.lowest, int(earlier.within_meV is not None), min(named.values(), default=0)):
        return f"the {on.lowest} lowest"
    if on.within_meV is not None and (earlier.within_meV is None or on.within_meV > earlier.within_meV):
        return f"all within {on.within_meV:g} meV"
    if on.weight is not None and (on.temperature != earlier.temperature or on.weight > (earlier.weight or 0)):
        return f"{on.weight:g} of the Boltzmann weight"
    return None


def _is_for_host(on: On | str) -> bool:
    return not isinstance(on, On) or on.host or "host" in on.members


def load_spec(path: Path) -> Spec:
    """Read and validate a kalloy.toml.

    Raises
    ------
    SpecError
        Where it is no TOML, or a key is unknown, missing or wrong: with the line and the nearest known key.
    """
    text = read_user_text(path)
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"not valid TOML: {why_unreadable(error)}", where=str(path)) from None
    return parse_spec(with_user_sites(raw), str(path), text)


def parse_spec(raw: dict[str, Any], where: str, text: str = "") -> Spec:
    """Validate the content of a kalloy.toml; ``text`` lets the error name the line."""
    try:
        spec = Spec.model_validate(raw)
    except ValidationError as error:
        place = place_of(complaint(error))
        raise SpecError(explain(error, Spec), where=where + _line_of(place, text)) from None
    site = spec.calculation.site
    if site != "local" and site not in spec.site:
        mend = f"write one there or in {user_sites_file()}, or leave out calculation.site"
        raise SpecError(f"no table [site.{site}]", where=where, mend=mend)
    return spec


def _line_of(place: tuple[str | int, ...], text: str) -> str:
    """``:7``, the line of a key; of the table that holds it where the key itself is not found."""
    table: tuple[str | int, ...] = ()
    counts: Counter[str] = Counter()
    best, line_of_best = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        here = table
        if header := re.match(r"\s*(\[\[?)\s*([^\]]+?)\s*\]", line):
            name = header[2].replace('"', "")
            table = (name, counts[name]) if header[1] == "[[" else tuple(name.split("."))
            counts[name] += 1
            here = table
        elif key := re.match(r'\s*"?([\w-]+)"?\s*=', line):
            here = (*table, key[1])
        depth = len(here) if place[: len(here)] == here else 0
        if depth > best:
            best, line_of_best = depth, number
    return f":{line_of_best}" if best else ""
