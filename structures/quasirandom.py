"""Special quasirandom structures: configurations whose pairs are mixed as in the random alloy (Zunger et al. 1990).

For every shell of pair distances the share of pairs that hold species a and b is compared with x_a·x_b, what it would
be if each site were occupied by chance. Few configurations are all compared, so that the answer is the best there
is; of many, the best that simulated annealing with exchanges of two atoms finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import islice
from math import exp
from random import Random

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import Configuration, ConfigurationSpace, Content
from kalloy.structures.enumeration import canonical

SAME_SHELL = 0.01
"""Å; distances closer than this are one shell."""
BATCH = 2000
"""How many configurations are compared at a time: bounds the memory."""


@dataclass(frozen=True)
class Quasirandom:
    """A configuration and how far it is from random."""

    configuration: Configuration
    """Enumerated, with its own label, or found by annealing and labelled ``K03/q1``."""
    mismatch: float
    """Σ over shells of (d₁/d)²·Σ over pairs of species of (share − share in the random alloy)²; zero is perfect."""
    exhaustive: bool
    """Whether every configuration was compared, so that none is better."""


class PairShares:
    """How the species of one content are paired, shell by shell.

    Parameters
    ----------
    radius : Å; the longest distance that counts, by default just less than the cell's shortest lattice vector, at which
        every atom meets itself whatever is chosen.
    """

    def __init__(self, space: ConfigurationSpace, content: Content, radius: float | None = None) -> None:
        self.space, self.content = space, content
        self.radius = radius if radius is not None else _shortest_vector(space)
        if not len(self.weights):
            raise SubstitutionError(
                f"no two substitutable sites are within {self.radius:g} Å", mend="give a larger radius"
            )

    @cached_property
    def species(self) -> list[tuple[int, str]]:
        """Every (sublattice, species) that can stand on a site."""
        pairs: dict[tuple[int, str], None] = {}
        for i, sublattice in enumerate(self.space.sublattices):
            pairs[i, sublattice.species] = None
            for substitution, own in zip(self.space.substitutions, self.space.sublattice_of, strict=True):
                if own == i:
                    pairs[i, substitution.with_] = None
        return list(pairs)

    @cached_property
    def shells(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances, shape (shells,), Å, and for each how many images of site j are so far from site i."""
        from pymatgen.core import Structure

        crystal, sites = self.space.host.crystal, list(self.space.site_indices)
        structure = Structure(crystal.lattice, ["H"] * len(sites), crystal.positions[sites])
        centres, points, _, found = structure.get_neighbor_list(self.radius + SAME_SHELL)
        order = np.argsort(found, kind="stable")
        shell = np.empty(len(found), int)
        shell[order] = np.cumsum(np.diff(found[order], prepend=found[order[:1]]) > SAME_SHELL)
        number = int(shell.max()) + 1 if len(found) else 0
        neighbours = np.zeros((number, len(sites), len(sites)))
        np.add.at(neighbours, (shell, centres, points), 1.0)
        distances = np.array([found[shell == i].mean() for i in range(number)])
        return distances, neighbours

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Shape (shells,): (d₁/d)²."""
        distances = self.shells[0]
        return (distances[:1] / distances) ** 2 if len(distances) else distances

    @cached_property
    def _sublattice_of(self) -> NDArray[np.int64]:
        position = {site: i for i, sublattice in enumerate(self.space.sublattices) for site in sublattice.sites}
        return np.array([position[site] for site in self.space.site_indices])

    @cached_property
    def by_chance(self) -> NDArray[np.float64]:
        """Shape (shells, species, species): the shares that occupation by chance gives."""
        chances = np.zeros((self.space.sites, len(self.species)))
        for i, sublattice in enumerate(self.space.sublattices):
            chances[self._sublattice_of == i, self.species.index((i, sublattice.species))] = 1.0
        fractions = self.content.fractions
        for i, substitution, fraction in zip(
            self.space.sublattice_of, self.space.substitutions, fractions, strict=True
        ):
            own, replaced = self._sublattice_of == i, self.space.sublattices[i].species
            chances[own, self.species.index((i, substitution.with_))] = fraction
            chances[own, self.species.index((i, replaced))] -= fraction
        shares: NDArray[np.float64] = self._shares(chances[None])[0]
        return shares

    def one_hot(self, occupations: list[tuple[str, ...]]) -> NDArray[np.float64]:
        """Shape (occupations, sites, species): one where a site holds a species."""
        index = {pair: i for i, pair in enumerate(self.species)}
        numbers = np.array(
            [[index[int(s), name] for s, name in zip(self._sublattice_of, o, strict=True)] for o in occupations]
        )
        held: NDArray[np.float64] = np.eye(len(self.species))[numbers]
        return held

    def mismatch(self, one_hot: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (occupations,): how far each is from random."""
        deviation = self._shares(one_hot) - self.by_chance
        result: NDArray[np.float64] = (deviation**2).sum(axis=(2, 3)) @ self.weights
        return result

    def _shares(self, occupied: NDArray[np.float64]) -> NDArray[np.float64]:
        neighbours = self.shells[1]
        pairs = np.einsum("cia,kij,cjb->ckab", occupied, neighbours, occupied, optimize=True)
        shares: NDArray[np.float64] = pairs / neighbours.sum(axis=(1, 2))[None, :, None, None]
        return shares


