"""Other cells of the same crystal: primitive, conventional, supercells. Nothing is rotated, idealised or relabelled."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import HostError
from kalloy.structures.crystal import Crystal
from kalloy.structures.symmetry import TOLERANCE, dataset

Matrix = NDArray[np.int64]
MOST_ATOMS = 100_000
"""No density-functional calculation is larger; the memory of what would be made is."""
NAMED = ("given", "primitive", "conventional")


def parse_cell(text: str) -> str | Matrix:
    """What ``--cell`` says: a name, or the matrix whose rows are the new lattice vectors in terms of the given ones.

    Raises
    ------
    HostError : neither a name nor three or nine integers, or a matrix without volume.
    """
    word = text.strip().lower()
    if word in NAMED:
        return word
    try:
        numbers = [int(part) for part in word.replace(",", " ").replace("x", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) == 3:
        matrix = np.diag(numbers)
    elif len(numbers) == 9:
        matrix = np.array(numbers).reshape(3, 3)
    else:
        raise HostError(
            f"'{text}' is no cell", where="cell", mend="say given, primitive, conventional, three integers or nine"
        )
    if round(np.linalg.det(matrix)) < 1:
        raise HostError(
            f"'{text}' has {'no volume' if round(np.linalg.det(matrix)) == 0 else 'a left-handed order of vectors'}",
            where="cell",
            mend="give three vectors with a positive determinant",
        )
    return matrix


def recell(crystal: Crystal, cell: str | Matrix, tolerance: float = TOLERANCE) -> Crystal:
    """The same crystal in another cell, as ``parse_cell`` gives it.

    Raises
    ------
    HostError : the symmetry of the crystal cannot be found, or the cell is beyond any calculation.
    """
    if isinstance(cell, np.ndarray):
        _refuse_absurd(crystal, cell)
        return supercell(crystal, cell)
    if cell == "given":
        return crystal
    return _standard(crystal, primitive=cell == "primitive", tolerance=tolerance)


def _refuse_absurd(crystal: Crystal, matrix: Matrix) -> None:
    """Before memory is asked for: so many atoms, or vectors so long that the box around the cell holds as many."""
    box = np.prod([float(abs(column).sum()) for column in matrix.T])
    if box * len(crystal) > MOST_ATOMS:
        raise HostError(
            f"a cell of {abs(round(np.linalg.det(matrix))) * len(crystal):,} atoms, in a box of {box:,.0f} given cells",
            where="cell",
            mend=f"keep the box below {MOST_ATOMS:,} atoms",
        )


def supercell(crystal: Crystal, matrix: Matrix) -> Crystal:
    """The crystal in a multiple of its cell.

    Parameters
    ----------
    matrix : shape (3, 3), integers; rows are the new lattice vectors in terms of the old ones.
    """
    copies = abs(round(np.linalg.det(matrix)))
    translations = _translations(matrix, copies)
    inverse = np.linalg.inv(matrix)
    positions = (crystal.positions[:, None, :] + translations[None, :, :]).reshape(-1, 3) @ inverse
    return Crystal(
        matrix @ crystal.lattice,
        tuple(s for s in crystal.species for _ in range(copies)),
        positions,
        tuple(label for label in crystal.labels for _ in range(copies)),
    )


def _translations(matrix: Matrix, copies: int) -> NDArray[np.int64]:
    """The old lattice points in the new cell, in terms of the old vectors; exact, in integers."""
    adjugate = np.rint(np.linalg.inv(matrix) * np.linalg.det(matrix)).astype(np.int64)
    corners = np.array(list(product((0, 1), repeat=3))) @ matrix
    ranges = [range(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    points = np.array(list(product(*ranges)))
    scaled = points @ adjugate * round(np.sign(np.linalg.det(matrix)))
    inside = ((scaled >= 0) & (scaled < copies)).all(axis=1)
    found: NDArray[np.int64] = points[inside]
    if len(found) != copies:
        raise AssertionError(f"{len(found)} lattice points in a cell of {copies}")
    return found


def _standard(crystal: Crystal, *, primitive: bool, tolerance: float) -> Crystal:
    """The standard cell's lattice vectors as they lie in the given crystal, and the atoms where they were."""
    translations = _primitive_lattice(crystal, tolerance)
    folded = _folded(crystal, translations, tolerance)
    if primitive:
        return folded
    found = dataset(crystal, tolerance)
    conventional = np.linalg.inv(found.transformation_matrix).T @ crystal.lattice
    return supercell(folded, np.rint(conventional @ np.linalg.inv(translations)).astype(np.int64))


def _primitive_lattice(crystal: Crystal, tolerance: float) -> NDArray[np.float64]:
    """Rows are the standard primitive vectors, Å, in the crystal's own orientation and metric."""
    import spglib

    found: Any = spglib.standardize_cell(crystal.spglib_cell(), to_primitive=True, no_idealize=True, symprec=tolerance)
    if found is None:
        raise HostError(f"no primitive cell is found within {tolerance:g} Å", mend="change the tolerance")
    lattice = np.asarray(found[0], float)
    return np.where(np.abs(lattice) < 1e-10, 0.0, lattice)


def _folded(crystal: Crystal, lattice: NDArray[np.float64], tolerance: float) -> Crystal:
    """The crystal in a smaller cell: of the sites that coincide in it, the first."""
    positions = crystal.positions @ crystal.lattice @ np.linalg.inv(lattice)
    kept: list[int] = []
    for site, position in enumerate(positions):
        apart = positions[kept] - position
        apart -= np.rint(apart)
        if not (np.linalg.norm(apart @ lattice, axis=1) < 4 * tolerance).any():
            kept.append(site)
    expected = len(crystal) * abs(np.linalg.det(lattice)) / crystal.volume
    if len(kept) != round(expected):
        raise HostError(f"{len(crystal)} atoms do not fold into a primitive cell of {expected:g}")
    return Crystal(
        lattice,
        tuple(crystal.species[i] for i in kept),
        positions[kept],
        tuple(crystal.labels[i] for i in kept) if crystal.labels else (),
    )


def in_order(crystal: Crystal, resolution: float = 1e-5) -> Crystal:
    """The crystal with its sites in the order of their fractional coordinates, all within [0, 1).

    Coordinates closer than ``resolution`` count as the same and those just below one as zero, so that the order
    does not hang on the last digits of a machine.
    """
    wrapped = crystal.positions % 1.0
    levels = np.stack([_levels(column, resolution) for column in wrapped.T], axis=1)
    order = sorted(range(len(crystal)), key=lambda site: (*levels[site], crystal.species[site]))
    wrapped[wrapped > 1 - resolution] = 0.0
    return Crystal(
        crystal.lattice,
        tuple(crystal.species[i] for i in order),
        wrapped[order],
        tuple(crystal.labels[i] for i in order) if crystal.labels else (),
    )


def _levels(values: NDArray[np.float64], resolution: float) -> NDArray[np.int64]:
    """Each value's rank among the different values, round the circle from zero."""
    circular = np.where(values > 1 - resolution, values - 1.0, values)
    order = np.argsort(circular, kind="stable")
    steps = np.diff(circular[order], prepend=circular[order[:1]]) > resolution
    levels = np.empty(len(values), np.int64)
    levels[order] = np.cumsum(steps)
    return levels
