"""A small alloy whose every arrangement can be summed by hand: K on the eight Cs of primitive Cs4PbBr6."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.geometry import Geometry
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution
from kalloy.workflows.screening.thermodynamics import Ensemble


@dataclass(frozen=True)
class Toy:
    """Energies by a sum over sites and pairs that knows nothing of orbits."""

    space: ConfigurationSpace

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        return Geometry(self.space).distances

    @cached_property
    def on_6a(self) -> list[bool]:
        return [self.space.host.wyckoff[site][0] == "6a" for site in self.space.site_indices]

    def energy(self, sites: tuple[int, ...]) -> float:
        """eV: sites of 6a are cheaper, near pairs are dear, whatever their order."""
        pairs = sum(0.3 * np.exp(-self.distances[i, j] / 4) for i, j in combinations(sites, 2))
        return float(pairs - 0.04 * sum(self.on_6a[i] for i in sites))

    def arrangements(self, number: int) -> Iterator[tuple[int, ...]]:
        return combinations(range(self.space.sites), number)

    def orbits(self, number: int) -> list[tuple[tuple[int, ...], int]]:
        """A member of each orbit as positions on the sublattice, and its degeneracy."""
        content = next(c for c in self.space.contents if c.counts == (number,))
        top = self.space.sites - 1
        return [
            (tuple(top - bit for bit in range(top, -1, -1) if choices[0] >> bit & 1), g)
            for choices, g in self.space.orbits(content)
        ]

    def ensemble(self, number: int, noise: float | None = None) -> Ensemble:
        orbits = self.orbits(number)
        return Ensemble(
            tuple(f"c{i}" for i in range(1, len(orbits) + 1)),
            np.array([self.energy(sites) for sites, _ in orbits]),
            np.array([g for _, g in orbits], float),
            sum(g for _, g in orbits),
            noise,
        )


@pytest.fixture(scope="session")
def make_toy() -> Callable[[str], Toy]:
    """By the cell: ``primitive`` (8 sites) or ``conventional`` (24 sites)."""
    return lambda cell: Toy(ConfigurationSpace(load_host("Cs4PbBr6", cell), [Substitution("Cs", "K")]))


@pytest.fixture(scope="session")
def toy(make_toy: Callable[[str], Toy]) -> Toy:
    return make_toy("primitive")


@pytest.fixture(scope="session")
def chgnet(shared: Path) -> Ensemble:
    """The 70 configurations of K3Cs21Pb6Br36, relaxed with a potential that is no part of this code."""
    raw = json.loads((shared / "structures" / "chgnet_k3cs21pb6br36.json").read_text())
    rows = raw["tight"]["configurations"]
    return Ensemble(
        tuple(f"{r['spacegroup']} {r['wyckoff']} {i}" for i, r in enumerate(rows)),
        np.array([r["energy_eV"] for r in rows]),
        np.array([r["degeneracy"] for r in rows], float),
        2024,
    )
