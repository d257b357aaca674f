"""The k-mesh of one member: the preset's for all that share the host's cell, its own for a reference phase."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.kpoints import host_mesh, stated_mesh
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.members import Member


def member_mesh(campaign: Campaign, member: Member, stage: Stage, settings: MeshSettings) -> tuple[Mesh, str]:
    """The mesh of a member's stage, and where it comes from in words (ASCII, for the comment of KPOINTS).

    Parameters
    ----------
    settings : the preset's, which is right for the host's cell.

    Raises
    ------
    InputError
        Where a mesh of another cell (``of``) has no equivalent in the host's.
    """
    phase = campaign.phase(member)
    if phase is None:
        return host_mesh(settings, campaign.host.crystal), settings.plain_words
    if phase.mesh and stage in (Stage.RELAX, Stage.STATIC):
        return Mesh.uniform(phase.mesh, "Gamma"), f"Gamma as stated for {member.label}"
    return as_dense(settings, campaign.host.crystal, member.crystal), "Gamma as dense as the host's"


def as_dense(settings: MeshSettings, of: Crystal, crystal: Crystal) -> Mesh:
    """The Γ-centred mesh of a crystal whose points lie nowhere further apart than those of another crystal's mesh.

    Parameters
    ----------
    settings : the mesh of ``of``; its finest direction is what every direction is held against.
    """
    divisions, cell = stated_mesh(settings, of)
    spacing = (np.linalg.norm(cell.reciprocal, axis=1) / np.array(divisions)).min()
    # Less a millionth, so that a crystal of the same cell gets the same mesh.
    a, b, c = (ceil(length / spacing - 1e-6) for length in np.linalg.norm(crystal.reciprocal, axis=1))
    return Mesh.uniform((max(a, 1), max(b, 1), max(c, 1)), "Gamma")
