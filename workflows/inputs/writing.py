"""Attempts on disk: each folder is written whole and shown by one rename; many are synced at once."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.attempt import WRITTEN, Attempt, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import STOPS, json_text, read_record, sync, write_text, write_unsynced
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.contcar import is_whole
from kalloy.workflows.inputs.kpoints import mesh_warnings
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.poscar import poscar_text
from kalloy.workflows.inputs.potcar import has_only_spec
from kalloy.workflows.inputs.potcar_library import has_library
from kalloy.workflows.inputs.stage import Stage, Takes
from kalloy.workflows.members import Member

MEMBER_FILE = "member.json"
AT_ONCE = 500
"""Attempts that are synced together; a kill leaves at most so many hidden folders behind, and no half attempt."""


@dataclass(frozen=True)
class Asked:
    """One attempt to be written."""

    member: Member
    stage: Stage
    after: Attempt | None = None
    """The attempt that it repeats; a relaxation goes on from its CONTCAR where that is complete."""


def write_attempt(
    campaign: Campaign, member: Member, stage: Stage, *, path: BandPath | None = None, after: Attempt | None = None
) -> Attempt:
    """Write the next attempt of a calculation.

    Parameters
    ----------
    path : the set's band path, for a stage on a path.
    after : the attempt that this one repeats; a relaxation goes on from its CONTCAR where that is complete.

    Returns
    -------
    The attempt; its folder appears whole, by one rename.
    """
    [written] = write_attempts(campaign, [Asked(member, stage, after)], path=path)
    return written


def write_attempts(
    campaign: Campaign,
    asked: Iterable[Asked],
    *,
    path: BandPath | None = None,
    tell: Callable[[int], None] = lambda written: None,
) -> list[Attempt]:
    """Write many attempts.

    Their files are written in hidden folders without syncing each, which would take most of the time; what a batch of
    them holds is brought to the disk at once, and only then is each shown by its rename. So a folder that is there is
    whole, whether the process is killed or the power fails.

    Parameters
    ----------
    path : the set's band path, for stages on a path.
    tell : hears how many are written, after every batch.
    """
    composer, left, done = Composer(campaign), iter(asked), list[Attempt]()
    while batch := list(islice(left, AT_ONCE)):
        prepared = _prepare_all(composer, batch, path)
        try:
            sync([file for p in prepared for file in p.files])
            for p in prepared:
                for part, whole in p.renames:
                    part.rename(whole)
        except STOPS:
            _take_away(prepared)
            raise
        sync([folder for p in prepared for folder in p.folders])
        done += [Attempt(p.folder) for p in prepared]
        tell(len(done))
    return done


@dataclass(frozen=True)
class _Prepared:
    folder: Path
    files: list[Path]
    renames: list[tuple[Path, Path]]
    """What lies there under a hidden name, and its name; the member's record before the attempt."""

    @property
    def folders(self) -> list[Path]:
        return [whole.parent for _, whole in self.renames]


def _prepare_all(composer: Composer, batch: Iterable[Asked], path: BandPath | None) -> list[_Prepared]:
    """What is prepared when one of them is refused, or the disk is full, is taken away: nobody has seen it."""
    prepared: list[_Prepared] = []
    try:
        for one in batch:
            _prepare(composer, one, path, prepared)
    except STOPS:
        _take_away(prepared)
        raise
    return prepared


def _take_away(prepared: Iterable[_Prepared]) -> None:
    for part, _ in (names for p in prepared for names in p.renames):
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


