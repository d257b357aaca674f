"""Which members a step derives, and how: duplicates, rattled relaxations and variants of whoever came out lowest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from kalloy.structures.images import Occupation, images, operations_of
from kalloy.structures.symmetry import Operation
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.derivation import Recipe
from kalloy.workflows.inputs.kpoints import host_mesh
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.spec_members import NoiseTable, VariantsTable, Whose

if TYPE_CHECKING:
    from kalloy.workflows.screening.ranking import Ranking

ENERGIES = (Stage.RELAX, Stage.STATIC)
"""The stages that a ranked energy comes from."""
KEPT_BY_ALL = "every operation of the host maps the k-meshes on themselves, so mesh noise is zero by symmetry"
MET_ALIKE = "the k-meshes meet all its orientations alike, so its own mesh noise is zero by symmetry"


def recipes(
    campaign: Campaign, on: NoiseTable | VariantsTable, ranking: Ranking | None
) -> tuple[list[Recipe], list[str]]:
    """What a step that kalloy.toml implies has to compute, in the order of the tables' keys.

    Returns
    -------
    The recipes, and one line for each duplicate that symmetry makes needless.
    """
    if isinstance(on, VariantsTable):
        return [r for label in _whose(on.cells, ranking) for r in _variants(label)], []
    again = _whose(on.rattle, ranking)
    twice, needless = _duplicates(campaign, on, ranking)
    return twice + [_rattled(campaign, label, on) for label in again], needless


def _duplicates(campaign: Campaign, on: NoiseTable, ranking: Ranking | None) -> tuple[list[Recipe], list[str]]:
    """Of who is named; else of the lowest of each content, passing over whom the meshes meet alike in every way."""
    if on.duplicate and meshes_keep_symmetry(campaign):
        return [], [f"no duplicate: {KEPT_BY_ALL}"]
    made: list[Recipe] = []
    needless: list[str] = []
    for queue, wanted in _queues(campaign, on.duplicate, ranking):
        before = len(made)
        for label in queue:
            if len(made) - before == wanted:
                break
            if recipe := duplicate(campaign, campaign.member(label)):
                made.append(recipe)
            else:
                needless.append(f"no duplicate of {label}: {MET_ALIKE}")
    return made, needless


def _queues(campaign: Campaign, whose: Whose, ranking: Ranking | None) -> list[tuple[list[str], int]]:
    """Who may be duplicated, in order, and how many of them shall be."""
    if isinstance(whose, list):
        return [([label], 1) for label in whose]
    ranked = [campaign.member(label) for label in ranking.lowest(len(campaign.configurations))] if ranking else []
    contents = dict.fromkeys(m.content for m in ranked)
    return [([m.label for m in ranked if m.content == content], int(whose)) for content in contents]


def _whose(whose: Whose, ranking: Ranking | None) -> list[str]:
    if isinstance(whose, list):
        return whose
    return ranking.lowest(int(whose)) if ranking and whose else []


def _rattled(campaign: Campaign, of: str, on: NoiseTable) -> Recipe:
    how = {"kind": Kind.RATTLED.value, "of": of, "amplitude_A": on.amplitude, "seed": on.seed}
    return _labelled(campaign, f"{of}~rattled", how)


def _labelled(campaign: Campaign, stem: str, how: Recipe) -> Recipe:
    """The recipe with its label: numbered from 1, and the number of an equal one where that is on record."""
    number = 1
    while (made := campaign.recipes.get(f"{stem}{number}")) and made != {"label": f"{stem}{number}", **how}:
        number += 1
    return {"label": f"{stem}{number}", **how}


def _variants(configuration: str) -> list[Recipe]:
    """Host and configuration, each in the other's relaxed cell."""
    pairs = ((HOST, configuration), (configuration, HOST))
    return [
        {"label": f"{of}~cell-of-{other.replace('/', '-')}", "kind": Kind.VARIANT.value, "of": of, "cell_of": other}
        for of, other in pairs
    ]


# -- duplicates ------------------------------------------------------------------------


def duplicate(campaign: Campaign, member: Member) -> Recipe | None:
    """The image of a configuration that the k-meshes meet most differently.

    Energies of a configuration and of its image under g differ by the mesh alone, and not at all where g, or g after
    any operation that leaves the configuration alone, maps the mesh on itself.

    Returns
    -------
    None where that is so of every image: its mesh noise is zero by symmetry.
    """
    assert member.configuration is not None
    shares = {o: share for o, share in _shares_off(campaign, member).items() if share > 0}
    if not shares:
        return None
    worst = max(shares, key=lambda occupation: (round(shares[occupation], 9), occupation))
    how = {"kind": Kind.DUPLICATE.value, "of": member.label, "occupation": list(worst)}
    return _labelled(campaign, f"{member.label}~dup", how | {"share_off_mesh": round(shares[worst], 6)})


def meshes_keep_symmetry(campaign: Campaign) -> bool:
    """Whether every operation of the host maps the meshes that energies come from on themselves."""
    share = _share_off(campaign)
    return not any(share(_key(operation)) for operation in operations_of(campaign.space))


def _shares_off(campaign: Campaign, member: Member) -> dict[Occupation, float]:
    """Of each image: which share of a mesh's points leaves the mesh, by the operation that moves least."""
    assert member.configuration is not None
    share = _share_off(campaign)
    return {
        occupation: min(share(_key(operation)) for operation in found)
        for occupation, found in images(campaign.space, member.configuration).items()
    }


Rotation = tuple[tuple[int, ...], ...]


def _key(operation: Operation) -> Rotation:
    return tuple(tuple(row) for row in operation.rotation.tolist())


def _share_off(campaign: Campaign) -> Callable[[Rotation], float]:
    """Of a rotation: which share of the points of the meshes that energies come from it moves off them."""
    settings = [campaign.preset.kpoints[s] for s in ENERGIES if s in campaign.spec.stages]
    meshes = [host_mesh(m, campaign.host.crystal) for m in settings if isinstance(m, MeshSettings)]
    return cache(lambda rotation: max((m.share_off(np.array([rotation])) for m in meshes), default=0.0))
