"""Thermal averages of an alloy as plain data: for the terminal, for JSON, for whoever draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from kalloy.workflows.screening.alloy import QUANTITIES, Alloy
from kalloy.workflows.screening.diffraction import mean_lattice
from kalloy.workflows.screening.mixing import above_hull, bowing
from kalloy.workflows.screening.thermodynamics import BOLTZMANN, Ensemble, Estimate


@dataclass(frozen=True)
class Averages:
    """One content at one temperature."""

    content: str
    temperature: float
    """K."""
    covered: float
    """Part of all arrangements that is computed: the averages are over these alone."""
    energy_meV_fu: float
    """⟨E⟩ above the lowest configuration, meV per formula unit."""
    free_energy_meV_fu: float | None
    """F above the same, likewise; None at infinite temperature."""
    entropy_kB: float
    """S/k of the cell."""
    entropy_of_ideal: float | None
    """S over the ideal entropy of an infinite crystal at this content; None for an end member."""
    heat_capacity_kB: float
    """Of the cell."""
    lowest_weight: float
    """Probability of the lowest configuration with all its arrangements."""
    quantities: dict[str, Estimate]
    """By name of `QUANTITIES`."""
    occupancies: dict[tuple[str, str], Estimate]
    """By substituent and Wyckoff position: the part of its sites that is taken."""
    mean_cell: tuple[float, ...] | None
    """a, b, c (Å), α, β, γ (degrees) of the mean cell in the host's conventional axes and its crystal system."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names; the limit of infinite temperature is ``"inf"``."""
        return {
            "content": self.content,
            "temperature_K": "inf" if self.temperature == inf else self.temperature,
            "covered_arrangements": self.covered,
            "energy_meV_per_formula_unit": self.energy_meV_fu,
            "free_energy_meV_per_formula_unit": self.free_energy_meV_fu,
            "entropy_kB_per_cell": self.entropy_kB,
            "entropy_of_ideal": self.entropy_of_ideal,
            "heat_capacity_kB_per_cell": self.heat_capacity_kB,
            "weight_of_lowest": self.lowest_weight,
            "averages": {n: _estimate(e) | {"unit": QUANTITIES[n]} for n, e in self.quantities.items()},
            "occupancies": {f"{s} on {p}": _estimate(e) for (s, p), e in self.occupancies.items()},
            "mean_cell": list(self.mean_cell) if self.mean_cell else None,
        }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "error": estimate.error, "spread": estimate.spread}


def averages(alloy: Alloy, temperatures: Sequence[float], names: Sequence[str]) -> Iterator[Averages]:
    """Every content at every temperature.

    Parameters
    ----------
    temperatures : K; 0 and infinity are allowed.
    names : of `QUANTITIES`.
    """
    units = alloy.ranking.formula_units
    for content, ensemble in alloy.ensembles.items():
        values = {name: alloy.values(content, name) for name in names}
        occupancies = alloy.occupancies(content)
        ideal = _ideal(alloy, content, ensemble)
        for kelvin in temperatures:
            free = ensemble.free_energy(kelvin)
            entropy = ensemble.entropy(kelvin) / BOLTZMANN
            yield Averages(
                content=content,
                temperature=kelvin,
                covered=ensemble.covered,
                energy_meV_fu=1000 * (ensemble.energy(kelvin) - ensemble.lowest) / units,
                free_energy_meV_fu=1000 * (free - ensemble.lowest) / units if free > -inf else None,
                entropy_kB=entropy,
                entropy_of_ideal=entropy / ideal if ideal else None,
                heat_capacity_kB=ensemble.heat_capacity(kelvin) / BOLTZMANN,
                lowest_weight=float(ensemble.weights(kelvin)[0]),
                quantities={
                    name: ensemble.average_energy(kelvin) if name == "energy" else ensemble.average(v, kelvin)
                    for name, v in values.items()
                },
                occupancies={where: ensemble.average(v, kelvin) for where, v in occupancies.items()},
                mean_cell=_mean_cell(alloy, content, ensemble, kelvin),
            )