def _prepare(composer: Composer, asked: Asked, path: BandPath | None, prepared: list[_Prepared]) -> None:
    """Everything of an attempt but its name; on the list before the first of its files is written."""
    from kalloy.workflows.prescreen.start import starting_crystal  # which writes its own POSCARs

    campaign, member, stage, after = composer.campaign, asked.member, asked.stage, asked.after
    parents = member.parents(stage, campaign.spec.stages)
    texts, listed, datasets = composer.files(member, stage, path)
    more: dict[str, Any] = {"asked": composer.asked(member, stage, path), **datasets, **listed}
    start = _relaxed_so_far(after, member) if stage.is_relaxation and after else None
    if not any(Takes.STRUCTURE in parent.takes for parent in parents):
        crystal, origin = starting_crystal(campaign, member)
        texts["POSCAR"] = poscar_text(start[1] if start else crystal, member.label)
        more |= {"start": origin} if origin and not start else {}
    if after:
        more["after"] = {"attempt": after.folder.name, "goes_on_from": start[0] if start else "POSCAR"}
    calculation = campaign.calculation(member.label, stage)
    described = _member_record(campaign, member)
    number = max((a.number for a in attempts(calculation)), default=0) + 1
    folder = calculation / f"a{number:02d}"
    part = calculation / f".{folder.name}.{secrets.token_hex(4)}.part"
    hashes = {name: sha256(texts[name].encode()).hexdigest() for name in sorted(texts)}
    record = composer.record(member, stage, number, parents, hashes)
    texts[WRITTEN] = json_text(record | more)
    own = [(hidden, whole) for hidden, whole, _ in described]
    files = [*(hidden for hidden, _ in own), *(part / name for name in texts)]
    prepared.append(_Prepared(folder, files, [*own, (part, folder)]))
    part.mkdir(parents=True)
    for hidden, text in (*((h, t) for h, _, t in described), *((part / name, text) for name, text in texts.items())):
        write_unsynced(hidden, text)


def is_outdated(composer: Composer, member: Member, stage: Stage, path: BandPath | None, attempt: Attempt) -> bool:
    """Whether a written attempt asks for something else than would be written now.

    Also where it names its datasets only, having been written before there was a library.
    """
    written = attempt.written
    if written["engine"] != composer.campaign.spec.calculation.engine:
        return True
    return bool(written["asked"] != composer.asked(member, stage, path)) or (
        has_library() and has_only_spec(attempt.folder)
    )


def _relaxed_so_far(after: Attempt, member: Member) -> tuple[str, Crystal] | None:
    """The last structure of an interrupted relaxation, and its file: CONTCAR where that is complete.

    A relaxation that was begun anew has in its POSCAR how far it had come by then.
    """
    from pymatgen.io.vasp.inputs import Poscar

    for name in ("CONTCAR", "POSCAR") if (after.folder / "run1").is_dir() else ("CONTCAR",):
        path = after.folder / name
        if not path.is_file() or not is_whole(path.read_text(encoding="utf-8", errors="replace"), len(member.crystal)):
            continue
        try:
            crystal = Crystal.from_pymatgen(Poscar.from_file(path, check_for_potcar=False).structure)
        except (ValueError, IndexError):  # cut off in the middle of a line
            continue
        if crystal.species == member.crystal.species:
            return name, crystal
    return None


def write_member(campaign: Campaign, member: Member) -> None:
    """The member's own record; a folder that holds another member's is refused."""
    for _, whole, text in _member_record(campaign, member):
        write_text(whole, text)


def _member_record(campaign: Campaign, member: Member) -> list[tuple[Path, Path, str]]:
    """A hidden name for the record, its own name and its text; nothing where it is there."""
    path = campaign.root / member.label / MEMBER_FILE
    if path.is_file():
        if read_record(path, "identity")["identity"] != member.identity:
            raise CampaignError(
                f"folder '{member.label}' belongs to another structure than kalloy.toml now asks for",
                where=str(path),
                mend="start a new campaign for a new host, cell or substitution",
            )
        return []
    record = {
        "schema": 1,
        "label": member.label,
        "kind": member.kind,
        "of": member.of,
        "identity": member.identity,
        "formula": member.crystal.formula,
        "degeneracy": member.degeneracy,
        "space_group": member.space_group,
        "occupation": list(member.configuration.occupation) if member.configuration else None,
        "recipe": member.recipe,
    }
    return [(path.with_name(f".{path.name}.{secrets.token_hex(4)}.part"), path, json_text(record))]


def warnings_of(campaign: Campaign) -> list[str]:
    """What a person should know before computing with these inputs: one line each."""
    asked = {stage: campaign.preset.kpoints[stage] for stage in campaign.spec.stages}
    return [*campaign.host.warnings, *mesh_warnings(asked, campaign.host.crystal)]
