"""Who goes on: the rules by which a step chooses among ranked configurations, each content by itself."""

from __future__ import annotations

import numpy as np

from kalloy.workflows.screening.ranking import Order, Ranking
from kalloy.workflows.screening.thermodynamics import Ensemble
from kalloy.workflows.spec import On

ROUNDING_MEV = 1e-6
"""Beyond a window's edge: what lies on it to the last digit of an energy is in it."""


def chosen(ranking: Ranking, on: On) -> list[str]:
    """The configurations that a step's rules ask for, lowest first; what several rules name comes once.

    ``lowest`` takes so many, ``within_meV`` an energy window per formula unit of the host, ``weight`` the fewest that
    carry that part of the Boltzmann weight at ``temperature``, of what is computed.
    """
    found = []
    for order in ranking.orders:
        taken = np.zeros(len(order.members), bool)
        taken[: on.lowest] = True
        if on.within_meV is not None:
            taken |= order.relative_meV <= on.within_meV * ranking.formula_units + ROUNDING_MEV
        if on.weight is not None and on.temperature is not None and len(taken):
            taken[covering(order, on.weight, on.temperature)] = True
        found += [member for member, yes in zip(order.members, taken, strict=True) if yes]
    return found


def covering(order: Order, weight: float, temperature: float) -> list[int]:
    """The fewest members that together carry a part of the Boltzmann weight.

    Parameters
    ----------
    weight : above 0, at most 1.
    temperature : K.
    """
    weights = Ensemble(order.members, order.energies, order.degeneracies, order.degeneracies.sum()).weights(temperature)
    heaviest = np.argsort(-weights, kind="stable")
    carried = np.cumsum(weights[heaviest])
    enough = int(np.searchsorted(carried, weight - 1e-12)) + 1
    return sorted(heaviest[:enough].tolist())


def remarks(ranking: Ranking, on: On) -> list[str]:
    """What a reader of the record should know: who was left out although the noise cannot tell it from who was not."""
    lines = []
    for order in ranking.orders:
        if not 0 < on.lowest < len(order.members):
            continue
        last = order.ties[on.lowest - 1]
        left = [m for m, tie in zip(order.members[on.lowest :], order.ties[on.lowest :], strict=True) if tie == last]
        if left:
            some = ", ".join(left[:4]) + (", …" if len(left) > 4 else "")
            lines.append(
                f"{some}: within the noise of {order.members[on.lowest - 1]}, the last of the {on.lowest} lowest"
            )
    return lines
