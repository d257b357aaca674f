"""An attempt's folder, written whole: INCAR, KPOINTS, POTCAR and, for a first stage, POSCAR."""

from __future__ import annotations

import json
import secrets
from hashlib import sha256
from typing import Any

from kalloy.errors import CampaignError, InputError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.attempt import SCHEMA, WRITTEN, Attempt, attempts, now
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of, write_json, write_text
from kalloy.workflows.inputs import incar, potcar
from kalloy.workflows.inputs.contcar import is_whole
from kalloy.workflows.inputs.kpoints import kpoints_files, mesh_of, mesh_warnings
from kalloy.workflows.inputs.member_mesh import member_mesh
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.point_list import asked_lines
from kalloy.workflows.inputs.potcar_library import has_library
from kalloy.workflows.inputs.preset import LineSettings, Preset
from kalloy.workflows.inputs.stage import Program, Stage, Takes
from kalloy.workflows.members import Member, Parent

MEMBER_FILE = "member.json"


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
    from kalloy.workflows.prescreen.start import starting_crystal  # which writes its own POSCARs by this module

    parents = member.parents(stage, campaign.spec.stages)
    crystal, origin = None, None
    if not any(Takes.STRUCTURE in parent.takes for parent in parents):
        crystal, origin = starting_crystal(campaign, member)
    files, datasets = _input_files(campaign, member, stage, path)
    write_member(campaign, member)
    calculation = campaign.calculation(member.label, stage)
    number = max((a.number for a in attempts(calculation)), default=0) + 1
    folder = calculation / f"a{number:02d}"
    part = calculation / f".{folder.name}.{secrets.token_hex(4)}.part"
    part.mkdir(parents=True)
    start = _relaxed_so_far(after, member) if stage.is_relaxation and after else None
    if crystal is not None:
        files["POSCAR"] = poscar_text(start[1] if start else crystal, member.label)
    for name, text in files.items():
        write_text(part / name, text)
    hashes = {p.name: hash_of(p) for p in sorted(part.iterdir())}
    record = attempt_record(campaign, member, stage, number, parents, hashes)
    record |= {"asked": asked_inputs(campaign, member, stage, path), **datasets}
    if origin and not start:
        record["start"] = origin
    if lines := _asked_lines(campaign, member, stage, path):
        record["kpoints"] = lines
    if after:
        record["after"] = {"attempt": after.folder.name, "goes_on_from": start[0] if start else "POSCAR"}
    write_json(part / WRITTEN, record)
    part.rename(folder)
    return Attempt(folder)


def asked_inputs(campaign: Campaign, member: Member, stage: Stage, path: BandPath | None) -> str:
    """A hash of INCAR, KPOINTS and datasets as they would be written now: whether an attempt still asks for them."""
    text = incar_tags(campaign, member, stage).text + "".join(_kpoints(campaign, member, stage, path).values())
    if lines := _asked_lines(campaign, member, stage, path):
        text += json.dumps(lines)
    if campaign.spec.calculation.engine == "vasp":
        text += potcar_choice(campaign, member).spec + str(potcar_functional(campaign))
    return sha256(text.encode()).hexdigest()


def is_outdated(campaign: Campaign, member: Member, stage: Stage, path: BandPath | None, attempt: Attempt) -> bool:
    """Whether a written attempt asks for something else than would be written now.

    Also where it names its datasets only, having been written before there was a library.
    """
    written = attempt.written
    if written["engine"] != campaign.spec.calculation.engine or (
        has_library() and potcar.has_only_spec(attempt.folder)
    ):
        return True
    return bool(written["asked"] != asked_inputs(campaign, member, stage, path))


