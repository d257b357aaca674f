"""A folder becomes an attempt: copied or linked, never moved, with what it was and how it lies on record."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalloy.errors import KalloyError
from kalloy.structures.matching import MOST_STRAIN
from kalloy.workflows.adoption.finding import Owner, find_owner
from kalloy.workflows.adoption.reading import Found, Refusal, read, stage_of
from kalloy.workflows.adoption.settings import RESTARTS, Differences, differences, in_asked_mesh, mesh_in_basis
from kalloy.workflows.attempt import WRITTEN, Attempt, Outcome, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import STOPS, hash_of, write_json, write_text
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.poscar import poscar_text
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_member
from kalloy.workflows.screening.agreement import parse_allowed, plain_name

FILES = (
    *("INCAR", "KPOINTS", "KPOINTS_OPT", "POSCAR", "POTCAR", "POTCAR.spec", "CONTCAR", "OUTCAR", "OSZICAR"),
    *("vasprun.xml", "vaspout.h5", "EIGENVAL", "DOSCAR", "PROCAR", "IBZKPT", "XDATCAR", "WAVEDER", "LOCPOT"),
    *("CHGCAR", "CHG", "AECCAR0", "AECCAR2", "WAVECAR", "gpaw.gpw"),
)
"""What is taken along, compressed or not; whatever else lies in the folder stays where it is."""
OF_THE_ORDER = ("CHGCAR", "CHG", "AECCAR0", "AECCAR2", "WAVECAR", "gpaw.gpw")
"""What a later stage could only read with the folder's own POSCAR."""
NEVER_COPIED = ("WAVECAR",)
"""Tens of gigabytes that no stage takes: linked, or left where they are."""


@dataclass(frozen=True)
class Adoption:
    """One folder and where it would go."""

    found: Found
    owner: Owner
    stage: Stage
    differing: Differences
    """All of them taken on by the user."""

    @property
    def label(self) -> str:
        """``K03/c12/static``."""
        return f"{self.owner.member.label}/{self.stage}"

    @property
    def asked_again(self) -> list[str]:
        """The differences that a ranking meets again."""
        return [name for name in self.differing if name != RESTARTS]

    @property
    def is_as_written(self) -> bool:
        """Whether basis and order of the atoms are the member's, so that its own files serve later stages."""
        same = self.found.end.species == self.owner.member.crystal.species
        return same and self.owner.fit.keeps_basis

    @property
    def mesh(self) -> str | None:
        """The k-mesh in the member's basis, as effective settings spell it; None for points one by one."""
        mesh = mesh_in_basis(self.found.result.vasprun.kpoints, self.owner.fit.basis)
        return f"{mesh.style} {'x'.join(map(str, mesh.divisions))}" if mesh and mesh.style and mesh.divisions else None

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        fit = self.owner.fit
        return {
            "from": str(self.found.folder.resolve()),
            "strain": round(fit.strain, 6),
            "rms_A": round(fit.rms, 6),
            "largest_displacement_A": round(fit.largest, 6),
            "basis": fit.basis.tolist(),
            "k_mesh": self.mesh,
            "differences": {name: {"asked": a, "has": b} for name, (a, b) in self.differing.items()},
        }


def plan(
    campaign: Campaign,
    folder: Path,
    *,
    stage: str | None = None,
    allowed: Iterable[str] = (),
    strain: float = MOST_STRAIN,
) -> Adoption:
    """Decide whose calculation a folder is; nothing is written.

    Parameters
    ----------
    stage : its stage; guessed from its settings unless named.
    allowed : settings whose difference the user takes on (``ENCUT``, ``k-mesh``, ``datasets``, ``restarts``).
    strain : how far its first cell may be from the member's unrelaxed one.

    Raises
    ------
    Refusal
        With the reason: not whole, nobody's, or not made as the campaign asks.
    """
    asked = set(allowed)
    taken_on = parse_allowed(asked - {RESTARTS}) | (asked & {RESTARTS})
    found = read(folder)
    known = stage_of(found, stage, campaign.spec.stages)
    owner = in_asked_mesh(campaign, find_owner(campaign, found, strain), known, found)
    _require_room(campaign, owner.member.label, known, folder)
    differing = differences(campaign, owner, known, found)
    refused = {name: values for name, values in differing.items() if plain_name(name) not in taken_on}
    if refused:
        listed = "; ".join(f"{name} is {has} instead of {asked}" for name, (asked, has) in refused.items())
        flags = " ".join(dict.fromkeys(f"--allow {plain_name(name)}" for name in refused))
        raise Refusal(
            f"is {owner.member.label}/{known}, but was not made as the campaign asks: {listed}",
            where=str(folder),
            mend=f"compute it again, or take the difference on: {flags}",
        )
    return Adoption(found, owner, known, differing)


