"""A campaign's results as an alloy: an ensemble a content, and what contents and reference phases say together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import AverageError, InputError, nearest
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.screening.agreement import (
    OF_THE_COMPOSITION,
    OF_THE_PHASE,
    Agreement,
    coarser_meshes,
    compare,
    parse_allowed,
)
from kalloy.workflows.screening.columns import Results, columns_of
from kalloy.workflows.screening.grand import GrandCanonical, exchange_energy, reservoir
from kalloy.workflows.screening.metric import HostMetric
from kalloy.workflows.screening.mixing import Mixing
from kalloy.workflows.screening.ranking import Order, Ranking
from kalloy.workflows.screening.thermodynamics import Ensemble, finite_cell_factor

Floats = NDArray[np.float64]

CELL_QUANTITIES = ("a", "b", "c", "alpha", "beta", "gamma")
QUANTITIES = {
    "energy": "eV/cell",
    "volume": "Å3",
    "gap": "eV",
    "direct_gap": "eV",
    **dict(zip(CELL_QUANTITIES, ("Å",) * 3 + ("°",) * 3, strict=True)),
}
"""What can be averaged, with its unit; every member's from its static stage, the gap from its mesh alone, lengths and
angles as means over the arrangements that it stands for."""
_COLUMN = {"energy": "energy_eV", "volume": "volume_A3", "gap": "gap_eV", "direct_gap": "direct_gap_eV"}


@dataclass(frozen=True)
class Exchange:
    """host + n source → alloy + n product, for the lowest configuration of a content."""

    content: str
    member: str
    source: str
    """``refs/KBr``."""
    product: str
    """``refs/CsBr``."""
    energy_eV: float
    """Per exchanged atom; negative where the exchange runs by itself at 0 K, vibrations left out."""


class Alloy:
    """Ensembles of a ranking, and quantities of its members in the ensembles' order.

    Parameters
    ----------
    allowed : settings whose difference the user takes on.
    """

    def __init__(self, campaign: Campaign, ranking: Ranking, results: Results, allowed: Iterable[str] = ()) -> None:
        self.campaign, self.ranking = campaign, ranking
        self.allowed = parse_allowed(allowed) | parse_allowed(campaign.spec.agreement.allow)
        self.statics = columns_of(results, Stage.STATIC)
        self.relaxed = columns_of(results, Stage.RELAX)
        self.metric = HostMetric(campaign.host)

    @cached_property
    def orders(self) -> dict[str, Order]:
        """By content, those with anything computed."""
        return {o.content: o for o in self.ranking.orders if o.members}

    @cached_property
    def ensembles(self) -> dict[str, Ensemble]:
        """By content."""
        found = {}
        for content, order in self.orders.items():
            total = self.campaign.space.content(content).total
            noise = None if order.noise_meV is None else order.noise_meV / 1000
            found[content] = Ensemble(order.members, order.energies, order.degeneracies, total, noise)
        return found

    def require_energies(self) -> None:
        """Raise `AverageError` where no configuration has an energy: there is nothing to average over."""
        if not self.ensembles:
            raise AverageError(
                "no configuration has a static energy yet",
                mend="`kalloy run` computes them, `kalloy status` says where",
            )

    def finite_cell_factor(self, content: str) -> float | None:
        """What part of the ideal entropy the cell can hold at this content."""
        space = self.campaign.space
        asked = space.content(content)
        counts: list[list[int]] = [[] for _ in space.sublattices]
        for number, own in zip(asked.counts, space.sublattice_of, strict=True):
            counts[own].append(number)
        sublattices = [(len(s.sites), c) for s, c in zip(space.sublattices, counts, strict=True)]
        return finite_cell_factor(asked.total, sublattices)

    # -- what is averaged --------------------------------------------------------

    def values(self, content: str, quantity: str) -> Floats:
        """Shape (n,): one quantity of `QUANTITIES` a member of the content's ensemble.

        Raises
        ------
        InputError
            Where there is no such quantity; the nearest one is named.
        """
        return self.of_rows(self._rows[content], quantity)

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.int64]]:
        """Of each content's members, in their order, the rows of the static columns."""
        return {content: self.statics.rows(order.members) for content, order in self.orders.items()}

    def of_rows(self, rows: NDArray[np.int64], quantity: str) -> Floats:
        """The same of any rows of the static columns."""
        require_quantity(quantity)
        if quantity in CELL_QUANTITIES:
            return self.metric.mean_parameters(self.statics.lattices[rows])[:, CELL_QUANTITIES.index(quantity)]
        return self.statics.figures[_COLUMN[quantity]][rows]

    def lattices(self, content: str) -> Floats:
        """Shape (n, 3, 3), Å."""
        return self.statics.lattices[self._rows[content]]

    def occupancies(self, content: str) -> dict[tuple[str, str], Floats]:
        """By substituent and orbit of the host (``K``, ``6a``): the part of its sites taken, shape (n,).

        An orbit is named by its Wyckoff position; where several substituted ones have the same, by its element too
        (``Cs 4c``), and by a number where that is not enough. Sites that a substituent cannot take are no part of it.
        """
        space = self.campaign.space
        configurations = [self.campaign.member(m).configuration for m in self.orders[content].members]
        occupied = np.array([c.occupation for c in configurations if c is not None])
        orbits = np.array([self.campaign.host.wyckoff[site][1] for site in space.site_indices])
        names = self._orbit_names
        open_to: dict[str, set[int]] = {}
        for substitution, own in zip(space.substitutions, space.sublattice_of, strict=True):
            open_to.setdefault(substitution.with_, set()).update(space.sublattices[own].sites)
        return {
            (species, name): (occupied[:, orbits == orbit] == species).mean(axis=1)
            for species, sites in open_to.items()
            for orbit, name in names.items()
            if any(o == orbit and s in sites for o, s in zip(orbits, space.site_indices, strict=True))
        }

    @cached_property
    def _orbit_names(self) -> dict[int, str]:
        """Of the substituted orbits, in the order of their Wyckoff letters."""
        host = self.campaign.host
        firsts = {host.wyckoff[site][1]: site for site in reversed(self.campaign.space.site_indices)}
        letters = {orbit: host.wyckoff[site][0] for orbit, site in firsts.items()}
        found: dict[int, str] = {}
        for orbit in sorted(firsts, key=lambda o: (letters[o].lstrip("0123456789"), firsts[o])):
            element = host.crystal.species[firsts[orbit]]
            like = [o for o in firsts if letters[o] == letters[orbit]]
            alike = [o for o in sorted(like, key=firsts.__getitem__) if host.crystal.species[firsts[o]] == element]
            name = letters[orbit] if len(like) == 1 else f"{element} {letters[orbit]}"
            found[orbit] = name if len(alike) == 1 else f"{name} ({alike.index(orbit) + 1})"
        return found

    # -- several contents ----------------------------------------------------------

    @property
    def sites(self) -> int:
        """Of the one sublattice that is substituted.

        Raises
        ------
        AverageError
            Where there is more than one substitution: mixing is between two ends.
        """
        if len(self.campaign.space.substitutions) != 1:
            raise AverageError("mixing and exchange need one substitution, and this campaign has several")
        return self.campaign.space.sites

    @cached_property
    def by_number(self) -> dict[int, Ensemble]:
        """The ensembles by the number of substituted sites, the host and the end member among them.

        Raises
        ------
        AgreementError
            Where they were not computed alike.
        """
        sites = self.sites
        found = {self.campaign.space.content(c).counts[0]: e for c, e in self.ensembles.items()}
        for number, label in [(0, HOST), *((sites, m.label) for m in self.campaign.end_members)]:
            rows = self.statics.rows([label])
            if number not in found and len(rows):
                energy = self.statics.figures["energy_eV"][rows]
                found[number] = Ensemble((label,), energy, np.ones(1), 1)
        everybody = [m for e in found.values() for m in e.labels]
        for columns in (self.relaxed, self.statics):
            compare(columns, columns.rows(everybody), OF_THE_COMPOSITION, self.allowed).require("have no mixing energy")
        return dict(sorted(found.items()))

    def mixing(self) -> Mixing:
        """Between the host and the fully substituted host; raises AverageError where either is missing."""
        return Mixing.of(self.by_number, self.sites, self.ranking.formula_units)

    def grand(self) -> GrandCanonical:
        """All contents that are computed, in exchange with a reservoir."""
        return GrandCanonical(self.by_number, self.sites)

    # -- reference phases ------------------------------------------------------------

    @cached_property
    def reference_pairs(self) -> list[tuple[Member, Member]]:
        """Phases that exchange one substituted atom: with what is put in, and the same with what it replaces."""
        swap = self.campaign.space.substitutions[0]
        phases = [m for m in self.campaign.members.values() if m.kind is Kind.REFERENCE and m.configuration is None]
        usable = [m for m in phases if len(self.statics.rows([m.label]))]
        return [
            (source, product)
            for source in usable
            for product in usable
            if swap.with_ in source.crystal.composition
            and swap.species in product.crystal.composition
            and _reduced(source, swap.with_, swap.species) == _reduced(product, swap.species, swap.species)
        ]

    def exchanges(self) -> list[Exchange]:
        """Of every content's lowest configuration, with every pair of reference phases.

        Raises
        ------
        AgreementError
            Where the phases were not computed alike with the host: engine, functional, cut-off, datasets, and meshes
            as dense.
        """
        swap, host = self.campaign.space.substitutions[0], self.by_number.get(0)
        pairs = self.reference_pairs
        if host is None or not pairs:
            return []
        self._require_phases({m.label for pair in pairs for m in pair})
        found = []
        for content, ensemble in self.ensembles.items():
            number = self.campaign.space.content(content).counts[0]
            for source, product in pairs if number else ():
                energies = self._per_atom(source, swap.with_), self._per_atom(product, swap.species)
                energy = exchange_energy(ensemble.lowest, host.lowest, number, *energies)
                found.append(Exchange(content, ensemble.labels[0], source.label, product.label, energy))
        return found

    def solubility(self, source: Member, product: Member, temperature: float) -> tuple[float, float]:
        """The content x in equilibrium with both phases, and its standard deviation in this cell.

        Parameters
        ----------
        temperature : K.
        """
        swap = self.campaign.space.substitutions[0]
        difference = reservoir(self._per_atom(source, swap.with_), self._per_atom(product, swap.species))
        return self.grand().content(difference, temperature)

    def _per_atom(self, phase: Member, element: str) -> float:
        """eV for each atom of the element."""
        row = self.statics.rows([phase.label])[0]
        return float(self.statics.figures["energy_eV"][row]) / phase.crystal.composition[element]

    def _require_phases(self, phases: set[str]) -> None:
        everybody = [HOST, *(o.members[0] for o in self.orders.values()), *sorted(phases)]
        for columns in (self.relaxed, self.statics):
            compare(columns, columns.rows(everybody), OF_THE_PHASE, self.allowed).require("have no exchange energy")
        rows = self.statics.rows([HOST, *sorted(phases)])
        if len(rows) > 1:
            coarse = coarser_meshes(self.statics, int(rows[0]), [int(r) for r in rows[1:]])
            Agreement(coarse, self.allowed).require("have no exchange energy")


def require_quantity(name: str) -> None:
    """Raise `InputError` where there is no such quantity; the nearest one is named."""
    if name not in QUANTITIES:
        raise InputError(f"no quantity '{name}'", where="--of", mend=nearest(name, list(QUANTITIES)))


def _reduced(member: Member, swapped: str, into: str) -> dict[str, Any]:
    """The reduced composition after one element is renamed."""
    units = member.crystal.formula_units
    found: dict[str, int] = {}
    for element, count in member.crystal.composition.items():
        name = into if element == swapped else element
        found[name] = found.get(name, 0) + count // units
    return found
