"""Direct or indirect in which cell? K-points of a large cell and those of a smaller one that it repeats.

A large cell's k-point stands for as many k-points of the smaller cell as there are small cells in it; which of them a
state belongs to its energy does not say. So an indirect gap stays indirect in the smaller cell, for no k-point of it
stands under two of the large cell's; a direct one may be either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.parsers.gap import Gap, KPoint

_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Unfolded:
    """A gap's edges as a smaller cell may have them."""

    cells: int
    """Small cells in the large one."""
    vbm_kpoints: tuple[KPoint, ...]
    """K-points of the smaller cell, fractional in [0, 1), under which the valence band maximum may stand."""
    cbm_kpoints: tuple[KPoint, ...]
    """Likewise for the conduction band minimum."""
    direct: bool | None
    """Whether the gap is direct in the smaller cell; None where the energies cannot tell."""


def supercell_matrix(to_smaller: ArrayLike) -> NDArray[np.int64]:
    """The integer matrix M with large = M @ small, rows being lattice vectors.

    Parameters
    ----------
    to_smaller : shape (3, 3), the smaller cell's vectors in units of the large one's: small = to_smaller @ large.

    Raises
    ------
    ValueError
        If the large cell is no repetition of the smaller one.
    """
    matrix = np.linalg.inv(np.asarray(to_smaller, dtype=float).reshape(3, 3))
    rounded = np.round(matrix).astype(np.int64)
    if not np.allclose(matrix, rounded, atol=1e-4) or not 0 < abs(round(np.linalg.det(rounded))) <= _MOST_CELLS:
        raise ValueError("the large cell is no whole repetition of the smaller one")
    return rounded


def fold(kpoints: ArrayLike, to_smaller: ArrayLike) -> NDArray[np.float64]:
    """K-points of the smaller cell as the large cell has them.

    Parameters
    ----------
    kpoints : shape (k, 3), fractional in the smaller cell's reciprocal vectors.

    Returns
    -------
    Shape (k, 3), fractional in [0, 1) of the large cell's.
    """
    matrix = supercell_matrix(to_smaller)
    return _into_cell(np.asarray(kpoints, dtype=float).reshape(-1, 3) @ matrix.T)


def unfold(kpoint: ArrayLike, to_smaller: ArrayLike) -> NDArray[np.float64]:
    """Every k-point of the smaller cell that folds onto one of the large cell.

    Returns
    -------
    Shape (cells, 3), fractional in [0, 1), sorted.
    """
    matrix = supercell_matrix(to_smaller)
    cells = abs(round(np.linalg.det(matrix)))
    inverse = np.linalg.inv(matrix).T
    # Reciprocal vectors of the large cell, as many as are distinct modulo the smaller cell's; each order of the
    # quotient group divides the number of cells, and a box of that size holds one of each.
    distinct: dict[tuple[float, ...], NDArray[np.float64]] = {}
    for shift in np.ndindex(cells, cells, cells):
        point = _into_cell((np.asarray(kpoint, dtype=float) + shift) @ inverse)
        distinct.setdefault(tuple(np.round(point, 5).tolist()), point)
        if len(distinct) == cells:
            break
    return np.array([distinct[key] for key in sorted(distinct)])


def _into_cell(kpoints: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = kpoints - np.floor(kpoints + 1e-6)
    return np.where(np.abs(inside) < 1e-6, 0.0, inside)


def unfold_gap(gap: Gap, to_smaller: ArrayLike) -> Unfolded:
    """What a gap of the large cell says about the smaller one.

    Parameters
    ----------
    to_smaller : shape (3, 3), small = to_smaller @ large, rows being lattice vectors.

    Raises
    ------
    ValueError
        If there is no gap, or the large cell is no repetition of the smaller one.
    """
    if gap.vbm is None or gap.cbm is None:
        raise ValueError("there is no gap to unfold")
    cells = abs(round(np.linalg.det(supercell_matrix(to_smaller))))
    vbm, cbm = (_all(edge.kpoints, to_smaller) for edge in (gap.vbm, gap.cbm))
    shared = set(vbm) & set(cbm)
    direct = False if not shared else (True if cells == 1 else None)
    return Unfolded(cells, vbm, cbm, direct)


def _all(kpoints: Sequence[KPoint], to_smaller: ArrayLike) -> tuple[KPoint, ...]:
    points = {
        (round(a, 5), round(b, 5), round(c, 5)): None for k in kpoints for a, b, c in unfold(k, to_smaller).tolist()
    }
    return tuple(sorted(points))
