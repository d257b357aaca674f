"""Presets: short dated data files with a parent; a diff of two presets is a diff of the physics."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic import Tag as Branch

from kalloy.errors import HostError, SpecError, nearest, why_unreadable
from kalloy.workflows.inputs.stage import Stage, Takes
from kalloy.workflows.validation import explain, read_user_text

Tag = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(pattern=r"^[^\n\r;]*$")] | list[int] | list[float]
"""A value of an INCAR tag; no text may carry a second tag along."""
Functional = Literal[
    "PBE", "PBE_52", "PBE_52_W_HASH", "PBE_54", "PBE_54_W_HASH", "PBE_64",
    "LDA", "LDA_52", "LDA_52_W_HASH", "LDA_54", "LDA_54_W_HASH", "LDA_64", "PW91",
]  # fmt: skip
"""A release of VASP's datasets, by pymatgen's name."""
TagName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Division = Annotated[int, Field(ge=1, strict=True)]


class MeshSettings(BaseModel):
    """A uniform k-mesh: as stated, or by a spacing that is turned into one mesh for the whole set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mesh: tuple[Division, Division, Division] | None = None
    """Subdivisions along the three reciprocal vectors."""
    kspacing: Annotated[float, Field(gt=0)] | None = None
    """1/Å, with 2π, as VASP's KSPACING: N = max(1, ceil(2π |b| / kspacing)), from the host's cell."""
    style: Literal["Monkhorst-Pack", "Gamma"]
    """As VASP defines both: Monkhorst–Pack is shifted off Γ along every even subdivision."""
    of: str | None = None
    """The cell that the mesh is stated for (``conventional``, ``primitive``, ``2 1 1``), as ``cell`` of ``[host]``
    names them; the cell that is computed then gets the same points. None for the cell that is computed."""

    @model_validator(mode="after")
    def _one_mesh(self) -> MeshSettings:
        if (self.mesh is None) == (self.kspacing is None):
            raise ValueError("a mesh is said by 'mesh' or by 'kspacing', one of them")
        if self.of is not None:
            from kalloy.structures.cells import parse_cell

            try:
                parse_cell(self.of)
            except HostError as error:
                raise ValueError(f"of: {error}") from None
        return self

    @property
    def plain_words(self) -> str:
        """In ASCII, for a comment: ``Gamma 4x4x3``, ``Gamma by KSPACING = 0.3 1/A (with 2pi) of the host's cell``."""
        whose = f"{self.of} cell" if self.of else "host's cell"
        if self.mesh is None:
            return f"{self.style} by KSPACING = {self.kspacing:g} 1/A (with 2pi) of the {whose}"
        size = f"{self.style} {'x'.join(map(str, self.mesh))}"
        return f"{size} of the {whose}" if self.of else size

    @property
    def words(self) -> str:
        """For people: ``Monkhorst–Pack 4x4x3``."""
        words = self.plain_words.replace("Monkhorst-", "Monkhorst–").replace("Gamma", "Γ-centred")
        return words.replace("1/A", "1/Å").replace("2pi", "2π")


class LineSettings(BaseModel):
    """k-points along the symmetry lines of one member's Brillouin zone."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    line_points: int = Field(ge=2, strict=True)
    """Points on each segment, both ends included."""
    as_: Literal["line", "zero-weight", "kpoints-opt"] = Field(default="line", alias="as")
    """``line``: KPOINTS in line mode, on a charge density that is there. ``zero-weight``: a list of a mesh's
    irreducible points with their weights, then the path's with weight zero. ``kpoints-opt``: the mesh in KPOINTS, the
    lines in KPOINTS_OPT, which VASP reads from version 6.3 on."""
    mesh: MeshSettings | None = None
    """What the charge density is found on, where it is found in the same run."""

    @model_validator(mode="after")
    def _mesh_where_needed(self) -> LineSettings:
        if (self.as_ == "line") != (self.mesh is None):
            raise ValueError(
                "lines alone take no mesh; zero-weight and kpoints-opt need one: mesh: {mesh: [4, 4, 3], style: Gamma}"
            )
        return self

    @property
    def words(self) -> str:
        """For people."""
        beside = f", as {self.as_} beside {self.mesh.words}" if self.mesh else ""
        return f"lines, {self.line_points} points a segment{beside}"


def _kind(value: object) -> str:
    """Which of the two is meant, so that a complaint speaks of that one's keys."""
    if isinstance(value, BaseModel):
        return type(value).__name__
    is_lines = isinstance(value, dict) and ("line_points" in value or "as" in value)
    return LineSettings.__name__ if is_lines else MeshSettings.__name__


