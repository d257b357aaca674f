"""Optical spectra (LOPTICS): the dielectric function of independent particles, without local fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.settings import Settings
from kalloy.workflows.gpaw_engine.states import States

Array = NDArray[np.float64]

BEYOND = 1.2
"""Of the largest transition: where VASP's grid of frequencies ends by default."""
LEAST_CUTOFF = 1.0
"""eV: of the response's plane waves, of which only the longest is used."""
DIAGONALS = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
OFF_DIAGONALS = ((0, 1), (1, 2), (2, 0))
"""VASP's order after xx, yy, zz: xy, yz, zx."""


@dataclass(frozen=True, eq=False)
class DielectricFunction:
    """ε on a grid of frequencies."""

    energies: Array
    """Shape (energies,), eV, from zero, evenly spaced."""
    epsilon: NDArray[np.complex128]
    """Shape (energies, 6): xx, yy, zz, xy, yz, zx."""


def dielectric_function(calc: Any, states: States, settings: Settings, bands: int) -> DielectricFunction:
    """GPAW's linear response in the optical limit, in the random-phase approximation without local fields.

    χ₀ is summed over all pairs of states with a complex shift CSHIFT of the frequency, so that both parts of ε have
    the same broadening (VASP broadens the imaginary part by SIGMA and shifts only the Kramers-Kronig integral).
    Source: J. Yan, J. J. Mortensen, K. W. Jacobsen and K. S. Thygesen, Phys. Rev. B 83, 245122 (2011).

    Parameters
    ----------
    calc : GPAW calculation whose first ``bands`` bands are converged on the whole mesh.
    """
    from gpaw.response.df import DielectricFunction as Response

    energies = frequencies(states, settings)
    response = Response(
        calc,
        frequencies=energies,
        eta=settings.cshift,
        ecut=LEAST_CUTOFF,
        hilbert=False,
        intraband=False,
        nbands=bands,
        txt=None,
    )

    def along(direction: tuple[int, int, int]) -> NDArray[np.complex128]:
        return np.asarray(response.get_dielectric_function(direction=list(direction), filename=None)[0])

    diagonal = [along(d) for d in DIAGONALS]
    mixed = [
        # ε along a face's diagonal is half the sum of both diagonal elements, and the mixed one.
        along(tuple(int(v in (a, b)) for v in range(3)))  # type: ignore[arg-type]
        - 0.5 * (diagonal[a] + diagonal[b])
        for a, b in OFF_DIAGONALS
    ]
    return DielectricFunction(energies, np.stack([*diagonal, *mixed], axis=1))


def frequencies(states: States, settings: Settings) -> Array:
    """NEDOS energies from zero to OMEGAMAX, or to a little beyond the largest transition."""
    highest = settings.omegamax
    if highest is None:
        highest = BEYOND * float(states.eigenvalues.max() - states.eigenvalues.min())
    return np.linspace(0.0, highest, settings.nedos)
