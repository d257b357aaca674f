"""Unbiased random configurations of a space too large to enumerate (Dixon and Wilf 1983).

Burnside's lemma says that the pairs (operation, occupation that it fixes) hold every orbit equally often, as often as
there are operations. So a uniform pair gives a uniform orbit: an operation drawn with probability proportional to the
number of occupations that it fixes, then one of these, uniformly. Nothing is enumerated, and all numbers are exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from math import prod
from random import Random
from typing import TypeVar

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import Configuration, ConfigurationSpace, Content
from kalloy.structures.counting import CycleType, cycle_type, cycles, cycles_taken, fixed
from kalloy.structures.enumeration import canonical
from kalloy.structures.symmetry import Permutation

T = TypeVar("T")


class Over(StrEnum):
    """What every draw is uniform over."""

    ORBITS = "orbits"
    """Each symmetry-distinct configuration is as likely as any other."""
    OCCUPATIONS = "occupations"
    """Each arrangement is, so a configuration in proportion to its degeneracy: the random alloy."""


@dataclass(frozen=True)
class Sample:
    """One independent draw; the same configuration can be drawn again."""

    configuration: Configuration
    """Labelled ``K03/s0007``, occupied like the enumerated configuration that it is equivalent to."""
    probability: float
    """Of this configuration in any one draw: q in the weight g·exp(−E/kT)/q of an average."""


class Sampler:
    """Draws configurations of one content.

    Parameters
    ----------
    seed : the same seed gives the same draws.
    """

    def __init__(self, space: ConfigurationSpace, content: Content, seed: int, over: Over = Over.ORBITS) -> None:
        self.space, self.content, self.over = space, content, over
        self._random = Random(seed)
        self._stages = space.stages(content)
        self._parts = list(dict.fromkeys(stage.sites for stage in self._stages))
        self._counts = [tuple(s.count for s in self._stages if s.sites == part) for part in self._parts]

    def draws(self, number: int) -> Iterator[Sample]:
        """So many independent draws.

        Raises
        ------
        SubstitutionError : a number below one.
        """
        if number < 1:
            raise SubstitutionError(f"{number} is no number of samples", mend="draw one at least")
        width = max(4, len(str(number)))
        for index in range(1, number + 1):
            yield self.draw(f"{self.content.label}/s{index:0{width}d}")

    def draw(self, label: str) -> Sample:
        """One draw."""
        choices, degeneracy = canonical(self.space.permutations, self._stages, self._placement(self._operation()))
        if self.over is Over.ORBITS:
            probability = 1 / self.space.count(self.content)
        else:
            probability = degeneracy / self.content.total
        return Sample(self.space.configuration(label, choices, degeneracy), probability)

    # -- inside --------------------------------------------------------------

    @cached_property
    def _candidates(self) -> tuple[Permutation, ...]:
        """Of uniform arrangements the identity fixes all, so it alone is drawn from."""
        everyone = self.space.permutations
        return everyone if self.over is Over.ORBITS else (tuple(range(self.space.sites)),)

    @cached_property
    def _cumulated(self) -> list[int]:
        return list(accumulate(self._fixed(permutation) for permutation in self._candidates))

    def _fixed(self, permutation: Permutation) -> int:
        return prod(
            fixed(cycle_type(permutation, part), counts) for part, counts in zip(self._parts, self._counts, strict=True)
        )

    def _operation(self) -> Permutation:
        return self._candidates[bisect_right(self._cumulated, self._random.randrange(self._cumulated[-1]))]

    def _placement(self, permutation: Permutation) -> list[int]:
        """A uniform choice among the occupations that a permutation fixes, one integer a stage."""
        size = self.space.sites
        placed: dict[tuple[int, ...], Iterator[list[int]]] = {
            part: iter(self._coloured(cycles(permutation, part), counts))
            for part, counts in zip(self._parts, self._counts, strict=True)
        }
        return [sum(1 << (size - 1 - site) for site in next(placed[stage.sites])) for stage in self._stages]

    def _coloured(self, free: list[list[int]], counts: Sequence[int]) -> Iterator[list[int]]:
        """Whole cycles for one species after the other: the sites that each gets."""
        for i, count in enumerate(counts):
            by_length: dict[int, list[list[int]]] = {}
            for cycle in free:
                by_length.setdefault(len(cycle), []).append(cycle)
            kind = tuple(sorted((length, len(own)) for length, own in by_length.items()))
            left = dict(self._left_over(kind, count, tuple(counts[i + 1 :])))
            sites: list[int] = []
            free = []
            for length, own in sorted(by_length.items()):
                chosen, rest = self._split(own, len(own) - left.get(length, 0))
                sites += [site for cycle in chosen for site in cycle]
                free += rest
            yield sites

    def _left_over(self, kind: CycleType, count: int, later: tuple[int, ...]) -> CycleType:
        """How many cycles of each length one species leaves, drawn by the number of occupations it stands for."""
        ways = [(number * fixed(rest, later), rest) for number, rest in cycles_taken(kind, count)]
        drawn = self._random.randrange(sum(number for number, _ in ways))
        return ways[bisect_right(list(accumulate(number for number, _ in ways)), drawn)][1]

    def _split(self, items: Sequence[T], number: int) -> tuple[list[T], list[T]]:
        """So many of the items at random, and the rest."""
        pool = list(items)
        for i in range(number):
            j = i + self._random.randrange(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:number], pool[number:]
