"""What spglib says about a crystal: its space group, Wyckoff sets, translations and site permutations.

Every function takes the crystal of any cell, so the group of a supercell is that of the supercell itself:
the operations of the host that are compatible with it, and all its translations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import HostError
from kalloy.structures.crystal import Crystal

if TYPE_CHECKING:
    from spglib import SpglibDataset

Permutation = tuple[int, ...]
"""Entry s is the site on which site s lands."""

TOLERANCE = 0.01
"""Å; how far an atom may be from where an operation would have it. Loose enough for coordinates of four decimals."""


@dataclass(frozen=True)
class SpaceGroup:
    """A space-group type."""

    symbol: str
    """Short Hermann–Mauguin symbol as spglib writes it: ``P3_121``."""
    number: int
    """Of the International Tables, 1 to 230."""

    def __str__(self) -> str:
        return f"{self.symbol} ({self.number})"


def space_group(crystal: Crystal, tolerance: float = TOLERANCE) -> SpaceGroup:
    """The space-group type of a crystal.

    Raises
    ------
    HostError : spglib finds no symmetry at all, mostly because two atoms coincide.
    """
    found = dataset(crystal, tolerance)
    return SpaceGroup(str(found.international), int(found.number))


def dataset(crystal: Crystal, tolerance: float = TOLERANCE) -> SpglibDataset:
    """Everything spglib knows about a crystal; raises HostError where it fails."""
    import spglib

    found: SpglibDataset = _asked(spglib.get_symmetry_dataset, crystal, tolerance)
    return found


def wyckoff_sets(crystal: Crystal, tolerance: float = TOLERANCE) -> tuple[tuple[str, int], ...]:
    """Of each site its Wyckoff position, ``18e``, and the number of its orbit.

    The multiplicity is that of the conventional cell, whichever cell the crystal has. Orbits are numbered by their
    first site; two orbits can share one letter.
    """
    found = dataset(crystal, tolerance)
    orbits = [int(orbit) for orbit in found.crystallographic_orbits]
    scale = len(found.std_types) / len(crystal)
    return tuple(
        (f"{round(orbits.count(orbit) * scale)}{letter}", orbit)
        for letter, orbit in zip(found.wyckoffs, orbits, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of a space group, and what it does to some sites."""

    rotation: NDArray[np.int64]
    """Shape (3, 3), W in x' = W x + w, fractional."""
    translation: NDArray[np.float64]
    """Shape (3,), w, fractional."""
    permutation: Permutation
    """Of the sites that were asked for, by their positions in that sequence."""


def operations(
    crystal: Crystal, sites: Sequence[int] | None = None, tolerance: float = TOLERANCE
) -> tuple[Operation, ...]:
    """Every operation of the crystal's space group, with how it permutes some of its sites.

    Parameters
    ----------
    sites : indices into the crystal, a union of whole orbits; all of them by default.
    tolerance : Å.

    Raises
    ------
    HostError : an operation does not map the sites one to one.
    """
    import spglib

    chosen = np.arange(len(crystal)) if sites is None else np.asarray(sites, int)
    positions = crystal.positions[chosen]
    found = _asked(spglib.get_symmetry, crystal, tolerance)
    rotations, translations = np.asarray(found["rotations"], np.int64), np.asarray(found["translations"], float)
    images = np.einsum("gij,sj->gsi", rotations, positions) + translations[:, None, :]
    landed = _nearest_sites(positions, images)
    if not (np.sort(landed, axis=1) == np.arange(len(chosen))).all():
        raise HostError(
            "a symmetry operation does not map the substituted sites one to one",
            mend="select whole sets of equivalent sites, or give a smaller tolerance",
        )
    return tuple(
        Operation(rotation, translation, tuple(permutation))
        for rotation, translation, permutation in zip(rotations, translations, landed.tolist(), strict=True)
    )


def site_permutations(
    crystal: Crystal, sites: Sequence[int] | None = None, tolerance: float = TOLERANCE
) -> tuple[Permutation, ...]:
    """How the crystal's space group permutes some of its sites, each different permutation once, sorted.

    Parameters and errors are those of `operations`.
    """
    return tuple(sorted({operation.permutation for operation in operations(crystal, sites, tolerance)}))


def _nearest_sites(positions: NDArray[np.float64], images: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each image the site that it is nearest to, modulo the lattice.

    Parameters
    ----------
    positions : shape (sites, 3), fractional.
    images : shape (operations, sites, 3), fractional.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(_into_cell(positions), boxsize=1.0)
    _, nearest = tree.query(_into_cell(images).reshape(-1, 3))
    return np.asarray(nearest, np.int64).reshape(images.shape[:2])


def _into_cell(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    wrapped = positions % 1.0
    wrapped[wrapped >= 1.0] = 0.0  # what is just below zero wraps to one
    return wrapped


def _asked(question: Callable[..., Any], crystal: Crystal, tolerance: float) -> Any:
    """Ask spglib, whose failures are a None or an exception by its version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            answer = question(crystal.spglib_cell(), symprec=tolerance)
        except RuntimeError as error:
            raise _no_symmetry(tolerance) from error
    if answer is None:
        raise _no_symmetry(tolerance)
    return answer


def _no_symmetry(tolerance: float) -> HostError:
    return HostError(
        f"spglib finds no symmetry within {tolerance:g} Å, mostly a sign that two atoms coincide",
        mend="look at the shortest distances, or change the tolerance",
    )