class Exchange:
    """One configuration in which pairs of atoms are exchanged; what an exchange changes is all that is computed.

    With X the one-hot occupation and N the neighbours of a shell, exchanging two atoms adds a D of two rows to X, and
    DᵀNX + (DᵀNX)ᵀ + DᵀND to the pairs XᵀNX.
    """

    def __init__(self, shares: PairShares, one_hot: NDArray[np.float64]) -> None:
        self.shares, self.state = shares, one_hot.copy()
        self.neighbours = shares.shells[1]
        self.around = self.neighbours @ self.state
        self.norm = self.neighbours.sum(axis=(1, 2))[:, None, None]
        self.deviation = self.state.T @ self.around / self.norm - shares.by_chance
        self.value = self._value(self.deviation)

    def proposal(self, i: int, j: int) -> tuple[float, NDArray[np.float64]]:
        """The mismatch after exchanging sites i and j, and the deviation that goes with it."""
        rows = self._rows(i, j)
        pairs = rows.T @ self.around[:, [i, j]]
        pairs = pairs + pairs.transpose(0, 2, 1) + rows.T @ self.neighbours[:, [[i], [j]], [i, j]] @ rows
        deviation = self.deviation + pairs / self.norm
        return self._value(deviation), deviation

    def accept(self, i: int, j: int, value: float, deviation: NDArray[np.float64]) -> None:
        """Make an exchange that was proposed."""
        self.around += self.neighbours[:, :, [i, j]] @ self._rows(i, j)
        self.state[[i, j]] = self.state[[j, i]]
        self.value, self.deviation = value, deviation

    def _rows(self, i: int, j: int) -> NDArray[np.float64]:
        return self.state[[j, i]] - self.state[[i, j]]

    def _value(self, deviation: NDArray[np.float64]) -> float:
        return float((deviation**2).sum(axis=(1, 2)) @ self.shares.weights)


def quasirandom(
    space: ConfigurationSpace,
    content: Content,
    number: int = 1,
    *,
    radius: float | None = None,
    limit: int = 20_000,
    steps: int = 20_000,
    seed: int = 0,
) -> list[Quasirandom]:
    """The most random-like configurations of a content, the best first.

    Parameters
    ----------
    number : how many, all different; annealing may find fewer.
    radius : Å; the longest pair distance that counts.
    limit : up to so many configurations, all are compared.
    steps : of annealing, where there are more.
    seed : of annealing.

    Raises
    ------
    SubstitutionError : no pairs within the radius, or no positive number.
    """
    if number < 1:
        raise SubstitutionError(f"{number} is no number of structures", mend="ask for one at least")
    shares = PairShares(space, content, radius)
    if space.count(content) <= limit:
        return nsmallest(number, _compared(space, content, shares), key=lambda found: round(found.mismatch, 10))
    return _annealed(space, content, shares, number, steps, Random(seed))


def _compared(space: ConfigurationSpace, content: Content, shares: PairShares) -> Iterator[Quasirandom]:
    stream = space.configurations(content)
    while batch := list(islice(stream, BATCH)):
        values = shares.mismatch(shares.one_hot([configuration.occupation for configuration in batch]))
        for configuration, value in zip(batch, values, strict=True):
            yield Quasirandom(configuration, float(value), exhaustive=True)


def _annealed(
    space: ConfigurationSpace, content: Content, shares: PairShares, number: int, steps: int, random: Random
) -> list[Quasirandom]:
    from kalloy.structures.sampling import Over, Sampler

    start = Sampler(space, content, random.randrange(2**32), Over.OCCUPATIONS).draw("start").configuration
    current = Exchange(shares, shares.one_hot([start.occupation])[0])
    position = {site: i for i, site in enumerate(space.site_indices)}
    groups = [[position[site] for site in sublattice.sites] for sublattice in space.sublattices]
    hot = 0.3 * max(current.value, 1e-12)
    best = {current.state.tobytes(): (current.value, current.state.copy())}
    for step in range(steps):
        sites = random.choice(groups)
        i, j = random.choice(sites), random.choice(sites)
        if (current.state[i] == current.state[j]).all():
            continue
        value, deviation = current.proposal(i, j)
        if value > current.value and random.random() >= exp((current.value - value) / (hot * 1e-4 ** (step / steps))):
            continue
        current.accept(i, j, value, deviation)
        best[current.state.tobytes()] = (value, current.state.copy())
        if len(best) > 50 * number:
            best = dict(nsmallest(10 * number, best.items(), key=lambda item: item[1][0]))
    return _distinct(space, content, shares, [found for _, found in sorted(best.values(), key=lambda v: v[0])], number)


def _distinct(
    space: ConfigurationSpace,
    content: Content,
    shares: PairShares,
    states: list[NDArray[np.float64]],
    number: int,
) -> list[Quasirandom]:
    """The first so many that symmetry does not make equivalent."""
    found: dict[tuple[int, ...], Quasirandom] = {}
    for state in states:
        choices, degeneracy = canonical(space.permutations, space.stages(content), _choices(space, shares, state))
        if choices not in found:
            configuration = space.configuration(f"{content.label}/q{len(found) + 1}", choices, degeneracy)
            found[choices] = Quasirandom(configuration, float(shares.mismatch(state[None])[0]), exhaustive=False)
        if len(found) == number:
            break
    return list(found.values())


def _choices(space: ConfigurationSpace, shares: PairShares, state: NDArray[np.float64]) -> list[int]:
    top = space.sites - 1
    held = [shares.species[int(i)] for i in state.argmax(axis=1)]
    position = {site: i for i, site in enumerate(space.site_indices)}
    return [
        sum(1 << (top - position[site]) for site in space.sublattices[i].sites if held[position[site]][1] == put.with_)
        for i, put in zip(space.sublattice_of, space.substitutions, strict=True)
    ]


def _shortest_vector(space: ConfigurationSpace) -> float:
    from pymatgen.core import Lattice

    return float(min(Lattice(space.host.crystal.lattice).get_lll_reduced_lattice().abc)) - 2 * SAME_SHELL
