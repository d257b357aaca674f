"""The k-mesh of one member: the preset's for all that share the host's cell, its own for a reference phase."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.members import Member


def member_mesh(campaign: Campaign, member: Member, stage: Stage, settings: MeshSettings) -> tuple[MeshSettings, str]:
    """The mesh of a member's stage, and where it comes from in words.

    Parameters
    ----------
    settings : the preset's, which is right for the host's cell.
    """
    phase = campaign.phase(member)
    if phase is None:
        return settings, "as stated"
    if phase.mesh and stage in (Stage.RELAX, Stage.STATIC):
        return MeshSettings(mesh=phase.mesh, style="Gamma"), f"as stated for {member.label}"
    return as_dense(settings, campaign.host.crystal, member.crystal), "as dense as the host's"


def as_dense(settings: MeshSettings, of: Crystal, crystal: Crystal) -> MeshSettings:
    """The Γ-centred mesh of a crystal whose points lie nowhere further apart than those of another crystal's mesh.

    Parameters
    ----------
    settings : the mesh of ``of``; its finest direction is what every direction is held against.
    """
    spacing = (np.linalg.norm(of.reciprocal, axis=1) / np.array(settings.mesh)).min()
    # Less a millionth, so that a crystal of the same cell gets the same mesh.
    a, b, c = (ceil(length / spacing - 1e-6) for length in np.linalg.norm(crystal.reciprocal, axis=1))
    return MeshSettings(mesh=(max(a, 1), max(b, 1), max(c, 1)), style="Gamma")
