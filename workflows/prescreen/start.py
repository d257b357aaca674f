"""Where DFT starts from: the prescreened structure, its strain put on the host's given cell."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.structures.symmetrizing import symmetrized
from kalloy.structures.symmetry import TOLERANCE, operations, space_group
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of
from kalloy.workflows.members import Member
from kalloy.workflows.prescreen.store import finished_store

MOST_STRAIN = 1e-3
"""A model's cell that is off its symmetry by more has left it."""


def starting_crystal(campaign: Campaign, member: Member) -> tuple[Crystal, dict[str, Any] | None]:
    """The structure that a member's first stage starts from, and where it comes from.

    A model's absolute volumes may be percents off DFT's, its strains are better: with rows as lattice vectors the
    model's deformation F = L(host)⁻¹ L(alloy) is put on the host's given lattice, L = L(given) F; fractional positions
    are the model's. What single precision took from the configuration's own symmetry is given back, for a structure
    that is off by a millionth has no symmetry for an engine; where the model left it for good, nothing is changed. The
    host itself starts as given, and so does whatever is derived from another member's result.

    Returns
    -------
    The crystal, and for the record the file it was made from; None where the structure is the member's own.
    """
    if campaign.spec.calculation.start != "prescreened" or not member.is_ranked:
        return member.crystal, None
    store = finished_store(campaign)
    host = campaign.members["host"]
    relaxed, relaxed_host = store.crystal(member), store.crystal(host)
    lattice = host.crystal.lattice @ np.linalg.solve(relaxed_host.lattice, relaxed.lattice)
    file = store.path(member.label, ".vasp")
    provenance = {
        "prescreened": str(file.relative_to(campaign.root)),
        "sha256": hash_of(file),
        "model": store.model.words,
        "cell": "the host's given cell times the model's strain, alloy against host",
    }
    crystal, provenance["symmetry"] = _with_own_symmetry(
        Crystal(lattice, relaxed.species, relaxed.positions), member.crystal
    )
    return crystal, provenance


def _with_own_symmetry(crystal: Crystal, unrelaxed: Crystal) -> tuple[Crystal, str]:
    """The crystal with exactly the space group of the unrelaxed one where it nearly has it, and what was done."""
    symbol = space_group(unrelaxed).symbol
    found = symmetrized(crystal, operations(unrelaxed))
    if found.shift > TOLERANCE or found.strain > MOST_STRAIN:
        return crystal, f"the model left {symbol} by {found.shift:.3g} Å and a strain of {found.strain:.1g}: kept so"
    return found.crystal, f"{symbol} restored: atoms moved by at most {found.shift:.1g} Å, strain {found.strain:.1g}"