KPoints = Annotated[
    Annotated[MeshSettings, Branch("MeshSettings")] | Annotated[LineSettings, Branch("LineSettings")],
    Discriminator(_kind),
]
"""What a stage's k-points are: a mesh, or lines."""


class RestartSettings(BaseModel):
    """How often a relaxation is begun anew from where it ended: its basis belongs to the cell that it started from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    until_steps: int = Field(ge=1, strict=True)
    """A run that takes at most so many ionic steps is the last one."""
    at_most: int = Field(ge=1, strict=True)
    """Runs after the first one; not settled by then is not converged."""


class BandsSettings(BaseModel):
    """NBANDS of a stage, which only its parent's result can give as a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    times_occupied: float | None = Field(default=None, gt=1)
    """Multiple of the parent's occupied bands."""
    times_bands: float | None = Field(default=None, ge=1)
    """Multiple of the parent's bands."""

    @model_validator(mode="after")
    def _one_measure(self) -> BandsSettings:
        if (self.times_occupied is None) == (self.times_bands is None):
            raise ValueError("say either times_occupied or times_bands")
        return self


class CostSettings(BaseModel):
    """What the preset was measured to cost; only ever used to say about how long something takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    atoms: int
    """Atoms of the cell it was measured on."""
    cpu_seconds: dict[Stage, float]
    """CPU seconds a stage on one core."""


class Preset(BaseModel):
    """Settings of every stage, its parents' already merged in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dated: str
    summary: str
    parent: str | None = None
    engine: Literal["vasp", "gpaw"] = "vasp"
    """The engine that the settings were made for; a new campaign takes it unless told otherwise."""
    incar: dict[Literal["all"] | Stage, dict[TagName, Tag]]
    kpoints: dict[Stage, KPoints]
    potcar: dict[str, str] = Field(default_factory=dict)
    """VASP's dataset for each element; elements not named take pymatgen's MPRelaxSet choice, which is then stated."""
    potcar_functional: Functional | None = None
    """The release of VASP's datasets; None leaves it to the user's kalloy.toml, or to the only one there is."""
    dos_window: tuple[float, float] = (-6.0, 10.0)
    """eV below the VBM and above it: EMIN and EMAX of the DOS."""
    nbands: dict[Stage, BandsSettings] = Field(default_factory=dict)
    """NBANDS of the stages that take it from their parent's result."""
    relax_restarts: RestartSettings | None = None
    """When a relaxation that changes the cell is begun anew from its CONTCAR; None does without."""
    charge_density: Literal["copy", "link"] = "copy"
    """How a stage gets its parent's charge density; a link saves disk, and is made only where it is not written to."""
    rough: bool = False
    """Whether it is for learning and checking rather than for answers."""
    cost: dict[str, CostSettings] = Field(default_factory=dict)
    """Measured cost by engine."""

    @model_validator(mode="after")
    def _kinds_of_kpoints(self) -> Preset:
        for stage in Stage:
            if stage not in self.kpoints:
                raise ValueError(f"kpoints of stage '{stage}' are missing")
            takes = {what for parent in stage.parents.values() for what in parent}
            if (Takes.BANDS in takes) != (stage in self.nbands):
                raise ValueError(
                    f"nbands of stage '{stage}' are {'missing' if Takes.BANDS in takes else 'not derived'}"
                )
            settings = self.kpoints[stage]
            if stage.is_on_a_path and isinstance(settings, MeshSettings):
                raise ValueError(f"kpoints of stage '{stage}' must be lines")
            if not stage.is_on_a_path and isinstance(settings, LineSettings) and not settings.mesh:
                raise ValueError(f"kpoints of stage '{stage}' must be a mesh, or lines beside one")
        return self

    @cached_property
    def tags(self) -> dict[Stage, dict[str, Tag]]:
        """INCAR tags of each stage, the common ones first."""
        return {stage: {**self.incar.get("all", {}), **self.incar.get(stage, {})} for stage in Stage}


