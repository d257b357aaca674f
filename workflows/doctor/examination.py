"""The whole examination, group by group, in the order in which one would mend things."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from kalloy.compiled import cache_folder
from kalloy.errors import InputError, KalloyError, SpecError, VaspInputError
from kalloy.workflows.campaign import SPEC_FILE, Campaign, with_usual
from kalloy.workflows.doctor import engines, folders, interruptions, locks, machine, potcars, remote, schedulers
from kalloy.workflows.doctor.finding import Finding, Mark, failure, ok, warning
from kalloy.workflows.doctor.installation import examine_installation
from kalloy.workflows.elsewhere import AT_SITE
from kalloy.workflows.inputs.potcar import choose
from kalloy.workflows.inputs.stage import Program
from kalloy.workflows.spec_sites import Needs, SiteTable, user_sites, user_sites_file
from kalloy.workflows.submission.script import job_script
from kalloy.workflows.validation import explain


@dataclass(frozen=True)
class Group:
    """Findings that belong together; nothing is looked at before they are asked for."""

    name: str
    findings: Callable[[], Iterable[Finding]]

    def look(self) -> Iterator[Finding]:
        """Its findings; what keeps kalloy from looking is one of them, and the other groups go on."""
        try:
            yield from self.findings()
        except KalloyError as error:
            place = f"{error.where}: " if error.where else ""
            yield failure(self.name, f"{place}{error.what}", error.mend or "mend it and look again")
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            yield failure(self.name, f"{place}{error.strerror or error}", "see that it can be read")


def groups(folder: Path | None) -> Iterator[Group]:
    """Every group, for a campaign or without one.

    Parameters
    ----------
    folder : a campaign's; None to look at the installation, this machine and the user's own sites alone.

    Raises
    ------
    InputError
        Where the folder holds no kalloy.toml.
    """
    if folder is not None and not (folder / SPEC_FILE).is_file():
        raise InputError(f"no {SPEC_FILE} in '{folder}'", mend="name a campaign folder, or none at all")
    yield Group("installation", examine_installation)
    yield Group("this machine", machine.examine_machine)
    campaign: Campaign | None = None
    if folder is not None:
        campaign, found = opened(folder)
        yield Group("campaign", partial(iter, found))
    yield Group("folders", partial(examine_folders, folder or Path.cwd(), campaign is not None or folder is not None))
    tables, wrong = sites(campaign)
    if wrong:
        yield Group("sites", partial(iter, wrong))
    yield Group("engines", partial(examine_engines, campaign, tables))
    for name, table in tables.items():
        if table.scheduler != "local" or _is_far(name, table):
            yield Group(f"site {name}", partial(examine_site, campaign, name, table))
    if campaign is not None:
        yield Group("interruptions", partial(interruptions.interruptions, campaign))


def opened(folder: Path) -> tuple[Campaign | None, list[Finding]]:
    """The campaign, or why it cannot be opened."""
    try:
        campaign = Campaign(folder)
    except KalloyError as error:
        place = f"{error.where}: " if error.where else ""
        return None, [failure(SPEC_FILE, f"{place}{error.what}", error.mend or "mend it")]
    calculation = campaign.spec.calculation
    asked = f"preset {calculation.preset}, engine {calculation.engine}, site {calculation.site}"
    words = f"{campaign.host.name} ({campaign.host.crystal.formula}), {asked}"
    return campaign, [ok(SPEC_FILE, words)]


def sites(campaign: Campaign | None) -> tuple[dict[str, SiteTable], list[Finding]]:
    """Every site's table by name: the campaign's own, then those of sites.toml; and what is wrong with these."""
    found = dict(campaign.spec.site) if campaign else {}
    if campaign:
        found.setdefault(campaign.spec.calculation.site, campaign.spec.machine)
    wrong: list[Finding] = []
    try:
        known = user_sites()
    except SpecError as error:
        return found, [failure("sites.toml", error.what, error.mend or f"mend {user_sites_file()}")]
    for name, raw in known.items():
        try:
            found.setdefault(name, SiteTable.model_validate(raw))
        except ValidationError as error:
            wrong.append(
                failure("sites.toml", f"[site.{name}] {explain(error, SiteTable)}", f"mend {user_sites_file()}")
            )
    return found, wrong


def examine_folders(folder: Path, is_campaign: bool) -> Iterator[Finding]:
    """Where things are written, the campaign's own folder most of all."""
    folder = folder.resolve()
    subject = "campaign folder" if is_campaign else "this folder"
    bad = Mark.FAILURE if is_campaign else Mark.WARNING
    yield folders.writable(subject, folder, bad, "move the campaign where you may write")
    yield from folders.space("room", folder)
    yield folders.file_system("file system", folder, folders.mountinfo())
    yield from locks.locks(folder)
    if found := machine.clock_of_files("clock of the files", folder):
        yield found
    if found := machine.future(folder, time.time()):
        yield found
    yield folders.temporary()
    cache = folders.existing(cache_folder())
    mend = "name another in XDG_CACHE_HOME; without one, kernels are not compiled and run slower"
    yield folders.writable("cache folder", cache, Mark.WARNING, mend)
    yield readable("configuration", user_sites_file())