def _require_room(campaign: Campaign, member: str, stage: Stage, folder: Path) -> None:
    """A calculation that is done, or being done, needs no other."""
    for attempt in attempts(campaign.calculation(member, stage)):
        where = attempt.folder.relative_to(campaign.root)
        if attempt.written.get("adopted", {}).get("from") == str(folder.resolve()):
            raise Refusal(f"was adopted before, as {where}", where=str(folder))
        if attempt.state in (State.DONE, State.RUNNING):
            raise Refusal(f"is {member}/{stage}, which is {attempt.state} already: {where}", where=str(folder))


def adopt(campaign: Campaign, adoption: Adoption, *, link: bool = False) -> Attempt:
    """Make the folder the next attempt of its calculation; it appears whole, by one rename.

    The last structure is written into CONTCAR in the member's own basis and order, where the folder's is in another;
    the folder's own is kept as ``CONTCAR.adopted``. Charge densities and wave functions go with the folder's order of
    atoms, and are left behind where that is not the member's.

    Parameters
    ----------
    link : symbolic links to the folder's files instead of copies.
    """
    member, stage = adoption.owner.member, adoption.stage
    write_member(campaign, member)
    calculation = campaign.calculation(member.label, stage)
    number = max((a.number for a in attempts(calculation)), default=0) + 1
    folder = calculation / f"a{number:02d}"
    part = calculation / f".{folder.name}.{secrets.token_hex(4)}.part"
    part.mkdir(parents=True)
    try:
        hashes = dict(_take(adoption, part, link))
        record = Composer(campaign).record(member, stage, number, (), hashes)
        # What was asked for is not what was computed with: the effective settings speak for themselves.
        record |= {"asked": None, "datasets": [], "adopted": {**adoption.to_json(), "linked": link}}
        write_json(part / WRITTEN, record)
        outputs = {name: digest for name, digest in hashes.items() if name == "vasprun.xml"}
        Attempt(part).finish(Outcome.DONE, cause=None, adopted=str(adoption.found.folder.resolve()), outputs=outputs)
        part.rename(folder)
    except STOPS:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Attempt(folder)


def _take(adoption: Adoption, into: Path, link: bool) -> Iterator[tuple[str, str]]:
    """Bring the files over; their names there and the hashes of what they hold."""
    as_written = adoption.is_as_written
    for source in _files(adoption.found.folder):
        bare = source.name.partition(".gz")[0]
        if (bare in OF_THE_ORDER and not as_written) or (bare in NEVER_COPIED and not link):
            continue
        name = f"{source.name}.adopted" if bare == "CONTCAR" and not as_written else source.name
        target = into / name
        if link:
            target.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, target)
        yield name, hash_of(target)
    if not (into / "CONTCAR").exists():
        end = adoption.owner.fit.carried(adoption.found.end)
        write_text(into / "CONTCAR", poscar_text(end, f"{adoption.label}, adopted"))
        yield "CONTCAR", hash_of(into / "CONTCAR")


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_file() and entry.name.removesuffix(".gz") in FILES:
            yield Path(entry.path)


@dataclass(frozen=True)
class Outcomes:
    """What became of several folders."""

    taken: tuple[tuple[Adoption, Attempt | None], ...]
    """With the attempt that each became; None in a dry run."""
    refused: tuple[tuple[Path, KalloyError], ...]


def adopt_all(
    campaign: Campaign,
    folders: Iterable[Path],
    *,
    stage: str | None = None,
    allowed: Iterable[str] = (),
    strain: float = MOST_STRAIN,
    link: bool = False,
    dry_run: bool = False,
) -> Outcomes:
    """Every folder for itself, one after the other: a refused one keeps none of the others back."""
    taken: list[tuple[Adoption, Attempt | None]] = []
    refused: list[tuple[Path, KalloyError]] = []
    for folder in folders:
        try:
            adoption = plan(campaign, folder, stage=stage, allowed=allowed, strain=strain)
            if dry_run and adoption.label in [a.label for a, _ in taken]:
                raise Refusal(f"is {adoption.label}, as another of these folders", where=str(folder))
            taken.append((adoption, None if dry_run else adopt(campaign, adoption, link=link)))
        except Refusal as error:
            refused.append((folder, error))
        except OSError as error:
            place = error.filename2 or error.filename or folder
            refused.append((folder, Refusal(f"cannot be taken over: {error.strerror}", where=str(place))))
    return Outcomes(tuple(taken), tuple(refused))
