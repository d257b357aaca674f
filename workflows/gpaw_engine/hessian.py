"""A first guess at the second derivatives of a crystal's energy: springs between neighbours.

Relaxations start from it instead of from a multiple of one, so that soft and stiff directions, ions and cell are in
proportion from the first step on.  The idea is that of D. Packwood et al., J. Chem. Phys. 144, 164109 (2016); here the
springs have the strength of the Born-Mayer repulsion between ions that balances their attraction.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

Array = NDArray[np.float64]

DECAY = 0.33
"""Å; range of the Born-Mayer repulsion, nearly the same for all ionic crystals."""
STRENGTH = 14.4 * 1.75 / 6 / DECAY
"""eV; stiffness of a contact times its length squared: Madelung attraction over six neighbours, over the decay."""
FLOOR = 0.3
"""eV/Å2; added for each ion, so that no direction is without stiffness."""


def spring_hessian(atoms: Atoms, strains: Array) -> Array:
    """Second derivatives of a network of springs between neighbouring atoms.

    Parameters
    ----------
    strains : shape (strains, 3, 3), the symmetric strains that the cell may undergo.

    Returns
    -------
    Shape (3 atoms + strains, 3 atoms + strains): displacements (Å) of atoms at fixed strain, then amplitudes of the
    strains with the atoms carried along; eV per square of these.
    """
    n = 3 * len(atoms)
    i, j, bonds = neighbor_list("ijD", atoms, _cutoff(atoms))
    lengths = np.linalg.norm(bonds, axis=1)
    contact = _nearest(atoms)
    size = np.maximum(contact[i], contact[j])
    stiffness = 0.5 * STRENGTH / size**2 * np.exp(-np.maximum(lengths - size, 0.0) / DECAY)  # each bond comes twice
    along = bonds / lengths[:, None]
    stretch = np.zeros((len(i), n + len(strains)))
    rows = np.arange(len(i))
    for axis in range(3):
        np.add.at(stretch, (rows, 3 * j + axis), along[:, axis])
        np.add.at(stretch, (rows, 3 * i + axis), -along[:, axis])
    stretch[:, n:] = np.einsum("ba,sac,bc->bs", along, strains, bonds)
    hessian = (stretch * stiffness[:, None]).T @ stretch
    hessian[np.arange(n), np.arange(n)] += FLOOR
    return np.asarray(hessian)


def _nearest(atoms: Atoms) -> Array:
    """Shape (atoms,): distance from each atom to its nearest neighbour, images included."""
    reach = 4.0
    while True:
        i, d = neighbor_list("id", atoms, reach)
        if len(set(i)) == len(atoms):
            break
        reach *= 1.5
    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, d)
    return nearest


def _cutoff(atoms: Atoms) -> float:
    return float(_nearest(atoms).max() + 5 * DECAY)
