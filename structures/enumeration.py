"""Orderly generation: every symmetry-distinct choice of n sites, once each, with its degeneracy.

A choice of sites out of N is an integer whose top bit (of N) is site 0; the canonical member of an orbit is the
largest of its integers. Leaving out the last site of a canonical choice leaves a canonical choice, so the canonical
ones form a tree: each is reached from its prefix by adding a later site (Read 1978, "Every one a winner").

What is new here is that a prefix m decides at once about all sites that may follow. For each operation g keep the
image g(m). Where g(m) = m, a site t with g(t) before t would give a larger image, so it is forbidden. Where they
differ, let p be the first site that is in m and not in g(m): a site t with g(t) before p is forbidden, and the one
with g(t) = p needs one comparison. What survives is the list of canonical children itself: nothing is tested again,
nothing is remembered, and the operations that fix a child, hence its degeneracy, fall out of the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from operator import or_
from typing import NamedTuple

from kalloy.structures.symmetry import Permutation

Orbit = tuple[int, int]
"""A canonical choice of sites as an integer (site 0 is the top bit), and how many choices are equivalent to it."""


class Family(NamedTuple):
    """All canonical choices that share all sites but the last."""

    prefix: int
    """The shared sites."""
    last: int
    """Each bit is a site that completes the prefix to a canonical choice."""
    fixing: list[int]
    """One entry an operation other than one: the last sites for which it fixes the completed choice."""


@dataclass(frozen=True)
class Stage:
    """One species put on some sites of one sublattice."""

    sites: tuple[int, ...]
    """The sublattice, positions in the permutations."""
    count: int
    """How many of its sites that are still free are taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A permutation as the masks that the generator asks of it; N entries belong to sites, N + 1 to bit lengths.

    The first site at which two choices differ is N minus the bit length of their exclusive or.
    """

    image: tuple[int, ...]
    """By site: the bit of the site on which it lands; for the site N, which is none, zero."""
    split: tuple[tuple[int, int], ...]
    """By bit length: the sites that do not land before the site of that bit length, and the one that lands on it."""
    forward: int
    """The sites that do not land before themselves."""
    still: int
    """The sites that land on themselves."""

    @classmethod
    def of(cls, permutation: Permutation) -> Operation:
        """Prepare a permutation."""
        size = len(permutation)
        bit = [1 << (size - 1 - site) for site in range(size)]
        source = [0] * size
        for site, landed in enumerate(permutation):
            source[landed] = site
        split = [(0, 0)] * (size + 1)
        remaining = (1 << size) - 1
        for landed in range(size):
            split[size - landed] = remaining, bit[source[landed]]
            remaining ^= bit[source[landed]]
        return cls(
            (*(bit[landed] for landed in permutation), 0),
            tuple(split),
            sum(bit[site] for site, landed in enumerate(permutation) if landed >= site),
            sum(bit[site] for site, landed in enumerate(permutation) if landed == site),
        )


Image = tuple[Operation, int]
"""An operation, and what it makes of the sites chosen so far."""


def orbits(permutations: Sequence[Permutation], count: int) -> Iterator[Orbit]:
    """Every orbit of choices of ``count`` sites, canonical choices from the largest integer down.

    Of more than half of the sites the complement is enumerated, and its complement is the representative: the
    smallest integer of its orbit, in rising order.

    Parameters
    ----------
    permutations : a whole group, all of one size N, the identity among them, none twice.
    count : from 0 to N.
    """
    size = len(permutations[0])
    if 2 * count > size:
        everything = (1 << size) - 1
        return ((everything ^ choice, degeneracy) for choice, degeneracy in _orbits(permutations, size - count))
    return _orbits(permutations, count)


def _orbits(permutations: Sequence[Permutation], count: int) -> Iterator[Orbit]:
    size, order = len(permutations[0]), len(permutations)
    if count == 0:
        yield 0, 1
        return
    identity = tuple(range(size))
    images = [(Operation.of(p), 0) for p in permutations if tuple(p) != identity]
    for prefix, last, fixing in _families(size, images, 0, size, (1 << size) - 1, count):
        symmetric = reduce(or_, fixing, 0)
        while last:
            bit = 1 << (last.bit_length() - 1)
            last ^= bit
            if bit & symmetric:
                yield prefix | bit, order // (1 + sum([1 for fixed in fixing if fixed & bit]))
            else:
                yield prefix | bit, order


def _families(size: int, images: list[Image], prefix: int, site: int, behind: int, missing: int) -> Iterator[Family]:
    """The canonical choices that begin with a canonical prefix.

    Parameters
    ----------
    images : the operations that can still matter, each with its image of the prefix without its last site.
    site : the prefix's last site; N, whose bit is nowhere, where the prefix is empty.
    behind : the sites behind it.
    missing : how many sites are still to be added, at least one.
    """
    if missing == 1:
        last, fixing = _completing(images, prefix, site, behind)
        if last:
            yield Family(prefix, last, fixing)
        return
    allowed, images = _continuing(images, prefix, site, behind)
    allowed &= ~((1 << (missing - 1)) - 1)
    while allowed:
        length = allowed.bit_length()
        bit = 1 << (length - 1)
        allowed ^= bit
        yield from _families(size, images, prefix | bit, size - length, bit - 1, missing - 1)


def _continuing(images: list[Image], prefix: int, site: int, behind: int) -> tuple[int, list[Image]]:
    """The sites that may follow a prefix, and the operations that can matter to what follows, their images complete."""
    allowed, relevant = behind, []
    for operation, image in images:
        image |= operation.image[site]
        if image == prefix:
            allowed &= operation.forward
            relevant.append((operation, image))
            continue
        length = (image ^ prefix).bit_length()
        remaining, onto = operation.split[length]
        allowed &= remaining
        if onto & behind:
            if image | (1 << (length - 1)) > prefix | onto:
                allowed &= ~onto
            relevant.append((operation, image))
        elif behind & ~remaining:
            relevant.append((operation, image))
        if not allowed:
            break
    return allowed, relevant


def _completing(images: list[Image], prefix: int, site: int, behind: int) -> tuple[int, list[int]]:
    """The sites that complete a prefix, and for each operation that fixes anything, those with which it does."""
    allowed, fixing = behind, []
    for operation, image in images:
        image |= operation.image[site]
        if image == prefix:
            allowed &= operation.forward
            if fixed := operation.still & allowed:
                fixing.append(fixed)
            continue
        length = (image ^ prefix).bit_length()
        remaining, onto = operation.split[length]
        allowed &= remaining
        if onto & allowed:
            ours, theirs = prefix | onto, image | (1 << (length - 1))
            if theirs > ours:
                allowed ^= onto
            elif theirs == ours:
                fixing.append(onto)
        if not allowed:
            break
    return allowed, fixing


def nested_orbits(
    permutations: Sequence[Permutation], stages: Sequence[Stage], taken: int = 0
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Every orbit of placing several species, on one sublattice or on several, one stage after the other.

    The first stage is enumerated under the whole group, what follows under the stabiliser of what stands already:
    two placements that agree in the first stage are equivalent exactly if an operation that fixes it relates
    the rest. Degeneracies multiply (orbit and stabiliser).

    Parameters
    ----------
    permutations : a whole group that maps every stage's sites on themselves.
    stages : in the order in which species are placed.
    taken : sites that are occupied already.

    Yields
    ------
    One integer a stage (site 0 of the permutations is the top bit), and the degeneracy.
    """
    if not stages:
        yield (), 1
        return
    size = len(permutations[0])
    stage, *later = stages
    free = [site for site in stage.sites if not taken >> (size - 1 - site) & 1]
    for choice, degeneracy in _placed(permutations, free, stage.count):
        if not later:
            yield (choice,), degeneracy
            continue
        stabiliser = permutations if degeneracy == 1 else _stabiliser(permutations, choice, degeneracy)
        for choices, inner in nested_orbits(stabiliser, later, taken | choice):
            yield (choice, *choices), degeneracy * inner


