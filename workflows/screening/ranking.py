"""Who wins and by how much: configurations of one content by energy, beside the host.

Order, energies and ties are columns, whatever their number; a `Ranked` row, which looks at a member's structure and its
gap, is made when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import AgreementError
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.screening.agreement import OF_THE_COMPOSITION, Agreement, compare, parse_allowed
from kalloy.workflows.screening.columns import Results, StageColumns, columns_of
from kalloy.workflows.screening.noise import noise_floor
from kalloy.workflows.screening.ranked import Ranked, RowMaker

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Order:
    """The configurations of one content, lowest first, as columns."""

    content: str
    members: tuple[str, ...]
    """Those that are ranked."""
    unranked: tuple[str, ...]
    """Those without a usable energy; those of which something was computed come first."""
    energies: Floats
    """Shape (n,), eV per cell, rising."""
    degeneracies: Floats
    """Shape (n,)."""
    attempts: tuple[str, ...]
    """Of the static stage, one a ranked member: where its energy was read."""
    noise_meV: float | None
    """Per cell: what energies are uncertain by against each other; None where it was not measured."""
    failed: int = 0
    """How many of ``unranked`` come first: of the others nothing is computed, so that there is nothing to show."""

    @cached_property
    def relative_meV(self) -> Floats:
        """Shape (n,): above the lowest, per cell."""
        return 1000 * (self.energies - self.energies[0]) if len(self.energies) else self.energies

    @cached_property
    def ties(self) -> NDArray[np.int64]:
        """Shape (n,): the place that a member shares, from 1: that of the lowest one that noise cannot tell it from.

        Counted from the lowest of each tie, so that ties do not chain into one.
        """
        places = np.arange(1, len(self.energies) + 1)
        width = self.noise_meV or 0.0
        first = 0
        while first < len(places):
            end = int(np.searchsorted(self.relative_meV, self.relative_meV[first] + width, side="right"))
            places[first : max(end, first + 1)] = first + 1
            first = max(end, first + 1)
        return places


@dataclass(frozen=True, eq=False)
class Ranking:
    """The host, then the configurations of each content, lowest first."""

    rows: Sequence[Ranked]
    """Host, ranked and unranked; each is made when it is looked at."""
    orders: tuple[Order, ...]
    """One a content."""
    formula_units: int
    """Of the host in the cell."""
    agreement: tuple[Agreement, ...] = ()
    """What differs among the compared members and was taken on by the user."""

    @property
    def host(self) -> Ranked | None:
        """The host's row."""
        return next((r for r in self.rows[:1] if r.member == HOST), None)

    def lowest(self, count: int) -> list[str]:
        """The labels of the ``count`` lowest configurations of each content."""
        return [member for order in self.orders for member in order.members[:count]]

    def top(self, count: int) -> list[Ranked]:
        """The host's row and the first rows of each content; of few also those that failed."""
        found = [self.host] if self.host else []
        start = len(found)
        for order in self.orders:
            found += self.rows[start : start + min(count, len(order.members) + order.failed)]
            start += len(order.members) + len(order.unranked)
        return found

    @property
    def shown(self) -> list[Ranked]:
        """Every row that has something to show: of those left out, by a prescreen or a step's rule, there is none."""
        return self.top(len(self.rows))

    def record(self) -> list[dict[str, Any]]:
        """What a choice rests on, one entry a ranked configuration: energy, degeneracy and where it was read."""
        return [
            {
                "member": member,
                "attempt": f"{member}/{Stage.STATIC}/{attempt}",
                "place": int(tie),
                "degeneracy": int(g),
                "energy_eV": float(energy),
                "relative_meV_per_formula_unit": float(relative) / self.formula_units,
            }
            for o in self.orders
            for member, attempt, tie, g, energy, relative in zip(
                o.members, o.attempts, o.ties, o.degeneracies, o.energies, o.relative_meV, strict=True
            )
        ]

    @property
    def ranked(self) -> int:
        """How many configurations have a place."""
        return sum(len(order.members) for order in self.orders)

    @property
    def unranked(self) -> int:
        """How many have none."""
        return sum(len(order.unranked) for order in self.orders)

    @property
    def uncomputed(self) -> int:
        """Of how many nothing is computed."""
        return sum(len(order.unranked) - order.failed for order in self.orders)


