"""The canonical ensemble of the configurations of one content: weights, averages, entropy, free energy.

Configurations stand for g arrangements each, so that Z = Σ g exp(−(E − E₀)/kT) runs over all W arrangements of the cell
although only one of each orbit is computed (R. Grau-Crespo et al., J. Phys.: Condens. Matter 19, 256201 (2007)).
Nothing here knows a file; every sum is made of logarithms, so that no temperature overflows and both limits are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import AverageError

Floats = NDArray[np.float64]

BOLTZMANN = 8.617333262e-5
"""k in eV/K (CODATA 2018, exact by the definition of the SI)."""
SMALL_NOISE = 0.25
"""Of kT: up to this noise in the energies is propagated to first order, beyond it by drawing the energies anew."""
DRAWS = 256
"""How often energies are drawn anew."""


@dataclass(frozen=True)
class Estimate:
    """An average, how sure it is, and how far the configurations themselves lie apart."""

    value: float
    error: float | None
    """Standard error; None where nothing is known of the noise."""
    spread: float
    """Standard deviation over the ensemble: a property of the alloy and no error."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The computed configurations of one content."""

    labels: tuple[str, ...]
    energies: Floats
    """Shape (n,), eV per cell."""
    degeneracies: Floats
    """Shape (n,), arrangements each stands for."""
    arrangements: float
    """W: how many there are in all, computed or not."""
    noise: float | None = None
    """eV per cell, standard error of one energy against another; None where unknown."""

    def __post_init__(self) -> None:
        for name in ("energies", "degeneracies"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not len(self.labels) == len(self.energies) == len(self.degeneracies) > 0:
            raise ValueError("an ensemble needs members with one energy and one degeneracy each")
        if not np.isfinite(self.energies).all() or (self.degeneracies <= 0).any():
            raise ValueError("energies are finite and degeneracies positive")

    @property
    def covered(self) -> float:
        """The part of all arrangements that the computed configurations stand for."""
        return float(self.degeneracies.sum() / self.arrangements)

    @cached_property
    def lowest(self) -> float:
        """E₀, eV per cell."""
        return float(self.energies.min())

    def log_weights(self, temperature: float) -> Floats:
        """Shape (n,): ln g − (E − E₀)/kT, without bound at neither end.

        Parameters
        ----------
        temperature : K; 0 and infinity are the limits themselves.
        """
        return log_weights(self.energies, self.degeneracies, temperature)

    def weights(self, temperature: float) -> Floats:
        """Shape (n,): p = g exp(−(E − E₀)/kT)/Z, the probability of each orbit; they sum to one."""
        return normalised(self.log_weights(temperature))

    def log_partition(self, temperature: float) -> float:
        """ln Z, energies counted from E₀, over what is computed."""
        return _log_sum(self.log_weights(temperature))

    # -- functions of state -----------------------------------------------------

    def energy(self, temperature: float) -> float:
        """⟨E⟩, eV per cell."""
        return self.lowest + float(self.weights(temperature) @ (self.energies - self.lowest))

    def free_energy(self, temperature: float) -> float:
        """F = E₀ − kT ln Z, eV per cell: of the configurations alone, without vibrations.

        Of a set computed in part an upper bound: every missing configuration adds to Z.
        """
        if temperature == inf:
            return -inf if self.degeneracies.sum() > 1 else self.lowest
        return self.lowest - BOLTZMANN * temperature * self.log_partition(temperature)

    def entropy(self, temperature: float) -> float:
        """S = (⟨E⟩ − F)/T, eV/K per cell, written without the division so that T → 0 gives k ln g₀."""
        above = float(self.weights(temperature) @ self._reduced(temperature))
        return BOLTZMANN * (self.log_partition(temperature) + above)

    def heat_capacity(self, temperature: float) -> float:
        """(⟨E²⟩ − ⟨E⟩²)/kT², eV/K per cell; 0 in both limits."""
        weights, above = self.weights(temperature), self._reduced(temperature)
        return BOLTZMANN * float(weights @ (above - weights @ above) ** 2)

    def _reduced(self, temperature: float) -> Floats:
        """(E − E₀)/kT of what has any weight, else 0."""
        above = self.energies - self.lowest
        if temperature in (0, inf):
            return np.zeros_like(above)
        return above / (BOLTZMANN * temperature)

    # -- averages -----------------------------------------------------------------

    def average_energy(self, temperature: float) -> Estimate:
        """⟨E⟩, eV per cell, with its error: the noise of each energy enters its weight and the figure itself."""
        mean, weights = self.energy(temperature), self.weights(temperature)
        spread = float(np.sqrt(weights @ (self.energies - mean) ** 2))
        return Estimate(mean, self._error(self.energies, mean, temperature, 0.0, of_energy=True), spread)

    def average(self, values: ArrayLike, temperature: float, value_noise: float = 0.0) -> Estimate:
        """⟨A⟩ = Σ p A of one figure a member, with its error; for energies see `average_energy`.

        Parameters
        ----------
        values : shape (n,); NaN where a member has no such figure, which is an error where it has weight.
        value_noise : standard error of each value.

        Raises
        ------
        AverageError
            Where members without the figure carry weight: an average over the others would be another one.
        """
        figures = np.asarray(values, np.float64)
        weights = self.weights(temperature)
        known = np.isfinite(figures)
        if weights[~known].sum() > 1e-6:
            missing = [label for label, yes in zip(self.labels, known, strict=True) if not yes]
            raise AverageError(
                f"{weights[~known].sum():.1%} of the weight at {temperature:g} K lies on members without this figure "
                f"({', '.join(missing[:4])}{', …' if len(missing) > 4 else ''})",
                mend="compute the stage that gives it for them, or average over a selection that has it",
            )
        filled = np.where(known, figures, 0.0)
        mean = float(weights @ filled)
        spread = float(np.sqrt(max(weights @ np.where(known, filled - mean, 0.0) ** 2, 0.0)))
        return Estimate(mean, self._error(filled, mean, temperature, value_noise), spread)

    def average_spectrum(self, spectra: ArrayLike, temperature: float) -> tuple[Floats, Floats]:
        """The average of curves on one common grid, and their standard deviation over the ensemble.

        Parameters
        ----------
        spectra : shape (n, points).

        Returns
        -------
        Two arrays of shape (points,).
        """
        curves, weights = np.asarray(spectra, np.float64), self.weights(temperature)
        mean = weights @ curves
        return mean, np.sqrt(weights @ (curves - mean) ** 2)

    def _error(
        self, values: Floats, mean: float, temperature: float, value_noise: float, of_energy: bool = False
    ) -> float | None:
        """Of ⟨A⟩ from independent errors in every energy and every value.

        To first order ∂⟨A⟩/∂Eᵢ = −pᵢ(Aᵢ − ⟨A⟩)/kT, for ⟨E⟩ itself pᵢ more. Where the noise is not small beside kT that
        misses who might have been the lowest, and the energies are drawn anew from normal distributions instead.
        """
        if self.noise is None:
            return None
        weights = self.weights(temperature)
        own = value_noise * float(np.sqrt(weights @ weights))
        thermal = BOLTZMANN * temperature
        if self.noise <= SMALL_NOISE * thermal:
            slope = -weights * (values - mean) / thermal if 0 < thermal < inf else np.zeros_like(values)
            slope += weights if of_energy else 0.0
            return float(np.hypot(self.noise * np.linalg.norm(slope), own))
        return float(np.hypot(np.std(self._drawn_means(values, temperature, of_energy)), own))

    def _drawn_means(self, values: Floats, temperature: float, of_energy: bool = False) -> Floats:
        assert self.noise is not None
        random = np.random.default_rng(0)  # the same data gives the same error bar
        reach = 20 * BOLTZMANN * temperature + 8 * self.noise
        near = self.energies - self.lowest < reach  # nobody else can gain weight
        energies, degeneracies, figures = self.energies[near], self.degeneracies[near], values[near]
        means = np.empty(DRAWS)
        for i in range(DRAWS):
            drawn = energies + random.normal(0, self.noise, len(energies))
            means[i] = normalised(log_weights(drawn, degeneracies, temperature)) @ (drawn if of_energy else figures)
        return means


def log_weights(energies: Floats, degeneracies: Floats, temperature: float) -> Floats:
    """ln g − (E − E₀)/kT, shape (n,).

    Parameters
    ----------
    energies : shape (n,), eV per cell.
    temperature : K; at 0 only the lowest have weight, at infinity all arrangements have the same.
    """
    if not temperature >= 0:
        raise ValueError(f"{temperature} K is no temperature")
    above = energies - energies.min()
    logs = np.log(degeneracies)
    if temperature == 0:
        return np.where(above == 0, logs, -inf)
    return logs - above / (BOLTZMANN * temperature)


def normalised(logs: Floats) -> Floats:
    """exp of logarithms, scaled to sum to one."""
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _log_sum(logs: Floats) -> float:
    from scipy.special import logsumexp

    return float(logsumexp(logs))


def ideal_entropy(sublattices: Iterable[tuple[int, Sequence[int]]]) -> float:
    """−k Σ x ln x over all sites, eV/K: what random occupation of an infinite crystal has for as many sites.

    Parameters
    ----------
    sublattices : of each the number of sites and how many each substitution takes.
    """
    total = 0.0
    for sites, counts in sublattices:
        parts = [*counts, sites - sum(counts)]
        total -= sum(n * log(n / sites) for n in parts if n)
    return BOLTZMANN * total


def finite_cell_factor(arrangements: float, sublattices: Iterable[tuple[int, Sequence[int]]]) -> float | None:
    """k ln W over the ideal entropy: what part of it a cell of this size can hold at all.

    Averages converge fast with the cell's size, entropies do not: 0.84 for 3 of 24 sites, 0.69 for 1 of 8.

    Returns
    -------
    None for a pure end member, which has neither.
    """
    ideal = ideal_entropy(sublattices)
    return BOLTZMANN * log(arrangements) / ideal if ideal > 0 else None
