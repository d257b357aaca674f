"""Derived members: made from a recipe on record, so that what was computed never changes with kalloy.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from kalloy.errors import CampaignError
from kalloy.structures.crystal import Crystal
from kalloy.structures.images import image
from kalloy.structures.symmetry import space_group
from kalloy.workflows.members import Kind, Member, in_poscar_order

Recipe = dict[str, Any]
"""Plain data: ``label``, ``kind`` and ``of``, then ``occupation`` of a duplicate, ``amplitude_A`` and ``seed`` of a
rattled member, ``cell_of`` of a variant."""


def derive(recipe: Recipe, members: Mapping[str, Member]) -> Member:
    """The member that a recipe describes.

    Parameters
    ----------
    members : host and configurations, by label.

    Raises
    ------
    CampaignError
        Where kalloy.toml no longer asks for a member that the recipe names.
    """
    for name in ("of", "cell_of"):
        if name in recipe and recipe[name] not in members:
            raise CampaignError(
                f"'{recipe['label']}' is derived from {recipe[name]}, which kalloy.toml no longer asks for",
                where="selections",
                mend="restore the host and the substitutions; new contents may be added, none taken away",
            )
    made = {Kind.DUPLICATE: _duplicate, Kind.RATTLED: _rattled, Kind.VARIANT: _variant}
    member = made[Kind(recipe["kind"])](recipe, members)
    return replace(member, label=recipe["label"], kind=Kind(recipe["kind"]), of=recipe["of"], recipe=recipe)


def _duplicate(recipe: Recipe, members: Mapping[str, Member]) -> Member:
    """The configuration's structure under an operation of its host: another occupation of the same cell."""
    of = members[recipe["of"]]
    assert of.configuration is not None
    turned = image(of.configuration, tuple(recipe["occupation"]), recipe["label"])
    crystal = in_poscar_order(turned.crystal())
    return replace(of, configuration=turned, crystal=crystal, identity=turned.identity)


def _rattled(recipe: Recipe, members: Mapping[str, Member]) -> Member:
    """The unrelaxed configuration with every coordinate displaced at random; the cell is left as it is."""
    of = members[recipe["of"]]
    amplitude, seed = float(recipe["amplitude_A"]), int(recipe["seed"])
    atoms = of.crystal.to_ase()
    # ASE draws from numpy's RandomState, whose numbers are frozen: the same on every machine and version.
    atoms.rattle(stdev=amplitude, seed=seed)
    crystal = Crystal(of.crystal.lattice, of.crystal.species, atoms.get_scaled_positions(wrap=False))
    return replace(
        of,
        crystal=crystal,
        identity=_identity(of, "rattled", repr(amplitude), str(seed)),
        symmetry=lambda: space_group(crystal).symbol,
    )


def _variant(recipe: Recipe, members: Mapping[str, Member]) -> Member:
    """Unrelaxed it is its parent, for all members share one cell; what it takes from both makes it another."""
    of, cell_of = members[recipe["of"]], members[recipe["cell_of"]]
    return replace(of, identity=_identity(of, "in the cell of", cell_of.identity))


def _identity(of: Member, *how: str) -> str:
    return sha256("\n".join((of.identity, *how)).encode()).hexdigest()[:16]
