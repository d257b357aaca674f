"""How much of each state lies in each orbital of each atom."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ORBITALS = ("s", "py", "pz", "px", "dxy", "dyz", "dz2", "dxz", "x2-y2")
"""The order of VASP's LORBIT = 11; GPAW's real spherical harmonics come in the same one."""


def project(calc: Any) -> Array:
    """Shape (spins, GPAW's k-points, bands, atoms, 9): the norm of each state inside the PAW spheres, by orbital.

    With the projections P_i = <p_i|psi> and the all-electron partial waves phi_i of one l and m in a sphere S,
    the weight is sum_ij P_i* P_j <phi_i|phi_j>_S, as in VASP. All partial waves enter, bound or not.
    """
    dft = calc.dft
    spins, points, bands = np.shape(calc.eigenvalues())
    weights = np.zeros((spins, points, bands, len(dft.setups), len(ORBITALS)))
    overlaps = [_overlaps(setup) for setup in dft.setups]
    for wfs in dft.ibzwfs:
        for a, blocks in enumerate(overlaps):
            p_ni = wfs.P_ani[a]
            for column, indices, overlap in blocks:
                p = p_ni[:, indices]
                weights[wfs.spin, wfs.k, :, a, column] = np.einsum("ni,ij,nj->n", p.conj(), overlap, p).real
    return weights


def _overlaps(setup: Any) -> list[tuple[int, list[int], Array]]:
    """For each orbital: its column, the projectors that belong to it, their overlaps inside the sphere."""
    from gpaw.utilities import unpack_hermitian

    overlap = unpack_hermitian(setup.N0_p)
    found: dict[int, list[int]] = {}
    i = 0
    for ell in setup.l_j:
        for m in range(2 * ell + 1):
            if ell <= 2:
                found.setdefault(ell * ell + m, []).append(i)
            i += 1
    return [(column, rows, overlap[np.ix_(rows, rows)]) for column, rows in sorted(found.items())]
