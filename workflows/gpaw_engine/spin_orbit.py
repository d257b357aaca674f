"""Spin-orbit coupling (LSORBIT), added to scalar-relativistic states without a new self-consistency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import EngineError
from kalloy.workflows.gpaw_engine.projections import layout

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

PAULI = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
"""Density and the three moments."""


def spinor_states(
    calc: Any, bands: int, points: Array, members: Integers | None, projected: bool
) -> tuple[Array, Array | None, Array | None]:
    """Diagonalise the coupling in the space of the scalar states at each k-point.

    The radial derivative of the effective potential inside the PAW spheres couples them; GPAW's own. Source: T. Olsen,
    Phys. Rev. B 94, 235106 (2016).

    Parameters
    ----------
    calc : GPAW calculation without spin channels.
    bands : scalar ones that take part: the converged ones, for the others have lost their symmetry.
    points : shape (kpoints, 3), fractional, each among those of the calculation's whole zone.
    members : shape (mesh points,), which of ``points`` each point of the zone belongs to; None without symmetry.

    Returns
    -------
    Eigenvalues, shape (1, kpoints, 2 scalar bands) in eV; projections, shape (4, kpoints, 2 scalar bands, atoms, 9),
    density and moments along x, y, z; the same averaged over the star of each k-point.
    """
    from gpaw.occupations import FermiDiracCalculator
    from gpaw.spinorbit import soc_eigenstates

    # It fills the states itself, which serves nobody here, and knows not how with every smearing.
    found = soc_eigenstates(calc, n2=bands, occcalc=FermiDiracCalculator(width=0.01))
    zone = np.array(calc.dft.ibzwfs.ibz.bz.kpt_Kc)
    places = [_place(zone, point) for point in points]
    eigenvalues = np.array([found[k].eig_m for k in places])[None]
    if not projected:
        return eigenvalues, None, None
    layouts = [layout(setup) for setup in calc.dft.setups]
    parts = np.stack([_parts(found[k].projections, layouts) for k in places], axis=1)
    if members is None:
        return eigenvalues, parts, parts
    averaged = np.zeros_like(parts)
    counts = np.bincount(members, minlength=len(points))
    # The mesh's own points stand in GPAW's zone in reversed order.
    for k, member in zip(range(len(zone)), members[::-1], strict=True):
        averaged[:, member] += _parts(found[k].projections, layouts) / counts[member]
    return eigenvalues, parts, averaged


def _parts(projections: Any, layouts: list[Any]) -> Array:
    """Shape (4, states, atoms, 9) at one k-point."""
    total = np.zeros((4, len(projections[0]), len(layouts), 9))
    for a, shells in enumerate(layouts):
        for ell, rows, overlap in shells:
            spinor = projections[a][:, :, rows]  # (state, spin, radial function, m)
            turned = np.einsum("nsim,cst,ij,ntjm->cnm", spinor.conj(), PAULI, overlap, spinor, optimize=True)
            total[:, :, a, ell * ell : (ell + 1) ** 2] = turned.real
    return total


def _place(zone: Array, point: Array) -> int:
    gap = zone - point
    near = np.flatnonzero((np.abs(gap - np.round(gap)) < 1e-6).all(axis=1))
    if not len(near):
        raise EngineError(f"k-point {point} is not among those that were computed")
    return int(near[0])
