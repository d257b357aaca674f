"""The same k-points in another cell of the same crystal."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import InputError
from kalloy.workflows.inputs.mesh import Mesh

SLACK = 1e-3
"""How far from an integer a ratio of lattices may be: coordinates of five decimals pass, a strained cell does not."""
LARGEST_RATIO = 100
"""Lattices that no smaller multiple brings together have nothing in common."""


def equivalent_mesh(mesh: Mesh, from_lattice: ArrayLike, to_lattice: ArrayLike) -> Mesh:
    """The mesh of another cell that holds the same k-points in Cartesian space.

    A mesh P of the cell with reciprocal vectors B is (T P) of the cell with B' = T B, and that is a mesh of the new
    cell where it is integer: where the old mesh is periodic by the new reciprocal vectors. So every mesh of a cell is
    one of its primitive cell, but only some are one of a supercell: all points that fold together must be there.

    Parameters
    ----------
    mesh : of the first cell; exact.
    from_lattice, to_lattice : shape (3, 3), Å; rows are lattice vectors, both cells in one orientation.

    Returns
    -------
    The mesh of the second cell: uniform where there is such a one (``Mesh.divisions``), else by generating vectors.

    Raises
    ------
    InputError
        Where no mesh of the second cell has these points: the nearest mesh of the first cell that can be carried over
        is named. Or where the two lattices have nothing in common.
    """
    ratio = _ratio(np.asarray(from_lattice, float), np.asarray(to_lattice, float))
    matrix = ratio @ np.array(mesh.matrix)
    if not _is_integer(matrix):
        raise InputError(
            f"the {mesh_name(mesh)} has no equivalent in the other cell: its points do not fold together there",
            where="k-mesh",
            mend=_nearest(mesh, ratio),
        )
    return Mesh.of(np.rint(matrix).astype(np.int64), np.array(mesh.halves))


def mesh_name(mesh: Mesh) -> str:
    """In words: ``Monkhorst–Pack mesh 4x4x3``; of a mesh by generating vectors, how many points it has."""
    if mesh.divisions is None:
        return f"{'Γ-centred' if mesh.holds_gamma else 'shifted'} mesh of {mesh.count} points by generating vectors"
    style = {"Gamma": "Γ-centred", "Monkhorst-Pack": "Monkhorst–Pack", None: "shifted"}[mesh.style]
    return f"{style} mesh {'x'.join(map(str, mesh.divisions))}"


def _ratio(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """T in B' = T B, shape (3, 3)."""
    ratio = np.asarray((first @ np.linalg.inv(second)).T)
    if np.linalg.det(ratio) < 0:
        raise InputError("one of the two cells is left-handed", where="k-mesh", mend="exchange two of its vectors")
    return ratio


def _is_integer(matrix: NDArray[np.float64]) -> bool:
    return bool((np.abs(matrix - np.rint(matrix)) < SLACK).all())


def _nearest(mesh: Mesh, ratio: NDArray[np.float64]) -> str:
    """The uniform mesh of the first cell nearest to the one asked for that can be carried over, in words.

    Each subdivision for itself must be a multiple of the smallest one that makes its column of T integer.
    """
    steps = [next((q for q in range(1, LARGEST_RATIO) if _is_integer(ratio[:, i] * q)), 0) for i in range(3)]
    if not all(steps):
        return "give two cells of one crystal, in one orientation: these have no common multiple"
    asked = mesh.divisions or tuple(round(mesh.count ** (1 / 3)) for _ in range(3))
    # Halves go up: rather too dense than too coarse.
    nearest = [max(1, int(n / q + 0.5)) * q for n, q in zip(asked, steps, strict=True)]
    return f"the nearest that has one is {'x'.join(map(str, nearest))}"
