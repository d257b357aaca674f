"""Averages over a random sample of configurations: each draw weighs g·exp(−E/kT)/q, errors come from a bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import AverageError
from kalloy.workflows.screening.thermodynamics import BOLTZMANN, Estimate, log_weights, normalised

Floats = NDArray[np.float64]

LEAST_EFFECTIVE = 10.0
"""Effective draws below which an average is refused: a handful of draws would decide it."""
RESAMPLES = 400
"""Of the bootstrap."""


@dataclass(frozen=True, eq=False)
class SampledEnsemble:
    """Independent draws from the configurations of one content (`kalloy.structures.sampling.Sampler`).

    The same configuration can be drawn more than once and then stands here as often: the estimator counts draws.
    """

    labels: tuple[str, ...]
    """One a draw."""
    energies: Floats
    """Shape (draws,), eV per cell."""
    degeneracies: Floats
    """Shape (draws,)."""
    probabilities: Floats
    """Shape (draws,): q, with which the draw's orbit was to be drawn."""

    def __post_init__(self) -> None:
        for name in ("energies", "degeneracies", "probabilities"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not len(self.labels) == len(self.energies) == len(self.degeneracies) == len(self.probabilities) > 0:
            raise ValueError("a sample needs draws with an energy, a degeneracy and a probability each")
        if (self.probabilities <= 0).any() or (self.degeneracies <= 0).any():
            raise ValueError("probabilities and degeneracies are positive")

    def log_weights(self, temperature: float) -> Floats:
        """Shape (draws,): ln(g/q) − (E − E₀)/kT."""
        return log_weights(self.energies, self.degeneracies / self.probabilities, temperature)

    def weights(self, temperature: float) -> Floats:
        """Shape (draws,): self-normalised importance weights; they sum to one."""
        return normalised(self.log_weights(temperature))

    def effective_size(self, temperature: float) -> float:
        """(Σw)²/Σw²: how many equally weighted draws the sample is worth (Kish 1965)."""
        weights = self.weights(temperature)
        return float(1 / (weights @ weights))

    def average(self, values: ArrayLike, temperature: float) -> Estimate:
        """⟨A⟩ with its bootstrap error.

        Parameters
        ----------
        values : shape (draws,).

        Raises
        ------
        AverageError
            Below ten effective draws.
        """
        self._require_size(temperature)
        figures, weights = np.asarray(values, np.float64), self.weights(temperature)
        mean = float(weights @ figures)
        spread = float(np.sqrt(weights @ (figures - mean) ** 2))
        counts = self._resampled()
        again = (counts * (weights * figures)).sum(axis=1) / (counts * weights).sum(axis=1)
        return Estimate(mean, float(again.std(ddof=1)), spread)

    def free_energy(self, temperature: float) -> Estimate:
        """F = −kT ln Z with Z = ⟨g exp(−E/kT)/q⟩ over the draws, eV per cell; the error from the bootstrap.

        Raises
        ------
        AverageError
            Below ten effective draws.
        """
        self._require_size(temperature)
        if temperature == inf:
            raise ValueError("a free energy has no limit at infinite temperature")
        logs = self.log_weights(temperature)
        top = float(logs.max())
        thermal, lowest = BOLTZMANN * temperature, float(self.energies.min())
        bare = np.exp(logs - top)
        sums = (self._resampled() * bare).mean(axis=1)
        value = lowest - thermal * (top + float(np.log(bare.mean())))
        return Estimate(value, float((thermal * np.log(sums)).std(ddof=1)), 0.0)

    def _resampled(self) -> Floats:
        """Shape (resamples, draws): how often each draw comes in a resample."""
        number = len(self.labels)
        random = np.random.default_rng(0)  # the same sample gives the same error bar
        return random.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(np.float64)

    def _require_size(self, temperature: float) -> None:
        if (effective := self.effective_size(temperature)) < LEAST_EFFECTIVE:
            raise AverageError(
                f"{len(self.labels)} draws are worth {effective:.1f} at {temperature:g} K: "
                f"an average needs {LEAST_EFFECTIVE:.0f}",
                mend="draw more, average at a higher temperature, or enumerate the set",
            )
