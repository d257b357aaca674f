"""Contents in exchange with a reservoir: the semi-grand canonical ensemble, and exchange with reference phases.

The sites are fixed and only their occupants change, so that one difference of chemical potentials decides:
Δμ = μ(substituent) − μ(what it replaces), p ∝ g exp(−(E − n Δμ)/kT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import AverageError
from kalloy.workflows.screening.thermodynamics import BOLTZMANN, Ensemble, normalised

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GrandCanonical:
    """The ensembles of several contents, joined."""

    ensembles: Mapping[int, Ensemble]
    """By the number of substituted sites n; the host is n = 0."""
    sites: int
    """Of the sublattice."""

    @property
    def missing(self) -> list[int]:
        """The contents that are not computed: the sum runs over the others as if these did not exist."""
        return [n for n in range(self.sites + 1) if n not in self.ensembles]

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        return np.array(sorted(self.ensembles))

    def probabilities(self, difference: float, temperature: float) -> Floats:
        """Shape (contents,): of each content by rising n.

        Parameters
        ----------
        difference : Δμ, eV per atom.
        temperature : K, above zero and finite.
        """
        if not 0 < temperature < np.inf:
            raise ValueError(f"{temperature} K is no temperature for an exchange of atoms")
        free = np.array([self.ensembles[n].free_energy(temperature) for n in self._numbers.tolist()])
        reduced = (free - self._numbers * difference) / (BOLTZMANN * temperature)
        return normalised(-reduced)

    def content(self, difference: float, temperature: float) -> tuple[float, float]:
        """⟨n⟩/sites and its standard deviation in this cell."""
        weights = self.probabilities(difference, temperature)
        fractions = self._numbers / self.sites
        mean = float(weights @ fractions)
        return mean, float(np.sqrt(weights @ (fractions - mean) ** 2))

    @property
    def balanced(self) -> float:
        """Δμ at which both end members are equally favourable at 0 K, eV per atom: a zero to count from.

        Raises
        ------
        AverageError
            Where an end member is missing.
        """
        if 0 not in self.ensembles or self.sites not in self.ensembles:
            raise AverageError("an end member is not computed", mend="ask for both: `count` takes a list")
        return (self.ensembles[self.sites].lowest - self.ensembles[0].lowest) / self.sites


def exchange_energy(alloy: float, host: float, number: int, source: float, product: float) -> float:
    """host + n source → alloy + n product, eV per exchanged atom; negative where the exchange runs by itself at 0 K.

    Parameters
    ----------
    alloy, host : eV per cell.
    number : n, atoms exchanged in the cell.
    source, product : eV per formula unit of the reference phases, KBr and CsBr, of which one atom is exchanged each.
    """
    return (alloy - host) / number + product - source


def reservoir(source: float, product: float) -> float:
    """Δμ = μ(K) − μ(Cs) in equilibrium with both solids, eV per atom: E(KBr) − E(CsBr), the anion's part cancels."""
    return source - product
