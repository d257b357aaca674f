"""Configurations: every symmetry-distinct occupation of a host's sublattices, counted first and then streamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from kalloy.errors import EnumerationError, SubstitutionError
from kalloy.structures.counting import CycleType, arrangements, classes, distinct
from kalloy.structures.crystal import Crystal
from kalloy.structures.enumeration import Stage, nested_orbits
from kalloy.structures.host import Host
from kalloy.structures.reading import VACANCY
from kalloy.structures.substitution import Substitution, whole_number
from kalloy.structures.symmetry import Permutation, SpaceGroup, site_permutations, space_group

if TYPE_CHECKING:
    from kalloy.structures.kernel import Batch


@dataclass(frozen=True)
class Sublattice:
    """Sites that hold one species in the host and are occupied anew together."""

    species: str
    """What the host has there."""
    sites: tuple[int, ...]
    """Indices into the host's crystal, rising."""


@dataclass(frozen=True)
class Content:
    """How many sites each substitution takes."""

    label: str
    """``K03``; ``K02-Rb01`` for two substitutions; numbers as wide as the sublattice's."""
    counts: tuple[int, ...]
    """One a substitution, in their order."""
    sites: tuple[int, ...]
    """Of each substitution's sublattice: how many sites it has."""
    total: int
    """How many arrangements there are, symmetry left aside."""

    @property
    def fractions(self) -> tuple[float, ...]:
        """Of each substitution: the part of its sublattice that it takes."""
        return tuple(count / sites for count, sites in zip(self.counts, self.sites, strict=True))


@dataclass(frozen=True)
class Configuration:
    """One symmetry-distinct occupation of a host's sublattices."""

    label: str
    """``K03/c12``: the content, then the index in enumeration order from 1, as wide as the set needs."""
    occupation: tuple[str, ...]
    """One a substitutable site, in site order: an element or ``vacancy``."""
    degeneracy: int
    """How many arrangements are equivalent to it, itself among them."""
    sites: tuple[int, ...] = field(repr=False)
    """The substitutable sites: indices into the host's crystal."""
    host: Host = field(repr=False, compare=False)
    """What it was enumerated on."""

    @cached_property
    def identity(self) -> str:
        """A hash of occupation and cell: 16 hexadecimal digits, the same on every machine."""
        return sha256("\n".join((self.host.identity, *self.occupation)).encode()).hexdigest()[:16]

    def crystal(self, host: Host | None = None) -> Crystal:
        """The crystal, sites in the host's order.

        Parameters
        ----------
        host : where to put the occupation, its own by default; another with the same sites serves to carry it
            to a measured or a relaxed cell.
        """
        crystal = (host or self.host).crystal
        species: list[str | None] = list(crystal.species)
        for site, occupant in zip(self.sites, self.occupation, strict=True):
            species[site] = None if occupant == VACANCY else occupant
        return crystal.with_species(species)

    def record(self) -> dict[str, Any]:
        """What names it, ready for JSON."""
        return {
            "label": self.label,
            "degeneracy": self.degeneracy,
            "occupation": list(self.occupation),
            "identity": self.identity,
        }

    @cached_property
    def space_group(self) -> SpaceGroup:
        """Of the unrelaxed structure."""
        return space_group(self.crystal(), self.host.tolerance)


