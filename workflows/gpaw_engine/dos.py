"""The density of states: how many states lie below each energy, and how that number grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.filling import fraction_below
from kalloy.workflows.gpaw_engine.settings import Settings
from kalloy.workflows.gpaw_engine.states import States

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DensityOfStates:
    """States against energy, as VASP tabulates them."""

    energies: Array
    """Shape (energies,), eV, evenly spaced."""
    total: Array
    """Shape (spins, energies), states per eV and cell: growth of ``integrated`` since the energy before."""
    integrated: Array
    """Shape (spins, energies), states per cell below each energy."""
    projected: Array | None
    """Shape (atoms, spins, energies, 9), states per eV inside each sphere by orbital; None without projections."""


def density_of_states(states: States, settings: Settings) -> DensityOfStates:
    """The density of states of smeared levels, or of levels between which tetrahedra interpolate.

    A level at e, smeared, has a fraction f((e - E)/SIGMA) below E, f the occupation function of ISMEAR. Like VASP this
    takes the difference quotient of the number of states, so that no state is lost between two energies.
    """
    energies = energy_grid(states, settings)
    step = energies[1] - energies[0]
    edges = np.concatenate([[energies[0] - step], energies])
    full = states.full
    counts = np.zeros((states.spins, len(edges)))
    projected = None
    weights = states.averaged if states.averaged is not None else states.projections
    if weights is not None:
        projected = np.zeros((weights.shape[3], len(weights), len(edges), weights.shape[4]))
    for s in range(states.spins):
        for part, below in _parts_below(states, s, edges, settings):
            counts[s] += full * below.sum(axis=0)
            if projected is not None and weights is not None:
                for component in range(len(weights)) if states.spinors else (s,):
                    projected[:, component] += np.einsum(
                        "je,jal->ael", full * below, weights[component][part], optimize=True
                    )
    return DensityOfStates(
        energies=energies,
        total=np.diff(counts, axis=1) / step,
        integrated=counts[:, 1:],
        projected=None if projected is None else np.diff(projected, axis=2) / step,
    )


def _parts_below(states: States, spin: int, edges: Array, settings: Settings) -> Iterator[tuple[Any, Array]]:
    """How much of each state lies below each energy, a k-point or, with tetrahedra, a band at a time.

    Yields
    ------
    Which states of the arrays (k-point, band), and shape (states, energies).
    """
    eigenvalues = states.eigenvalues[spin]
    if states.tetrahedra is not None:
        for n in range(states.bands):
            yield (slice(None), n), states.tetrahedra.below(eigenvalues[:, n], edges)
        return
    for k, weight in enumerate(states.weights):
        yield (k, slice(None)), weight * fraction_below(eigenvalues[k][:, None] - edges, settings)


def energy_grid(states: States, settings: Settings) -> Array:
    """NEDOS energies from EMIN to EMAX, or over all eigenvalues with room for their smearing."""
    room = 10 * max(settings.sigma, 0.05)
    low = settings.emin if settings.emin is not None else states.eigenvalues.min() - room
    high = settings.emax if settings.emax is not None else states.eigenvalues.max() + room
    return np.linspace(low, high, settings.nedos)