def rank(
    campaign: Campaign,
    results: Results,
    *,
    allowed: Iterable[str] = (),
    noise_meV: Mapping[str, float] | float | None = None,
) -> Ranking:
    """Rank the configurations of each content by their static energies.

    Parameters
    ----------
    allowed : settings whose difference the user takes on, beside those of ``[agreement] allow``.
    noise_meV : what energies are uncertain by against each other, per cell; by content, or one for all; by default
        what duplicates and rattled relaxations measured.

    Raises
    ------
    AgreementError
        Where nothing has a static energy yet, or results were not computed alike (with a table of who differs).
    """
    statics = columns_of(results, Stage.STATIC)
    if not statics.members:
        raise AgreementError("nothing has a static energy yet", mend="run the campaign; the spec must ask for 'static'")
    contents = by_content(campaign.configurations)
    if noise_meV is None:
        noise_meV = noise_floor(campaign, results).by_content
    agreed = _require_agreement(campaign, results, contents, parse_allowed(allowed))
    begun = set(statics.members).union(columns_of(results, Stage.RELAX).members)
    orders = tuple(
        _order(
            content, members, statics, begun, noise_meV.get(content) if isinstance(noise_meV, Mapping) else noise_meV
        )
        for content, members in contents.items()
    )
    maker = RowMaker(campaign, results)
    return Ranking(_Rows(maker, orders, HOST in statics.row), orders, campaign.host.crystal.formula_units, agreed)


def by_content(members: Iterable[Member]) -> dict[str, list[Member]]:
    """Members by their content."""
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(member.content, []).append(member)
    return found


def _require_agreement(
    campaign: Campaign, results: Results, contents: Mapping[str, list[Member]], allowed: frozenset[str]
) -> tuple[Agreement, ...]:
    """Within a content in everything; with the host in all that is not of the composition's nature."""
    allowed |= parse_allowed(campaign.spec.agreement.allow)
    found = []
    for stage in (Stage.RELAX, Stage.STATIC):
        columns = columns_of(results, stage)
        mine = [columns.rows(m.label for m in members) for members in contents.values()]
        found += [compare(columns, rows, frozenset(), allowed) for rows in mine]
        everybody = np.concatenate([columns.rows([HOST]), *mine])
        found.append(compare(columns, everybody, OF_THE_COMPOSITION, allowed))
    for agreement in found:
        agreement.require()
    return tuple(a for a in found if a.differing)


def _order(
    content: str, members: list[Member], statics: StageColumns, begun: Set[str], noise_meV: float | None
) -> Order:
    usable = statics.rows(m.label for m in members)
    energies = statics.figures["energy_eV"][usable]
    by_energy = np.argsort(energies, kind="stable")  # of equal ones the first enumerated
    rows = usable[by_energy]
    labels = [statics.members[i] for i in rows]
    has = set(labels)
    without = sorted((m.label for m in members if m.label not in has), key=lambda label: label not in begun)
    degeneracy = {m.label: m.degeneracy for m in members}
    return Order(
        content,
        tuple(labels),
        tuple(without),
        energies[by_energy],
        np.array([degeneracy[label] for label in labels], np.float64),
        tuple(statics.attempts[i] for i in rows),
        noise_meV,
        sum(label in begun for label in without),
    )


class _Rows(Sequence[Ranked]):
    """The rows of a ranking, each made once, when it is looked at."""

    def __init__(self, maker: RowMaker, orders: Sequence[Order], host: bool) -> None:
        self._maker, self._made = maker, dict[int, Ranked]()
        self._places: list[tuple[Order | None, int]] = [(None, 0)] * host
        self._places += [(o, i) for o in orders for i in range(len(o.members) + len(o.unranked))]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Ranked: ...
    @overload
    def __getitem__(self, index: slice) -> list[Ranked]: ...
    def __getitem__(self, index: int | slice) -> Ranked | list[Ranked]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index not in self._made:
            self._made[index] = self._make(*self._places[index])
        return self._made[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __iter__(self) -> Iterator[Ranked]:
        return (self[i] for i in range(len(self)))

    def _make(self, order: Order | None, i: int) -> Ranked:
        if order is None:
            return self._maker.host_row()
        if i >= len(order.members):
            return self._maker.unranked(order.unranked[i - len(order.members)])
        ties = order.ties
        tie = int(ties[i])
        tied = int(np.searchsorted(ties, tie, "right") - np.searchsorted(ties, tie, "left")) > 1
        return self._maker.ranked(order.members[i], i + 1, tie, tied, float(order.relative_meV[i]))
