"""How much of each state lies in each orbital of each atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.symmetry import Operations

Array = NDArray[np.float64]

ORBITALS = ("s", "py", "pz", "px", "dxy", "dyz", "dz2", "dxz", "x2-y2")
"""The order of VASP's LORBIT = 11; GPAW's real spherical harmonics come in the same one."""


@dataclass(frozen=True, eq=False)
class Projections:
    """Norms of the states inside the PAW spheres, by orbital.

    With the projections P_i = <p_i|psi> and the all-electron partial waves phi_i of one l in a sphere S, the matrix
    sum_ij P_im* P_jm' <phi_i|phi_j>_S has the weights of the orbitals m on its diagonal, as in VASP.  All partial waves
    enter, bound or not.
    """

    states: Array
    """Shape (spins, kpoints, bands, atoms, 9): of the states at the k-points themselves."""
    stars: Array
    """Same shape: averaged over the star of each k-point, so that equivalent atoms have equal weights."""


def project(calc: Any, operations: Operations) -> Projections:
    """Project all states of a GPAW calculation, in its own order of k-points.

    Parameters
    ----------
    operations : those that the k-points were reduced with.
    """
    dft = calc.dft
    shape = (*np.shape(calc.eigenvalues()), len(dft.setups), len(ORBITALS))
    states, stars = np.zeros(shape), np.zeros(shape)
    turns = _turns(operations, np.array(calc.atoms.cell))
    layouts = [layout(setup) for setup in dft.setups]
    for wfs in dft.ibzwfs:
        for a, p_ni in wfs.P_ani.items():
            for ell, rows, overlap in layouts[a]:
                p_nim = p_ni[:, rows]
                matrix = np.einsum("nim,ij,njl->nml", p_nim.conj(), overlap, p_nim, optimize=True).real
                columns = slice(ell * ell, (ell + 1) ** 2)
                states[wfs.spin, wfs.k, wfs.n1 : wfs.n2, a, columns] = np.einsum("nmm->nm", matrix)
                for image, turn in zip(operations.images, turns[ell], strict=True):
                    turned = np.einsum("pm,nml,pl->np", turn, matrix, turn, optimize=True)
                    stars[wfs.spin, wfs.k, wfs.n1 : wfs.n2, image[a], columns] += turned / len(operations)
    for part in (states, stars):  # each process has done its k-points and atoms
        dft.comm.sum(part)
    return Projections(states, stars)


def layout(setup: Any) -> list[tuple[int, NDArray[np.int64], Array]]:
    """For s, p and d: l, the projectors of each radial function (rows) and m (columns), the radial overlaps."""
    from gpaw.utilities import unpack_hermitian

    overlap = unpack_hermitian(setup.N0_p)
    starts = np.cumsum([0] + [2 * ell + 1 for ell in setup.l_j])
    shells = []
    for ell in sorted({e for e in setup.l_j if e <= 2}):
        first = np.array([start for start, e in zip(starts, setup.l_j, strict=False) if e == ell])
        shells.append((ell, first[:, None] + np.arange(2 * ell + 1), overlap[np.ix_(first, first)]))
    return shells


def _turns(operations: Operations, cell: Array) -> list[Array]:
    """For s, p and d: shape (operations, 2l+1, 2l+1), how each operation turns the real spherical harmonics."""
    from gpaw.rotation import rotation

    cartesian = operations.cartesian(cell)
    return [np.array([rotation(ell, turn.T) for turn in cartesian]) for ell in range(3)]
