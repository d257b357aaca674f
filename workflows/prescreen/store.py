"""Where a model's results lie: one small record and one structure a member, each written whole, none ever again.

``prescreen/chgnet-3f2a9c1e/model.json`` says which model it is, ``…/K03/c41.json`` what it found and ``…/K03/c41.vasp``
where the atoms went. Another model, version or criterion has another folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kalloy.errors import CampaignError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.attempt import now
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of, read_record, write_json, write_text
from kalloy.workflows.inputs.poscar import poscar_text
from kalloy.workflows.members import Member
from kalloy.workflows.prescreen.models import Model, model_of
from kalloy.workflows.prescreen.relaxation import Relaxed
from kalloy.workflows.prescreen.table import PrescreenTable

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class Record:
    """What a model found for one member."""

    member: str
    energy_eV: float
    """Of the cell."""
    lattice_A: list[list[float]]
    """Rows a, b, c."""
    volume_A3: float
    lengths_A: list[float]
    """a, b, c."""
    space_group: str
    """Of the relaxed structure, Hermann–Mauguin, within 0.01 Å."""
    largest_force_eV_A: float
    largest_stress_GPa: float
    steps: int
    converged: bool
    cpu_seconds: float
    wall_seconds: float


class Store:
    """The folder of one model in a campaign."""

    def __init__(self, root: Path, model: Model) -> None:
        self.root, self.model = root, model

    @property
    def folder(self) -> Path:
        """``prescreen/chgnet-3f2a9c1e``."""
        return self.root / "prescreen" / self.model.key

    def path(self, member: str, suffix: str) -> Path:
        """The record (``.json``) or the structure (``.vasp``) of a member."""
        return self.folder / f"{member}{suffix}"

    def write_model(self, table: PrescreenTable) -> None:
        """Say which model the folder belongs to, once."""
        from kalloy import __version__

        if not (self.folder / MODEL_FILE).is_file():
            asked = table.model_dump(exclude={"keep"})
            record = {"schema": 1, "kalloy": __version__, "made": now(), "asked": asked, "model": self.model.to_json()}
            write_json(self.folder / MODEL_FILE, record)

    def save(self, member: str, identity: str, relaxed: Relaxed) -> None:
        """Write structure and record, the record last: what has one is done."""
        from kalloy.structures.symmetry import space_group

        structure = self.path(member, ".vasp")
        write_text(structure, poscar_text(relaxed.crystal, f"{member}, relaxed by {self.model.name}"))
        crystal = relaxed.crystal
        record = Record(
            member=member,
            energy_eV=relaxed.energy_eV,
            lattice_A=crystal.lattice.tolist(),
            volume_A3=crystal.volume,
            lengths_A=list(crystal.lengths),
            space_group=space_group(crystal).symbol,
            largest_force_eV_A=relaxed.largest_force_eV_A,
            largest_stress_GPa=relaxed.largest_stress_GPa,
            steps=relaxed.steps,
            converged=relaxed.converged,
            cpu_seconds=relaxed.cpu_seconds,
            wall_seconds=relaxed.wall_seconds,
        )
        own = {"schema": 1, "identity": identity, "made": now(), "structure_sha256": hash_of(structure)}
        write_json(self.path(member, ".json"), own | vars(record))

    def record(self, member: Member) -> Record | None:
        """What was found for a member; None where nothing is yet.

        Raises
        ------
        CampaignError
            Where the record belongs to another structure than kalloy.toml now asks for.
        """
        path = self.path(member.label, ".json")
        if not path.is_file():
            return None
        raw = read_record(path, *Record.__dataclass_fields__)
        if raw.get("identity") != member.identity:
            raise CampaignError(
                f"holds another structure than kalloy.toml now asks for as {member.label}",
                where=str(path),
                mend="start a new campaign for a new host, cell or substitution",
            )
        return Record(**{name: raw[name] for name in Record.__dataclass_fields__})

    def records(self, members: Iterable[Member]) -> dict[str, Record]:
        """All that are there, by member, in the members' order."""
        return {m.label: found for m in members if (found := self.record(m)) is not None}

    def crystal(self, member: Member) -> Crystal:
        """The relaxed structure, atoms in the order of the member's.

        Raises
        ------
        CampaignError
            Where it is not there, or not the one that the record was made with.
        """
        from pymatgen.io.vasp.inputs import Poscar

        path = self.path(member.label, ".vasp")
        raw = read_record(self.path(member.label, ".json"), "structure_sha256")
        if not path.is_file() or hash_of(path) != raw["structure_sha256"]:
            mend = f"move {path.with_suffix('.json').name} away and run `kalloy prescreen` again"
            raise CampaignError("is not the structure that the model left", where=str(path), mend=mend)
        return Crystal.from_pymatgen(Poscar.from_file(path, check_for_potcar=False).structure)


def prescreened_members(campaign: Campaign) -> list[Member]:
    """The host and every configuration: whom a prescreen relaxes."""
    return [m for m in campaign.members.values() if m.is_host or m.is_ranked]


def store_of(campaign: Campaign) -> Store:
    """The store of the model that the campaign asks for, as it is installed here."""
    return Store(campaign.root, model_of(campaign.spec.prescreen, campaign.root))


def finished_store(campaign: Campaign) -> Store:
    """A store that holds every member, made as the campaign asks: what selections and starts are read from.

    The model itself need not be installed. Where several versions of it have done the work, the last one counts.

    Raises
    ------
    CampaignError
        Where the prescreen is not done.
    """
    asked = campaign.spec.prescreen.model_dump(exclude={"keep"})
    files = (campaign.root / "prescreen").glob(f"*/{MODEL_FILE}")
    made = sorted(
        (r for f in files if (r := read_record(f, "asked", "made", "model"))["asked"] == asked), key=lambda r: r["made"]
    )
    stores = [Store(campaign.root, Model.from_json(r["model"])) for r in made]
    members = prescreened_members(campaign)
    missing = [len(members) - len(store.records(members)) for store in stores]
    for store, number in zip(reversed(stores), reversed(missing), strict=True):
        if number == 0:
            return store
    left = min(missing, default=len(members))
    raise CampaignError(
        f"the prescreen is not done: {left} of {len(members)} members have not been relaxed by "
        f"{campaign.spec.prescreen.model}",
        mend="kalloy prescreen",
    )