def _ideal(alloy: Alloy, content: str, ensemble: Ensemble) -> float | None:
    factor = alloy.finite_cell_factor(content)
    return float(np.log(ensemble.arrangements)) / factor if factor else None


def _mean_cell(alloy: Alloy, content: str, ensemble: Ensemble, kelvin: float) -> tuple[float, ...] | None:
    lattices = alloy.lattices(content)
    if not np.isfinite(lattices).all():
        return None
    mean = mean_lattice(alloy.metric, lattices, ensemble.weights(kelvin))
    return tuple(float(v) for v in alloy.metric.parameters(mean))


def mixing_rows(alloy: Alloy, temperatures: Sequence[float]) -> list[dict[str, Any]]:
    """One row a content: mixing energy, distance to the pseudo-binary hull, mixing free energies.

    Raises
    ------
    AverageError
        Where an end member is missing, or there are several substitutions.
    """
    mixing = alloy.mixing()
    hull = above_hull(mixing.fractions, mixing.lowest)
    free = {t: mixing.free_energies(t) for t in temperatures if 0 < t < inf}
    return [
        {
            "fraction": float(x),
            "lowest": mixing.ensembles[i].labels[0],
            "mixing_meV_per_formula_unit": 1000 * float(mixing.lowest[i]),
            "above_hull_meV_per_formula_unit": 1000 * float(hull[i]),
            **{f"free_energy_{t:g}K_meV_per_formula_unit": 1000 * float(f[i]) for t, f in free.items()},
        }
        for i, x in enumerate(mixing.fractions)
    ]


def bowings(alloy: Alloy, names: Sequence[str], temperature: float) -> dict[str, dict[str, float | None]]:
    """Bowing of quantities averaged at one temperature, by name; none where no content lies between the ends."""
    mixing = alloy.mixing()
    if len(mixing.fractions) < 3:
        return {}
    rows = [alloy.statics.rows(e.labels) for e in mixing.ensembles]
    found = {}
    for name in names:
        means = [
            e.average(alloy.of_rows(r, name), temperature).value for e, r in zip(mixing.ensembles, rows, strict=True)
        ]
        bow = bowing(mixing.fractions, means)
        found[name] = {"bowing": bow.parameter, "error": bow.error, "largest_residual": bow.largest_residual}
    return found


def trust(alloy: Alloy, found: Sequence[Averages]) -> list[str]:
    """How far the averages can be trusted, one line each."""
    lines = [line for agreement in alloy.ranking.agreement for line in agreement.doubts()]
    for content, ensemble in alloy.ensembles.items():
        if ensemble.covered < 1 - 1e-12:
            lines.append(
                f"{content}: {ensemble.covered:.1%} of the arrangements are computed; averages are over these alone, "
                "and F is an upper bound"
            )
        factor = alloy.finite_cell_factor(content)
        if factor:
            lines.append(f"{content}: entropies of this cell reach {factor:.2f} of the infinite crystal's at most")
    if all(e.noise is None for e in alloy.ensembles.values()):
        lines.append("no error bars: the noise of the energies is not measured ([noise] duplicate, rattle)")
    else:
        lines.append("error bars: the energies' measured noise carried through the weights, nothing else")
    lines.append("configurations only: no vibrations, no zero-point energies, pressure 0")
    if any("gap" in a.quantities or "direct_gap" in a.quantities for a in found):
        lines.append("gaps are those of the static mesh, which every member has; other k-points can lower them")
    return list(dict.fromkeys(lines))


def estimate_text(estimate: Estimate, digits: int) -> str:
    """``3.912 ± 0.004``, or the value alone where no error is known."""
    value = f"{estimate.value:.{digits}f}"
    return value if estimate.error is None else f"{value} ± {estimate.error:.{digits}f}"


DIGITS: Mapping[str, int] = {"energy": 4, "volume": 2, "gap": 3, "direct_gap": 3, "alpha": 2, "beta": 2, "gamma": 2}
"""Decimals on a terminal; three for what is not named."""