def _placed(permutations: Sequence[Permutation], sites: Sequence[int], count: int) -> Iterator[Orbit]:
    """The orbits of choices among some of the sites, as integers over all of them."""
    size = len(permutations[0])
    if len(sites) == size:
        return orbits(permutations, count)
    bits = [1 << (size - 1 - site) for site in sites]
    if len(permutations) == 1:
        return _combinations(bits, count)
    index = {site: i for i, site in enumerate(sites)}
    restricted = sorted({tuple(index[p[site]] for site in sites) for p in permutations})
    if not sites:
        return iter([(0, 1)])
    return ((_spread(choice, bits), degeneracy) for choice, degeneracy in orbits(restricted, count))


def _combinations(bits: Sequence[int], count: int) -> Iterator[Orbit]:
    """Without symmetry: every choice, in the order of ``orbits``."""
    if 2 * count <= len(bits):
        return ((sum(chosen), 1) for chosen in combinations(bits, count))
    everything = sum(bits)
    return ((everything - sum(left), 1) for left in combinations(bits, len(bits) - count))


def _spread(choice: int, bits: Sequence[int]) -> int:
    spread, last = 0, len(bits) - 1
    while choice:
        length = choice.bit_length()
        spread |= bits[last + 1 - length]
        choice ^= 1 << (length - 1)
    return spread


def _stabiliser(permutations: Sequence[Permutation], choice: int, degeneracy: int) -> tuple[Permutation, ...]:
    size = len(permutations[0])
    if degeneracy == len(permutations):
        return (tuple(range(size)),)
    chosen = [site for site in range(size) if choice >> (size - 1 - site) & 1]
    members = set(chosen)
    return tuple(p for p in permutations if all(p[site] in members for site in chosen))


def canonical(
    permutations: Sequence[Permutation], stages: Sequence[Stage], choices: Sequence[int]
) -> tuple[tuple[int, ...], int]:
    """The member of a placement's orbit that ``nested_orbits`` yields, and its degeneracy.

    Parameters
    ----------
    choices : one integer a stage.
    """
    size = len(permutations[0])
    group: Sequence[Permutation] = permutations
    found, taken = [], 0
    for stage, choice in zip(stages, choices, strict=True):
        chosen = [site for site in range(size) if choice >> (size - 1 - site) & 1]
        free = sum(1 for site in stage.sites if not taken >> (size - 1 - site) & 1)
        images = [sum([1 << (size - 1 - p[site]) for site in chosen]) for p in group]
        best = min(images) if 2 * stage.count > free else max(images)
        group = [p for p, image in zip(group, images, strict=True) if image == best]
        found.append(best)
        taken |= best
    return tuple(found), len(permutations) // len(group)
