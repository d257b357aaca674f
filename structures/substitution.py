"""What is put where: the words of ``--replace`` and of ``[[substitution]]``, and the sites of a host that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kalloy.errors import SubstitutionError, nearest
from kalloy.structures.reading import VACANCY

if TYPE_CHECKING:
    from kalloy.structures.host import Host

GRAMMAR = (
    "write A=B, A=B:3, A=B:1-4, A=B:0.125 or A=B:all, where A is Cs, Cs@18e or Cs@Cs1, and B an element or vacancy"
)
WHOLE = 0.01
"""How far fraction times sites may be from an integer: 0.333 of 24 sites (7.992) means 8."""


@dataclass(frozen=True)
class Substitution:
    """One species put on some of the sites of another."""

    replace: str
    """The species that goes, on all its sites (``Cs``), or on those of Wyckoff positions or site labels
    (``Cs@18e``, ``Cs@Cs1``, ``Cs@6a,18e``)."""
    with_: str
    """The element that comes, or ``vacancy``."""
    counts: tuple[int, ...] = ()
    """How many sites, each a content of its own; empty for what ``fractions`` say, or else for all contents."""
    fractions: tuple[float, ...] = ()
    """The same as parts of the sublattice, between 0 and 1."""

    def __post_init__(self) -> None:
        for name in ("counts", "fractions"):
            object.__setattr__(self, name, _as_tuple(getattr(self, name), str(self)))
        if self.counts and self.fractions:
            raise SubstitutionError("names both counts and fractions", where=str(self), mend="keep one of them")
        _check_species(self.species, "the species that goes", str(self), vacancy=False)
        _check_species(self.with_, "the species that comes", str(self), vacancy=True)
        if self.species == self.with_:
            raise SubstitutionError(f"replaces {self.species} with itself", where=str(self))
        for count in self.counts:
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise SubstitutionError(f"{count!r} is no number of sites", where=str(self), mend="give 0 or more")
        for fraction in self.fractions:
            if not 0 <= fraction <= 1:
                raise SubstitutionError(f"{fraction:g} is no part of a sublattice", where=str(self), mend="0 to 1")

    def __str__(self) -> str:
        return f"{self.replace}={self.with_}"

    @property
    def species(self) -> str:
        """The species that goes."""
        return self.replace.partition("@")[0]

    @property
    def places(self) -> tuple[str, ...]:
        """The Wyckoff positions or site labels that it is limited to; empty for all sites of the species."""
        return tuple(part.strip() for part in self.replace.partition("@")[2].split(",") if part.strip())

    def sites(self, host: Host) -> tuple[int, ...]:
        """The host's sites that are meant, in their order.

        Raises
        ------
        SubstitutionError : the host has no such species, Wyckoff position or label, or the labels cut through a set
            of sites that symmetry makes equivalent.
        """
        sites = [i for i, kind in enumerate(host.kinds) if kind == self.species]
        if not sites:
            raise _no_such_species(self, host)
        if not self.places:
            return tuple(sites)
        names = [_names(host, site) for site in sites]
        for place in self.places:
            if not any(place in own for own in names):
                known = sorted(set().union(*names))
                raise SubstitutionError(
                    f"the host has no {self.species} at '{place}'", where=str(self), mend=nearest(place, known)
                )
        chosen = tuple(site for site, own in zip(sites, names, strict=True) if own & set(self.places))
        _refuse_cut_orbits(self, host, chosen)
        return chosen

    def contents(self, sites: int) -> tuple[int, ...]:
        """The numbers of sites that are asked for, of a sublattice of so many; rising, none twice.

        Raises
        ------
        SubstitutionError : more than there are, or a fraction that is no integer.
        """
        if self.fractions:
            return tuple(sorted({whole_number(part, sites, str(self)) for part in self.fractions}))
        for count in self.counts:
            if count > sites:
                raise SubstitutionError(
                    f"{count} is more than the {sites} sites of {self.replace}",
                    where=str(self),
                    mend=f"give 0 to {sites}, or a larger cell",
                )
        return tuple(sorted(set(self.counts))) if self.counts else tuple(range(sites + 1))


def parse_replacement(text: str) -> Substitution:
    """Read ``A=B[:N]``: N an integer, a range ``1-4``, a fraction of the sublattice, ``all``, or left out for all.

    Raises
    ------
    SubstitutionError : anything else.
    """
    match = re.fullmatch(r"\s*([^=:]+?)\s*=\s*([^=:]+?)\s*(?::\s*(.+?)\s*)?", text)
    if not match:
        raise SubstitutionError(f"'{text}' is no replacement", where="--replace", mend=GRAMMAR)
    replace, with_, amount = match.groups()
    with_ = VACANCY if with_.lower() == VACANCY else with_
    if amount is None or amount.lower() == "all":
        return Substitution(replace, with_)
    if re.fullmatch(r"\d+", amount):
        return Substitution(replace, with_, counts=(int(amount),))
    if span := re.fullmatch(r"(\d+)\s*-\s*(\d+)", amount):
        first, last = int(span[1]), int(span[2])
        if first > last:
            raise SubstitutionError(f"the range {amount} is empty", where=text, mend=f"write {last}-{first}")
        return Substitution(replace, with_, counts=tuple(range(first, last + 1)))
    if re.fullmatch(r"\d*\.\d+|\d+\.", amount):
        return Substitution(replace, with_, fractions=(float(amount),))
    raise SubstitutionError(f"'{amount}' is no number of sites", where=text, mend=GRAMMAR)


def whole_number(fraction: float, sites: int, where: str) -> int:
    """The number of sites that a fraction of a sublattice means.

    Raises
    ------
    SubstitutionError : it is no integer; the nearest fractions that are one are named.
    """
    exact = fraction * sites
    count = round(exact)
    if abs(exact - count) <= WHOLE:
        return count
    below = int(exact)
    nearest_two = f"nearest are {below / sites:.4g} ({below} sites) and {(below + 1) / sites:.4g} ({below + 1} sites)"
    larger = next((k for k in range(2, 65) if abs(k * exact - round(k * exact)) <= 1e-6 * k * sites), None)
    raise SubstitutionError(
        f"{fraction:g} of {sites} sites is {exact:.4g}, no integer",
        where=where,
        mend=nearest_two + (f", and a cell {larger} times as large holds it" if larger else ""),
    )


def _as_tuple(value: object, where: str) -> tuple[object, ...]:
    if value is None or value == "all":
        return ()
    if isinstance(value, str):
        raise SubstitutionError(f"'{value}' is no number of sites", where=where, mend='give numbers, or "all"')
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _check_species(name: str, what: str, where: str, *, vacancy: bool) -> None:
    if vacancy and name == VACANCY:
        return
    from ase.data import chemical_symbols

    if name not in chemical_symbols[1:]:
        known = [*chemical_symbols[1:], *([VACANCY] if vacancy else [])]
        hint = nearest(name, known)
        raise SubstitutionError(
            f"{what}, '{name}', is no element",
            where=where,
            mend=hint if hint.startswith("did") else f"write its symbol{' or vacancy' if vacancy else ''}",
        )


def _no_such_species(substitution: Substitution, host: Host) -> SubstitutionError:
    known = list(dict.fromkeys(host.kinds))
    mixed = [kind for kind in known if not host.mixtures[kind].pure and substitution.species in kind]
    if mixed:
        return SubstitutionError(
            f"{substitution.species} is only on sites of partial occupancy ({', '.join(mixed)})",
            where=str(substitution),
            mend="these are substituted already as their occupancies say: leave this replacement out",
        )
    return SubstitutionError(
        f"the host {host.name} has no {substitution.species}",
        where=str(substitution),
        mend=f"it has {', '.join(known)}",
    )


def _names(host: Host, site: int) -> set[str]:
    """What a site answers to: its Wyckoff letter and position, its label."""
    position = host.wyckoff[site][0]
    names = {position, position.lstrip("0123456789")}
    if host.crystal.labels:
        names.add(host.crystal.labels[site])
    return names


def _refuse_cut_orbits(substitution: Substitution, host: Host, chosen: Sequence[int]) -> None:
    orbits = {host.wyckoff[site][1] for site in chosen}
    whole = [site for site, (_, orbit) in enumerate(host.wyckoff) if orbit in orbits]
    if len(whole) == len(chosen):
        return
    missed = sorted({host.crystal.labels[site] for site in whole if site not in chosen})
    raise SubstitutionError(
        f"names {len(chosen)} of {len(whole)} sites that symmetry makes equivalent",
        where=str(substitution),
        mend=f"name {', '.join(missed)} as well, or a Wyckoff position",
    )
