"""``[site.NAME]``: everything about one machine; read from kalloy.toml, or from ``~/.config/kalloy/sites.toml``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from kalloy.errors import SpecError, why_unreadable
from kalloy.workflows.inputs.preset import Tag, TagName
from kalloy.workflows.inputs.stage import Program, Stage
from kalloy.workflows.spec_members import Table
from kalloy.workflows.submission.schedulers.options import Options, refuse_option
from kalloy.workflows.validation import read_user_text

SchedulerName: TypeAlias = Literal["local", "slurm", "pbs", "torque", "sge", "lsf"]
Commands: TypeAlias = dict[Program, str]
Option: TypeAlias = StrictBool | StrictInt | StrictFloat | StrictStr | Annotated[list[StrictStr], Field(min_length=1)]


class JobsTable(Table):
    """``jobs = 4`` or ``[site.NAME.jobs]``: how calculations become jobs."""

    at_once: int | None = Field(default=None, ge=1, strict=True)
    """Jobs at a time; by default one a core on this machine, and whatever a queueing system takes."""
    per: Literal["configuration", "stage"] = "configuration"
    """Whether one job runs a configuration's stages one after another, or each stage gets a job of its own."""
    pack: int = Field(default=1, ge=1, strict=True)
    """Configurations that one job runs, one after another."""


class StageTable(Table):
    """``[site.NAME.stage.STAGE]``: what differs for one stage; every key replaces the site's of the same name."""

    commands: Commands = Field(default_factory=dict)
    """As the site's."""
    options: dict[str, Option] = Field(default_factory=dict)
    """As the site's."""
    incar: dict[TagName, Tag] = Field(default_factory=dict)
    """As the site's."""


class SiteTable(Table):
    """``[site.NAME]``: everything about one machine."""

    scheduler: SchedulerName = "local"
    """What runs jobs; ``local`` is this machine itself."""
    commands: Commands = Field(default_factory=dict)
    """How the engines are started: ``std = "srun vasp_std"``, ``ncl`` for spinors, ``gam`` for Γ alone, ``gpaw``."""
    jobs: JobsTable = JobsTable()
    """A number of jobs at a time, or a table."""
    incar: dict[TagName, Tag] = Field(default_factory=dict)
    """Tags that belong to the machine: NCORE, KPAR."""
    options: dict[str, Option] = Field(default_factory=dict)
    """The scheduler's own: ``partition = "batch"``, ``time = "24:00:00"``."""
    modules: list[str] = Field(default_factory=list)
    """``module load`` of each, in the job."""
    setup: list[str] = Field(default_factory=list)
    """Lines of shell that the job runs before anything else."""
    script: str | None = None
    """A job script of the user's, relative to kalloy.toml, that takes the place of ours."""
    stage: dict[Stage, StageTable] = Field(default_factory=dict)
    """What differs for a stage."""
    ssh: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][\w.@-]*$")
    """A ``Host`` of the user's ssh configuration: the campaign is driven there."""
    folder: str | None = Field(default=None, pattern=r"^/[^\n]*$")
    """With ``ssh``: where campaigns lie there, an absolute path."""
    kalloy: str = Field(default="kalloy", pattern=r"^[^\n]+$")
    """With ``ssh``: how kalloy is started there."""
    poll: float = Field(default=20.0, gt=0)
    """Seconds between two questions to the scheduler."""
    lag: float = Field(default=60.0, ge=0)
    """Seconds until every machine sees what another one has written: how long an end record is waited for. Network file
    systems remember for up to a minute that a file was not there."""

    @field_validator("jobs", mode="before")
    @classmethod
    def _number_of_jobs(cls, jobs: Any) -> Any:
        return jobs if isinstance(jobs, dict | JobsTable) else {"at_once": jobs}

    @model_validator(mode="after")
    def _elsewhere_is_whole(self) -> SiteTable:
        if (self.ssh is None) != (self.folder is None):
            raise ValueError('ssh and folder belong together: ssh = "mycluster", folder = "/scratch/me/kalloy"')
        return self

    @model_validator(mode="after")
    def _options_are_safe(self) -> SiteTable:
        for options in (self.options, *(table.options for table in self.stage.values())):
            for name, value in options.items():
                refuse_option(self.scheduler, name, value)
        if self.script and (self.options or self.modules or self.setup or any(t.options for t in self.stage.values())):
            raise ValueError("script excludes options, modules and setup: say them in the script")
        return self

    @field_validator("modules", "setup")
    @classmethod
    def _one_line_each(cls, lines: list[str]) -> list[str]:
        if broken := [line for line in lines if not line.isprintable()]:
            raise ValueError(f"{broken[0]!r} is more than one line: write one entry a line")
        return lines

    @property
    def side_by_side(self) -> int:
        """Calculations at a time on this machine: one a core unless stated."""
        stated = self.jobs.at_once if self.scheduler == "local" else None
        return stated or len(os.sched_getaffinity(0))

    @property
    def at_a_time(self) -> str:
        """In words."""
        if self.scheduler == "local":
            return f"{self.side_by_side} at a time"
        return (
            f"{self.jobs.at_once} jobs at a time"
            if self.jobs.at_once
            else f"as many at a time as {self.scheduler} runs"
        )

    def for_stage(self, stage: Stage) -> Needs:
        """What a job of a stage needs of this machine."""
        own = self.stage.get(stage, StageTable())
        return Needs({**self.commands, **own.commands}, {**self.options, **own.options}, {**self.incar, **own.incar})


class Needs:
    """What a stage needs of its machine: how engines are started, the scheduler's options, the machine's tags."""

    def __init__(self, commands: dict[Program, str], options: Options, incar: dict[str, Tag]) -> None:
        self.commands, self.options, self.incar = commands, options, incar


def user_sites_file() -> Path:
    """``~/.config/kalloy/sites.toml``."""
    return Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "kalloy" / "sites.toml"


def user_sites() -> dict[str, Any]:
    """The tables of the user's own machines by name, as they are written; empty without a sites.toml.

    Raises
    ------
    SpecError
        Where sites.toml is no TOML, or holds anything but ``[site.NAME]``.
    """
    path = user_sites_file()
    if not path.is_file():
        return {}
    try:
        sites = tomllib.loads(read_user_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"not valid TOML: {why_unreadable(error)}", where=str(path)) from None
    if wrong := [key for key in sites if key != "site"]:
        raise SpecError(f"unknown key '{wrong[0]}'", where=str(path), mend="write tables [site.NAME]")
    found = sites.get("site", {})
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise SpecError("'site' is no table of machines", where=str(path), mend="write tables [site.NAME]")
    return found


def with_user_sites(raw: Any) -> Any:
    """A kalloy.toml's content, the table of the user's own machine that it uses added where it has none of that name.

    Raises
    ------
    SpecError
        As `user_sites`.
    """
    if not isinstance(raw, dict):
        return raw
    known = user_sites()
    used = raw.get("calculation", {}).get("site") if isinstance(raw.get("calculation"), dict) else None
    if used in known and used not in raw.get("site", {}):
        return {**raw, "site": {**raw.get("site", {}), used: known[used]}}
    return raw