def _input_files(
    campaign: Campaign, member: Member, stage: Stage, path: BandPath | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """Names and contents, and for VASP what goes on record of its datasets: titles, hashes, valences, origin."""
    tags = incar_tags(campaign, member, stage)
    files = {"INCAR": tags.text, **_kpoints(campaign, member, stage, path)}
    if campaign.spec.calculation.engine != "vasp":
        return files, {"datasets": []}
    found = potcars_of(campaign, member)
    name, text = found.file
    return files | {name: text}, {"datasets": found.to_json(), "potcar": found.origin(member.crystal.composition)}


def potcar_choice(campaign: Campaign, member: Member) -> potcar.PotcarChoice:
    """The datasets of a member's elements: the user's own, else the preset's."""
    return potcar.choose(campaign.preset, list(member.crystal.composition), campaign.spec.calculation.potcar)


def potcar_functional(campaign: Campaign) -> str | None:
    """The release of VASP's datasets that kalloy.toml or the preset asks for."""
    return campaign.spec.calculation.potcar_functional or campaign.preset.potcar_functional


def potcars_of(campaign: Campaign, member: Member) -> potcar.Potcars:
    """The POTCAR of a member, or its names; raises `VaspInputError` where the user's library lacks one of them."""
    return potcar.potcars(potcar_choice(campaign, member), potcar_functional(campaign))


def incar_tags(campaign: Campaign, member: Member, stage: Stage) -> incar.IncarTags:
    """The whole INCAR of a member's stage and where each tag comes from."""
    calculation = campaign.spec.calculation
    system = f"{member.label} {member.crystal.formula} {stage} ({calculation.preset})"
    machine, own = campaign.spec.machine.for_stage(stage).incar, calculation.own_tags(stage)
    return incar.compose(campaign.preset, stage, machine, own, system, len(member.crystal))


def kpoints_text(campaign: Campaign, member: Member, stage: Stage, path: BandPath | None) -> str | None:
    """KPOINTS of a member's stage; None where it waits: for the path of the set, or for the relaxed structure."""
    if path is None and isinstance(campaign.preset.kpoints[stage], LineSettings):
        return None
    return _kpoints(campaign, member, stage, path).get("KPOINTS")


def _kpoints(campaign: Campaign, member: Member, stage: Stage, path: BandPath | None) -> dict[str, str]:
    settings = campaign.preset.kpoints[stage]
    if isinstance(settings, LineSettings):
        _required(path, stage).require_same_directions(member.crystal.lattice, member.label)
    mesh, words = _mesh(campaign, member, stage)
    files = kpoints_files(settings, mesh, campaign.host.crystal, path, words)
    if "KPOINTS_OPT" in files and campaign.spec.calculation.engine != "vasp":
        raise InputError(
            f"the preset puts the path of '{stage}' into KPOINTS_OPT, which is VASP's alone",
            where=f"preset {campaign.preset.name}",
            mend='say as: line, or engine = "vasp"',
        )
    return files


def _asked_lines(campaign: Campaign, member: Member, stage: Stage, path: BandPath | None) -> dict[str, Any]:
    """What the record of a stage on a path holds, so that its k-points can be completed from it alone."""
    settings = campaign.preset.kpoints[stage]
    if not isinstance(settings, LineSettings):
        return {}
    mesh, words = _mesh(campaign, member, stage)
    return asked_lines(settings, mesh, _required(path, stage), words)


def _mesh(campaign: Campaign, member: Member, stage: Stage) -> tuple[Mesh | None, str]:
    """The mesh of a stage, where it has one, and the comment that says where it comes from."""
    title = f"{campaign.preset.name}: {stage}"
    settings = mesh_of(campaign.preset.kpoints[stage])
    if settings is None:
        return None, title
    mesh, origin = member_mesh(campaign, member, stage, settings)
    return mesh, f"{title}, {origin}"


def _required(path: BandPath | None, stage: Stage) -> BandPath:
    if path is None:
        raise CampaignError(f"stage '{stage}' has no band path", mend="run `kalloy select` for its step first")
    return path


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


def poscar_text(crystal: Crystal, comment: str) -> str:
    """POSCAR in direct coordinates with sixteen decimals."""
    from pymatgen.io.vasp.inputs import Poscar

    return str(Poscar(crystal.to_pymatgen(), comment=comment).get_str(significant_figures=16))


def attempt_record(
    campaign: Campaign, member: Member, stage: Stage, number: int, parents: tuple[Parent, ...], hashes: dict[str, str]
) -> dict[str, Any]:
    """What attempt.json says of every attempt.

    Parameters
    ----------
    hashes : of the files that were written with it.
    """
    from kalloy import __version__

    calculation = campaign.spec.calculation
    tags = incar_tags(campaign, member, stage)
    program = _program(campaign, member, stage)
    return {
        "schema": SCHEMA,
        "kalloy": __version__,
        "written": now(),
        "member": member.label,
        "identity": member.identity,
        "stage": stage,
        "attempt": number,
        "engine": calculation.engine,
        "program": program,
        "command": campaign.commands[program],
        "preset": {"name": calculation.preset, "dated": campaign.preset.dated, "sha256": _preset_hash(campaign)},
        "tags_of_the_machine": list(tags.machine),
        "tags_of_the_user": list(tags.own),
        **_completion(campaign.preset, stage),
        "corrections": campaign.corrections,
        "host": {"structure": campaign.spec.host.structure, "cell": campaign.host.cell, "source": campaign.host.source},
        "parents": [parent.to_json() for parent in parents],
        "inputs": hashes,
    }


def _program(campaign: Campaign, member: Member, stage: Stage) -> Program:
    mesh, _ = _mesh(campaign, member, stage)
    lines = isinstance(campaign.preset.kpoints[stage], LineSettings)
    gamma_only = not lines and mesh is not None and mesh.divisions == (1, 1, 1) and mesh.holds_gamma
    return stage.program(campaign.spec.calculation.engine, gamma_only=gamma_only)


def _completion(preset: Preset, stage: Stage) -> dict[str, Any]:
    """What completion and execution need of the preset, for they see the attempt's folder alone."""
    nbands = preset.nbands.get(stage)
    restarts = preset.relax_restarts if stage.is_relaxation else None
    return {
        "dos_window_eV": list(preset.dos_window),
        "nbands": nbands.model_dump(exclude_none=True) if nbands else None,
        "charge_density": preset.charge_density,
        "relax_restarts": restarts.model_dump() if restarts else None,
    }


def _preset_hash(campaign: Campaign) -> str:
    return sha256(campaign.preset.model_dump_json().encode()).hexdigest()


def write_member(campaign: Campaign, member: Member) -> None:
    """The member's own record; a folder that holds another member's is refused."""
    from kalloy.workflows.files import read_json

    path = campaign.root / member.label / MEMBER_FILE
    if path.is_file():
        if read_json(path)["identity"] != member.identity:
            raise CampaignError(
                f"folder '{member.label}' belongs to another structure than kalloy.toml now asks for",
                where=str(path),
                mend="start a new campaign for a new host, cell or substitution",
            )
        return
    occupation = list(member.configuration.occupation) if member.configuration else None
    record = {
        "schema": 1,
        "label": member.label,
        "kind": member.kind,
        "of": member.of,
        "identity": member.identity,
        "formula": member.crystal.formula,
        "degeneracy": member.degeneracy,
        "space_group": member.space_group,
        "occupation": occupation,
        "recipe": member.recipe,
    }
    write_json(path, record)


def warnings_of(campaign: Campaign) -> list[str]:
    """What a person should know before computing with these inputs: one line each."""
    asked = {stage: campaign.preset.kpoints[stage] for stage in campaign.spec.stages}
    return [*campaign.host.warnings, *mesh_warnings(asked, campaign.host.crystal)]