def readable(subject: str, path: Path) -> Finding:
    """The user's own machines, if there are any."""
    if path.is_file() and not os.access(path, os.R_OK):
        return warning(subject, f"{path} cannot be read", f"chmod u+r {path}")
    return ok(subject, f"{path}" if path.is_file() else f"no {path}; it may hold [site.NAME] for all campaigns")


def examine_engines(campaign: Campaign | None, tables: dict[str, SiteTable]) -> Iterator[Finding]:
    """What computes: where a campaign says what, that is needed; all else may be missing."""
    used = campaign.spec.calculation.site if campaign else None
    away = used is not None and _is_far(used, tables[used])
    engine = campaign.spec.calculation.engine if campaign else None
    yield engines.free_engine(elements(campaign) if campaign else [], needed=engine == "gpaw" and not away)
    for name, table in tables.items():
        if not _is_far(name, table):
            yield from engines.commands(name, table, _asked(campaign, name, table), needed=name == used)
    here = tables.get(used or "local")
    if here and here.scheduler == "local" and not away:
        yield from schedulers.limit_of_jobs(used or "local", here)
    yield from _potcars(campaign, needed=engine == "vasp" and not away)
    if campaign and campaign.spec.needs_prescreen:
        yield prescreen(campaign)


def _asked(campaign: Campaign | None, site: str, table: SiteTable) -> dict[Program, str]:
    """How the builds are started that a campaign needs there; without one, those that the table names."""
    if campaign is None or campaign.spec.calculation.site != site:
        return {p: text for p, text in table.commands.items() if p is not Program.GPAW}
    if campaign.spec.calculation.engine != "vasp":
        return {}
    stages = campaign.spec.stages
    found = {stage.program("vasp"): with_usual(table.for_stage(stage).commands) for stage in stages}
    named = {program: texts[program] for program, texts in found.items()}
    return named | {p: t for p, t in table.commands.items() if p is Program.GAMMA_ONLY}


def elements(campaign: Campaign) -> list[str]:
    """Of the host, of what is put in, and of the reference phases, in the order of their mention."""
    names = dict.fromkeys(campaign.host.crystal.composition)
    names |= dict.fromkeys(s.with_ for s in campaign.spec.substitution if s.with_ != "vacancy")
    for member in campaign.reference_members:
        names |= dict.fromkeys(member.crystal.composition)
    return list(names)


def _potcars(campaign: Campaign | None, needed: bool) -> Iterator[Finding]:
    calculation = campaign.spec.calculation if campaign else None
    if campaign is None or calculation is None or not needed:
        yield from potcars.library(None, [], needed=False)
        return
    try:
        names = choose(campaign.preset, elements(campaign), calculation.potcar).symbols
    except VaspInputError as error:
        yield potcars.unasked(error)
        names = ()
    asked = calculation.potcar_functional or campaign.preset.potcar_functional
    yield from potcars.library(asked, names, needed)


def prescreen(campaign: Campaign) -> Finding:
    """The model that kalloy.toml names, found without loading it."""
    from kalloy.workflows.prescreen.models import model_of

    try:
        model = model_of(campaign.spec.prescreen, campaign.root)
    except KalloyError as error:
        return failure("prescreen", error.what, error.mend or "name another in [prescreen]")
    return ok("prescreen", model.words)


def examine_site(campaign: Campaign | None, name: str, table: SiteTable) -> Iterator[Finding]:
    """A machine with a queue, or one behind ssh."""
    used = campaign is not None and campaign.spec.calculation.site == name
    needed = used or campaign is None
    if _is_far(name, table):
        reached = list(remote.ssh_site(name, table, needed))
        yield from reached
        if campaign and used and all(f.mark is not Mark.FAILURE for f in reached):
            yield from remote.far_findings(campaign, name, table)
        return
    try:
        scripts = job_scripts(campaign) if campaign and used else [schedulers.bare_script(table)]
    except SpecError as error:
        yield schedulers.unreadable(name, error)
        scripts = []
    yield from schedulers.scheduler(name, table, scripts, needed)
    vasp = campaign.spec.calculation.engine == "vasp" if campaign and used else bool(table.commands)
    if vasp and table.script is None:
        yield machine.threads_of_jobs(name, table.setup, os.environ.get(machine.THREADS))


def job_scripts(campaign: Campaign) -> list[tuple[Needs, str]]:
    """The campaign's own job script for each set of options that its stages ask for."""
    needs = [campaign.spec.machine.for_stage(stage) for stage in campaign.spec.stages]
    different = {repr(sorted(n.options.items(), key=str)): n for n in needs}
    return [(n, job_script(campaign, campaign.batches / schedulers.TAG, 2, n)) for n in different.values()]


def _is_far(name: str, table: SiteTable) -> bool:
    """Whether it is reached over ssh; at the far end it is the machine itself."""
    return table.ssh is not None and os.environ.get(AT_SITE) != name
