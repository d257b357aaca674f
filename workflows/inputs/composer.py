"""What the inputs of a campaign's members say; what is equal over members is composed once."""

from __future__ import annotations

import json
from functools import cached_property
from hashlib import sha256
from typing import Any

from kalloy.errors import CampaignError, InputError
from kalloy.workflows.attempt import SCHEMA, now
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs import potcar
from kalloy.workflows.inputs.incar import IncarTags, compose
from kalloy.workflows.inputs.kpoints import kpoints_files, mesh_of
from kalloy.workflows.inputs.member_mesh import member_mesh
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.point_list import asked_lines
from kalloy.workflows.inputs.preset import LineSettings
from kalloy.workflows.inputs.stage import Program, Stage
from kalloy.workflows.members import Member, Parent

_SYSTEM = "\0"
"""Stands for SYSTEM, the one tag that differs between the members of a stage."""


class Composer:
    """Composes inputs for one campaign.

    Meant for one round of writing: it keeps what it found in the user's POTCAR library.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._incars: dict[tuple[Stage, tuple[tuple[str, int], ...]], tuple[IncarTags, str]] = {}
        self._meshes: dict[tuple[Stage, str | None], tuple[Mesh | None, str]] = {}
        self._kpoints: dict[tuple[Stage, str | None], dict[str, str]] = {}
        self._potcars: dict[tuple[str, ...], tuple[potcar.Potcars, tuple[str, str], list[dict[str, Any]]]] = {}
        self._records: dict[tuple[Stage, str | None], dict[str, Any]] = {}

    # -- files -------------------------------------------------------------------------

    def files(
        self, member: Member, stage: Stage, path: BandPath | None
    ) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """INCAR, KPOINTS and POTCAR of a member's stage.

        Returns
        -------
        Names and contents; what the record says of the k-points, so that they can be completed from it alone, and of
        the datasets: titles, hashes, valences, origin.
        """
        files = {"INCAR": self.incar(member, stage), **self.kpoints(member, stage, path)}
        lines = self._lines(member, stage, path)
        listed = {"kpoints": lines} if lines else {}
        if self.campaign.spec.calculation.engine != "vasp":
            return files, listed, {"datasets": []}
        found, (name, text), datasets = self._potcar(member)
        origin = {"datasets": datasets, "potcar": found.origin(member.crystal.composition)}
        return files | {name: text}, listed, origin

    def incar(self, member: Member, stage: Stage) -> str:
        """INCAR as VASP reads it."""
        _, text = self._tags(member, stage)
        return text.replace(_SYSTEM, self._system(member, stage))

    def tags(self, member: Member, stage: Stage) -> IncarTags:
        """The whole INCAR and where each tag comes from."""
        found, _ = self._tags(member, stage)
        system = {"SYSTEM": self._system(member, stage)} if found.tags["SYSTEM"] == _SYSTEM else {}
        return IncarTags({**found.tags, **system}, found.machine, found.own)

    def _tags(self, member: Member, stage: Stage) -> tuple[IncarTags, str]:
        composition = member.crystal.composition
        key = stage, tuple(composition.items())
        if key not in self._incars:
            spec, preset = self.campaign.spec, self.campaign.preset
            own = spec.calculation.own_tags(stage)
            found = compose(preset, stage, spec.machine.for_stage(stage).incar, own, _SYSTEM, composition)
            self._incars[key] = found, found.text
        return self._incars[key]

    def _system(self, member: Member, stage: Stage) -> str:
        return f"{member.label} {member.crystal.formula} {stage} ({self.campaign.spec.calculation.preset})"

    def kpoints(self, member: Member, stage: Stage, path: BandPath | None) -> dict[str, str]:
        """KPOINTS, and KPOINTS_OPT where asked for; nothing where they wait for the relaxed structure."""
        settings = self.campaign.preset.kpoints[stage]
        if isinstance(settings, LineSettings):
            _required(path, stage).require_same_directions(member.crystal.lattice, member.label)
        key = stage, self._phase(member)
        if key not in self._kpoints or path is not None:
            mesh, words = self.mesh(member, stage)
            files = kpoints_files(settings, mesh, self.campaign.host.crystal, path, words)
            if "KPOINTS_OPT" in files and self.campaign.spec.calculation.engine != "vasp":
                raise InputError(
                    f"the preset puts the path of '{stage}' into KPOINTS_OPT, which is VASP's alone",
                    where=f"preset {self.campaign.preset.name}",
                    mend='say as: line, or engine = "vasp"',
                )
            self._kpoints[key] = files
        return self._kpoints[key]

    def _lines(self, member: Member, stage: Stage, path: BandPath | None) -> dict[str, Any]:
        settings = self.campaign.preset.kpoints[stage]
        if not isinstance(settings, LineSettings):
            return {}
        mesh, words = self.mesh(member, stage)
        return asked_lines(settings, mesh, _required(path, stage), words)

    def mesh(self, member: Member, stage: Stage) -> tuple[Mesh | None, str]:
        """The mesh of a stage, where it has one, and the comment that says where it comes from."""
        key = stage, self._phase(member)
        if key not in self._meshes:
            title = f"{self.campaign.preset.name}: {stage}"
            settings = mesh_of(self.campaign.preset.kpoints[stage])
            mesh, origin = member_mesh(self.campaign, member, stage, settings) if settings else (None, "")
            self._meshes[key] = mesh, f"{title}, {origin}" if origin else title
        return self._meshes[key]

    def _phase(self, member: Member) -> str | None:
        """Members in the host's cell have one mesh, a reference phase has its own."""
        return None if self.campaign.phase(member) is None else member.label

    def potcars(self, member: Member) -> potcar.Potcars:
        """The POTCAR of a member, or its names; raises `VaspInputError` where the user's library lacks one of them."""
        return self._potcar(member)[0]

    def _potcar(self, member: Member) -> tuple[potcar.Potcars, tuple[str, str], list[dict[str, Any]]]:
        elements = tuple(member.crystal.composition)
        if elements not in self._potcars:
            found = potcar.potcars(potcar_choice(self.campaign, member), potcar_functional(self.campaign))
            self._potcars[elements] = found, found.file, found.to_json()
        return self._potcars[elements]

    def kpoints_text(self, member: Member, stage: Stage, path: BandPath | None) -> str | None:
        """KPOINTS; None where it waits: for the path of the set, or for the relaxed structure."""
        if path is None and isinstance(self.campaign.preset.kpoints[stage], LineSettings):
            return None
        return self.kpoints(member, stage, path).get("KPOINTS")

    # -- records -----------------------------------------------------------------------

    def asked(self, member: Member, stage: Stage, path: BandPath | None) -> str:
        """A hash of INCAR, KPOINTS and datasets as they would be written now."""
        text = self.incar(member, stage) + "".join(self.kpoints(member, stage, path).values())
        if lines := self._lines(member, stage, path):
            text += json.dumps(lines)
        if self.campaign.spec.calculation.engine == "vasp":
            text += potcar_choice(self.campaign, member).spec + str(potcar_functional(self.campaign))
        return sha256(text.encode()).hexdigest()

    def record(
        self, member: Member, stage: Stage, number: int, parents: tuple[Parent, ...], hashes: dict[str, str]
    ) -> dict[str, Any]:
        """What attempt.json says of every attempt.

        Parameters
        ----------
        hashes : of the files that were written with it.
        """
        key = stage, self._phase(member)
        if key not in self._records:
            self._records[key] = self._common(member, stage)
        return {
            "schema": SCHEMA,
            "written": now(),
            "member": member.label,
            "identity": member.identity,
            "configuration": list(member.configuration.occupation) if member.configuration else None,
            "stage": stage,
            "attempt": number,
            **self._records[key],
            "parents": [parent.to_json() for parent in parents],
            "inputs": hashes,
        }

    def _common(self, member: Member, stage: Stage) -> dict[str, Any]:
        from kalloy import __version__

        campaign, tags, program = self.campaign, self.tags(member, stage), self._program(member, stage)
        calculation, host, preset = campaign.spec.calculation, campaign.host, campaign.preset
        nbands, restarts = preset.nbands.get(stage), preset.relax_restarts if stage.is_relaxation else None
        return {
            "kalloy": __version__,
            "engine": calculation.engine,
            "program": program,
            "command": campaign.commands[program],
            "preset": {"name": calculation.preset, "dated": preset.dated, "sha256": self._preset_hash},
            "host": {"structure": campaign.spec.host.structure, "cell": host.cell, "source": host.source},
            "substitution": [t.model_dump(by_alias=True, exclude_none=True) for t in campaign.spec.substitution],
            "tags_of_the_machine": list(tags.machine),
            "tags_of_the_user": list(tags.own),
            # What completion and execution need of preset and campaign, for they see the attempt's folder alone.
            "dos_window_eV": list(preset.dos_window),
            "nbands": nbands.model_dump(exclude_none=True) if nbands else None,
            "charge_density": preset.charge_density,
            "relax_restarts": restarts.model_dump() if restarts else None,
            "corrections": campaign.corrections,
        }

    def _program(self, member: Member, stage: Stage) -> Program:
        mesh, _ = self.mesh(member, stage)
        lines = isinstance(self.campaign.preset.kpoints[stage], LineSettings)
        gamma_only = not lines and mesh is not None and mesh.divisions == (1, 1, 1) and mesh.holds_gamma
        return stage.program(self.campaign.spec.calculation.engine, gamma_only=gamma_only)

    @cached_property
    def _preset_hash(self) -> str:
        return sha256(self.campaign.preset.model_dump_json().encode()).hexdigest()


def _required(path: BandPath | None, stage: Stage) -> BandPath:
    if path is None:
        raise CampaignError(f"stage '{stage}' has no band path", mend="run `kalloy select` for its step first")
    return path


def potcar_choice(campaign: Campaign, member: Member) -> potcar.PotcarChoice:
    """The datasets of a member's elements: the user's own, else the preset's."""
    return potcar.choose(campaign.preset, list(member.crystal.composition), campaign.spec.calculation.potcar)


def potcar_functional(campaign: Campaign) -> str | None:
    """The release of VASP's datasets that kalloy.toml or the preset asks for."""
    return campaign.spec.calculation.potcar_functional or campaign.preset.potcar_functional
