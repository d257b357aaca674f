"""The results of one stage as columns: what a ranking or an average of a hundred thousand members touches at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.results import CampaignResult

Floats = NDArray[np.float64]
Results = Mapping[tuple[str, Stage], CampaignResult]

FIGURES = ("energy_eV", "volume_A3", "gap_eV", "direct_gap_eV", "largest_force_eV_A", "largest_stress_kB")
"""The scalars that every table of columns has; NaN where a result has none."""


@dataclass(frozen=True, eq=False)
class StageColumns:
    """One stage's result of each member that has one, a column a figure."""

    members: tuple[str, ...]
    """Labels; every column is in their order."""
    attempts: tuple[str, ...]
    """Which attempt each result was read from."""
    usable: NDArray[np.bool_]
    """Shape (n,): done, complete and converged by its own criteria."""
    figures: Mapping[str, Floats]
    """`FIGURES` by name, each of shape (n,)."""
    lattices: Floats
    """Shape (n, 3, 3), Å, the last lattice; NaN where none was read."""
    settings: NDArray[np.int64]
    """Shape (n,): index into ``distinct``."""
    distinct: tuple[dict[str, Any], ...]
    """The different settings that were effective."""

    @cached_property
    def row(self) -> dict[str, int]:
        """The row of each member."""
        return {member: i for i, member in enumerate(self.members)}

    def rows(self, members: Iterable[str]) -> NDArray[np.int64]:
        """The rows of those of the members that have a usable result, in the order given."""
        row = self.row
        found = np.array([row.get(m, -1) for m in members], np.int64)
        found = found[found >= 0]
        return found[self.usable[found]]


@runtime_checkable
class HasColumns(Protocol):
    """Results that know their columns without being read one by one."""

    def columns(self, stage: Stage) -> StageColumns:
        """The columns of a stage."""
        ...


def columns_of(results: Results, stage: Stage) -> StageColumns:
    """The columns of a stage: the results' own where they are kept so, else gathered one by one."""
    if isinstance(results, HasColumns):
        return results.columns(stage)
    rows = [r for (_, s), r in results.items() if s is stage]
    return assemble((r.member, *row_of(r)) for r in rows)


def row_of(result: CampaignResult) -> tuple[Any, ...]:
    """What a result puts into the columns: attempt, usable, `FIGURES`, the lattice's bytes, settings as JSON."""
    parsed = result.parsed or {}
    return (
        result.attempt,
        result.is_usable,
        result.energy_eV,
        result.volume_A3,
        0.0 if parsed.get("metal") else parsed.get("gap_eV"),
        0.0 if parsed.get("metal") else parsed.get("direct_gap_eV"),
        result.largest_force_eV_A,
        result.largest_stress_kB,
        np.array(result.lattice_A, "<f8").tobytes() if result.lattice_A else None,
        json.dumps(result.settings, sort_keys=True),
    )


_NO_LATTICE = np.full(9, np.nan, "<f8").tobytes()


def assemble(rows: Iterable[tuple[Any, ...]], texts: Mapping[str, str] | None = None) -> StageColumns:
    """Columns from ``(member, *row_of(result))``.

    Parameters
    ----------
    texts : the settings' JSON by what stands for it in the rows; by default it stands there itself.
    """
    turned = list(zip(*rows, strict=True)) or [()] * (5 + len(FIGURES))
    members, attempts, usable, *figures, lattices, settings = turned
    numbers: dict[str, int] = {}
    kinds = np.array([numbers.setdefault(text, len(numbers)) for text in settings], np.int64)
    raw = b"".join(lattice or _NO_LATTICE for lattice in lattices)
    return StageColumns(
        members,
        attempts,
        np.array(usable, bool),
        {name: np.array(column, np.float64) for name, column in zip(FIGURES, figures, strict=True)},
        np.frombuffer(raw, "<f8").reshape(len(members), 3, 3),
        kinds,
        tuple(json.loads(texts[name] if texts else name) for name in numbers),
    )