_BY_KEY = ("kpoints", "potcar", "nbands")
"""Tables of which a child replaces single keys; of ``incar`` it replaces single tags."""


def bundled_presets() -> list[str]:
    """Names of the presets that come with kalloy."""
    return sorted(
        p.name.removesuffix(".yaml") for p in files(__package__).joinpath("presets").iterdir() if p.name[-5:] == ".yaml"
    )


def load_preset(name: str, folder: Path = Path()) -> Preset:
    """A bundled preset by name, or the user's own file by path.

    Parameters
    ----------
    name : ``laptop``, or a path that ends in ``.yaml``, relative to ``folder``.

    Raises
    ------
    SpecError
        Where there is no such preset, or it does not say what a preset must.
    """
    raw = _merged(name, folder, ())
    try:
        return Preset.model_validate(raw)
    except ValidationError as error:
        raise SpecError(explain(error, Preset), where=f"preset {name}") from None


def preset_files(name: str, folder: Path = Path()) -> list[str]:
    """The user's own files that a preset is made of: itself and its parents, relative to ``folder``."""
    found = []
    while name and name.endswith((".yaml", ".yml")) and name not in found:
        found.append(name)
        name = _read(name, folder).get("parent") or ""
    return found


def _merged(name: str, folder: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    if name in seen:
        raise SpecError(f"presets are their own parents: {' → '.join((*seen, name))}", where=f"preset {name}")
    raw = _read(name, folder)
    raw.setdefault("name", Path(name).stem)
    parent = raw.get("parent")
    return _overlay(_merged(parent, folder, (*seen, name)), raw) if parent else raw


def _read(name: str, folder: Path) -> dict[str, Any]:
    if name.endswith((".yaml", ".yml")):
        path = folder / name
        if not path.is_file():
            raise SpecError(f"no preset file '{path}'", mend="give a path relative to kalloy.toml")
        text = read_user_text(path)
    elif name in bundled_presets():
        text = files(__package__).joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")
    else:
        raise SpecError(f"no preset '{name}'", mend=nearest(name, bundled_presets()) + " (your own ends in .yaml)")
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SpecError(f"not YAML: {why_unreadable(error)}", where=f"preset {name}") from None
    if not isinstance(raw, dict):
        raise SpecError("holds no mapping", where=f"preset {name}")
    _require_mappings(raw, name)
    return raw


def _require_mappings(raw: dict[str, Any], name: str) -> None:
    """What a child lays over its parent's must be mappings before anything else is looked at."""
    tables: dict[str, Any] = {key: raw[key] for key in ("incar", *_BY_KEY) if key in raw}
    if isinstance(raw.get("incar"), dict):
        tables |= {f"incar.{stage}": tags for stage, tags in raw["incar"].items()}
    for key, value in tables.items():
        if not isinstance(value, dict):
            raise SpecError(f"'{key}' is {value!r} and no mapping", where=f"preset {name}")
    if not isinstance(raw.get("parent"), str | None):
        raise SpecError(f"'parent' is {raw['parent']!r} and no preset's name", where=f"preset {name}")


def _overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """The child's values over the parent's: tags one by one, a stage's k-points whole, ``cost`` never inherited."""
    merged = {k: v for k, v in under.items() if k != "cost"} | {
        k: v for k, v in over.items() if k not in ("incar", *_BY_KEY)
    }
    for table in _BY_KEY:
        merged[table] = {**under.get(table, {}), **over.get(table, {})}
    merged["incar"] = {
        stage: {**under.get("incar", {}).get(stage, {}), **over.get("incar", {}).get(stage, {})}
        for stage in {**under.get("incar", {}), **over.get("incar", {})}
    }
    return merged