class ConfigurationSpace:
    """All occupations of a host that some substitutions ask for.

    Parameters
    ----------
    host : partial occupancies in it are substitutions by themselves, after the given ones.
    substitutions : of different species on one sublattice, or on several; contents are their combinations.

    Attributes
    ----------
    substitutions : the given ones and those of the partial occupancies.
    sublattices : the different sets of sites that they take, in order of first mention.
    sublattice_of : of each substitution the index of its sublattice.
    contents : every combination of their numbers that fits.

    Raises
    ------
    SubstitutionError : a species, Wyckoff position or label that the host lacks, more than there are sites, a fraction
        or an occupancy that is no integer, substitutions that overlap, or none at all.
    """

    def __init__(self, host: Host, substitutions: Sequence[Substitution] = ()) -> None:
        self.host = host
        sites = [substitution.sites(host) for substitution in substitutions]
        choices = [s.contents(len(own)) for s, own in zip(substitutions, sites, strict=True)]
        _refuse_overlaps(substitutions, sites)
        given, given_sites = _occupancies_as_substitutions(host)
        self.substitutions: tuple[Substitution, ...] = (*substitutions, *given)
        if not self.substitutions:
            raise SubstitutionError(
                f"nothing is substituted in {host.name}", mend="say what: a replacement such as Cs=K:3"
            )
        self.sublattices = tuple(
            Sublattice(species, own)
            for own, species in dict(
                zip([*sites, *given_sites], [s.species for s in self.substitutions], strict=True)
            ).items()
        )
        self.sublattice_of = tuple(
            next(i for i, sublattice in enumerate(self.sublattices) if sublattice.sites == own)
            for own in [*sites, *given_sites]
        )
        self.contents = self._combined([*choices, *[s.counts for s in given]])

    @cached_property
    def site_indices(self) -> tuple[int, ...]:
        """The substitutable sites: indices into the host's crystal, rising."""
        return tuple(sorted(site for sublattice in self.sublattices for site in sublattice.sites))

    @property
    def sites(self) -> int:
        """The number of substitutable sites."""
        return len(self.site_indices)

    @cached_property
    def permutations(self) -> tuple[Permutation, ...]:
        """How the host's space group permutes the substitutable sites, each permutation once."""
        return site_permutations(self.host.marked, self.site_indices, self.host.tolerance)

    @property
    def operations(self) -> int:
        """The number of different permutations."""
        return len(self.permutations)

    def count(self, content: Content) -> int:
        """The exact number of symmetry-distinct configurations of a content (Burnside's lemma)."""
        counts: list[list[int]] = [[] for _ in self.sublattices]
        for sublattice, number in zip(self.sublattice_of, content.counts, strict=True):
            counts[sublattice].append(number)
        return distinct(self._classes, [tuple(own) for own in counts])

    def content(self, label: str) -> Content:
        """The content of a label; SubstitutionError where there is none."""
        for content in self.contents:
            if content.label == label:
                return content
        raise SubstitutionError(f"no content '{label}'", mend="known are " + ", ".join(c.label for c in self.contents))

    def configurations(self, content: Content) -> Iterator[Configuration]:
        """Every configuration of a content, one at a time, the same order and labels on every machine.

        Raises
        ------
        EnumerationError : at the end, where their number is not Burnside's or their degeneracies do not add up.
        """
        width = len(str(self.count(content)))
        for index, (choices, degeneracy) in enumerate(self.orbits(content), start=1):
            yield self.configuration(f"{content.label}/c{index:0{width}d}", choices, degeneracy)

    def orbits(self, content: Content) -> Iterator[tuple[tuple[int, ...], int]]:
        """The same as bare integers, one a substitution (top bit: first substitutable site), and degeneracies."""
        found = total = 0
        for choices, degeneracy in self._found(content):
            found += 1
            total += degeneracy
            yield choices, degeneracy
        if (found, total) != (self.count(content), content.total):
            raise EnumerationError(
                f"{content.label}: {found} configurations for {total} arrangements were enumerated, "
                f"{self.count(content)} for {content.total} were counted",
                mend="please report this host",
            )

    def configuration(self, label: str, choices: Sequence[int], degeneracy: int) -> Configuration:
        """A configuration from bare integers."""
        return Configuration(label, self.occupation(choices), degeneracy, self.site_indices, self.host)

    def occupation(self, choices: Sequence[int]) -> tuple[str, ...]:
        """The species on each substitutable site.

        Parameters
        ----------
        choices : one integer a substitution, as ``orbits`` yields them.
        """
        occupation = list(self._unsubstituted)
        top = self.sites
        for substitution, choice in zip(self.substitutions, choices, strict=True):
            while choice:
                length = choice.bit_length()
                occupation[top - length] = substitution.with_
                choice ^= 1 << (length - 1)
        return tuple(occupation)

    def stages(self, content: Content) -> list[Stage]:
        """What is placed, one stage a substitution, on positions among the substitutable sites."""
        return [
            Stage(self._positions[sublattice], count)
            for sublattice, count in zip(self.sublattice_of, content.counts, strict=True)
        ]

    def batches(self, content: Content) -> Iterator[Batch]:
        """The same for one substitution, compiled and in arrays: the quickest way through tens of millions.

        Raises
        ------
        EnumerationError : as ``orbits``.
        SubstitutionError : several substitutions, more than 64 sites, or no compiled kernel on this machine.
        """
        from kalloy.structures.kernel import available, orbit_batches

        if len(self.substitutions) > 1 or not available(self.sites):
            raise SubstitutionError("batches are for one substitution on 64 sites with a C compiler", mend="use orbits")
        found = total = 0
        for choices, degeneracies in orbit_batches(self.permutations, content.counts[0]):
            found += len(choices)
            total += int(degeneracies.sum())
            yield choices, degeneracies
        self._check(content, found, total)

    # -- inside --------------------------------------------------------------

    def _found(self, content: Content) -> Iterator[tuple[tuple[int, ...], int]]:
        """The orbits by whichever generator is quicker: they yield the same."""
        if len(self.substitutions) == 1:
            from kalloy.structures.kernel import orbit_batches, pays

            if pays(self.sites, self.count(content)):
                for choices, degeneracies in orbit_batches(self.permutations, content.counts[0]):
                    for choice, degeneracy in zip(choices.tolist(), degeneracies.tolist(), strict=True):
                        yield (choice,), degeneracy
                return
        yield from nested_orbits(self.permutations, self.stages(content))

    def _check(self, content: Content, found: int, total: int) -> None:
        """Hold what was enumerated against what was counted."""
        if (found, total) != (self.count(content), content.total):
            raise EnumerationError(
                f"{content.label}: {found} configurations for {total} arrangements were enumerated, "
                f"{self.count(content)} for {content.total} were counted",
                mend="please report this host",
            )

    @cached_property
    def _unsubstituted(self) -> tuple[str, ...]:
        return tuple(self.host.crystal.species[site] for site in self.site_indices)

    @cached_property
    def _positions(self) -> tuple[tuple[int, ...], ...]:
        """Of each sublattice its sites as positions among all substitutable ones."""
        position = {site: i for i, site in enumerate(self.site_indices)}
        return tuple(tuple(position[site] for site in sublattice.sites) for sublattice in self.sublattices)

    @cached_property
    def _classes(self) -> Counter[tuple[CycleType, ...]]:
        return classes(self.permutations, self._positions)

    def _combined(self, choices: Sequence[Sequence[int]]) -> tuple[Content, ...]:
        sizes = tuple(len(self.sublattices[i].sites) for i in self.sublattice_of)
        contents = []
        for counts in product(*choices):
            taken = [0] * len(self.sublattices)
            for sublattice, count in zip(self.sublattice_of, counts, strict=True):
                taken[sublattice] += count
            if all(number <= len(own.sites) for number, own in zip(taken, self.sublattices, strict=True)):
                contents.append(Content(self._label(counts, sizes), counts, sizes, self._total(counts)))
        atoms = len(self.host.crystal)
        for content in contents:
            gone = sum(n for s, n in zip(self.substitutions, content.counts, strict=False) if s.with_ == VACANCY)
            if gone == atoms:
                raise SubstitutionError(
                    f"{content.label} leaves no atom",
                    where=", ".join(str(s) for s in self.substitutions),
                    mend="give fewer vacancies",
                )
        if not contents:
            raise SubstitutionError(
                "the substitutions together take more sites than there are",
                where=", ".join(str(s) for s in self.substitutions),
                mend="give smaller numbers or a larger cell",
            )
        return tuple(contents)

    def _label(self, counts: Sequence[int], sizes: Sequence[int]) -> str:
        return "-".join(
            f"{'Vac' if s.with_ == VACANCY else s.with_}{count:0{len(str(size))}d}"
            for s, count, size in zip(self.substitutions, counts, sizes, strict=True)
        )

    def _total(self, counts: Sequence[int]) -> int:
        return prod(
            arrangements(
                len(sublattice.sites),
                [count for count, own in zip(counts, self.sublattice_of, strict=True) if own == i],
            )
            for i, sublattice in enumerate(self.sublattices)
        )


def _refuse_overlaps(substitutions: Sequence[Substitution], sites: Sequence[tuple[int, ...]]) -> None:
    for i, (one, own) in enumerate(zip(substitutions, sites, strict=True)):
        for other, its in zip(substitutions[:i], sites[:i], strict=True):
            if own == its and one.with_ == other.with_:
                raise SubstitutionError("is given twice", where=str(one), mend="give all its numbers at once")
            if own != its and set(own) & set(its):
                raise SubstitutionError(
                    f"shares some of its sites with {other}",
                    where=str(one),
                    mend="name the same sites or different ones",
                )


def _occupancies_as_substitutions(host: Host) -> tuple[list[Substitution], list[tuple[int, ...]]]:
    """What the partial occupancies of a host ask for, each with its sites."""
    substitutions, sites = [], []
    for kind in dict.fromkeys(host.kinds):
        mixture = host.mixtures[kind]
        own = tuple(i for i, other in enumerate(host.kinds) if other == kind)
        for name, fraction in mixture.occupancies[1:]:
            count = whole_number(fraction, len(own), f"{host.name}, sites {kind}")
            substitutions.append(Substitution(mixture.main, name, counts=(count,)))
            sites.append(own)
    return substitutions, sites
