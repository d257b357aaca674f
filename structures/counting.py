"""Exact numbers of symmetry-distinct occupations before any is enumerated (Burnside's lemma, Pólya's cycle index)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import comb

from kalloy.structures.symmetry import Permutation

CycleType = tuple[tuple[int, int], ...]
"""How many cycles of each length, as (length, number) in rising length: (1, 2), (3, 2) of 8 sites."""


def cycles(permutation: Permutation, sites: Iterable[int] | None = None) -> list[list[int]]:
    """The cycles of a permutation, or those of them that lie in a set of sites which it maps on itself."""
    seen: set[int] = set()
    found = []
    for start in range(len(permutation)) if sites is None else sites:
        cycle = []
        site = start
        while site not in seen:
            seen.add(site)
            cycle.append(site)
            site = permutation[site]
        if cycle:
            found.append(cycle)
    return found


def cycle_type(permutation: Permutation, sites: Iterable[int] | None = None) -> CycleType:
    """How many cycles of each length a permutation has, on all sites or on some."""
    return tuple(sorted(Counter(len(cycle) for cycle in cycles(permutation, sites)).items()))


def arrangements(sites: int, counts: Iterable[int]) -> int:
    """In how many ways species can be put on distinguishable sites: the multinomial coefficient."""
    ways = 1
    for count in counts:
        ways *= comb(sites, count)
        sites -= count
    return ways


@lru_cache(maxsize=100_000)
def fixed(cycle_type: CycleType, counts: tuple[int, ...]) -> int:
    """How many occupations a permutation fixes: those that are constant on each of its cycles.

    Parameters
    ----------
    counts : how many sites each substituted species takes; the rest stays as it is.
    """
    if not any(counts):
        return 1
    return sum(ways * fixed(rest, counts[1:]) for ways, rest in cycles_taken(cycle_type, counts[0]))


def cycles_taken(cycle_type: CycleType, count: int) -> Iterator[tuple[int, CycleType]]:
    """All ways to fill ``count`` sites with whole cycles: the choices each stands for and the cycles it leaves.

    Choices that take equally many cycles of each length are one way.
    """
    if not cycle_type:
        if count == 0:
            yield 1, ()
        return
    (length, number), *longer = cycle_type
    for taken in range(min(number, count // length) + 1):
        left = ((length, number - taken),) if taken < number else ()
        for ways, rest in cycles_taken(tuple(longer), count - taken * length):
            yield comb(number, taken) * ways, left + rest


def classes(
    permutations: Sequence[Permutation], sublattices: Sequence[Sequence[int]]
) -> Counter[tuple[CycleType, ...]]:
    """How many permutations share each combination of cycle types, one type a sublattice."""
    return Counter(tuple(cycle_type(p, sites) for sites in sublattices) for p in permutations)


def distinct(classes: Counter[tuple[CycleType, ...]], counts: Sequence[tuple[int, ...]]) -> int:
    """The number of symmetry-distinct occupations, exact (Burnside's lemma).

    Parameters
    ----------
    classes : of the group, as ``classes`` gives them.
    counts : for each sublattice the sites that each substituted species takes.
    """
    total = 0
    for types, number in classes.items():
        product = number
        for kind, taken in zip(types, counts, strict=True):
            product *= fixed(kind, taken)
            if not product:
                break
        total += product
    return total // sum(classes.values())
