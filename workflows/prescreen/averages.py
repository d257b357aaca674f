"""The prescreened configurations as an ensemble: who holds how much weight, and the average volume, by the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

import numpy as np

from kalloy.workflows.prescreen.ranking import Prescreened
from kalloy.workflows.screening.thermodynamics import Ensemble


@dataclass(frozen=True)
class Averaged:
    """One content at one temperature."""

    content: str
    temperature_K: float
    lowest: str
    share_of_lowest: float
    """Of the weight g·exp(−E/kT)/Z."""
    energy_meV: float
    """⟨E⟩ above the lowest, per cell."""
    volume_change_percent: float
    """⟨V⟩ against the host's."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; JSON has no infinity, so that the limit is a word."""
        return asdict(self) | ({"temperature_K": "inf"} if self.temperature_K == inf else {})


def averages(rows: Sequence[Prescreened], temperatures: Sequence[float]) -> Iterator[Averaged]:
    """Each content at each temperature, contents in which somebody did not converge left out.

    Configurational only: vibrations play no part, and the energies are the model's.
    """
    for content in dict.fromkeys(r.content for r in rows if r.volume_change_percent is not None):
        own = [r for r in rows if r.content == content]
        if any(r.rank is None for r in own):
            continue
        degeneracies = np.array([r.degeneracy for r in own], float)
        ensemble = Ensemble(
            tuple(r.member for r in own), np.array([r.energy_eV for r in own]), degeneracies, degeneracies.sum()
        )
        volumes = [r.volume_change_percent or 0.0 for r in own]
        for temperature in temperatures:
            yield Averaged(
                content,
                temperature,
                own[0].member,
                float(ensemble.weights(temperature)[0]),
                1000 * (ensemble.energy(temperature) - ensemble.lowest),
                ensemble.average(volumes, temperature).value,
            )
