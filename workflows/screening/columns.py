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
        row, usable = self.row, self.usable
        return np.array([i for m in members if (i := row.get(m)) is not None and usable[i]], np.int64)


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


Row = tuple[str, bool, tuple[float | None, ...], bytes | None, str]


def row_of(result: CampaignResult) -> Row:
    """What a result puts into the columns: attempt, usable, figures, the lattice's bytes, settings as JSON."""
    parsed = result.parsed or {}
    figures = (
        result.energy_eV,
        result.volume_A3,
        0.0 if parsed.get("metal") else parsed.get("gap_eV"),
        0.0 if parsed.get("metal") else parsed.get("direct_gap_eV"),
        result.largest_force_eV_A,
        result.largest_stress_kB,
    )
    lattice = np.array(result.lattice_A, "<f8").tobytes() if result.lattice_A else None
    return result.attempt, result.is_usable, figures, lattice, json.dumps(result.settings, sort_keys=True)


_NO_LATTICE = np.full(9, np.nan, "<f8").tobytes()


def assemble(rows: Iterable[tuple[str, str, bool, tuple[float | None, ...], bytes | None, str]]) -> StageColumns:
    """Columns from ``(member, *row_of(result))``."""
    listed = list(rows)
    members, attempts, usable, figures, lattices, texts = zip(*listed, strict=True) if listed else ((),) * 6
    numbers: dict[str, int] = {}
    settings = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    table = np.array(figures, np.float64).reshape(len(members), len(FIGURES))
    raw = b"".join(lattice or _NO_LATTICE for lattice in lattices)
    return StageColumns(
        tuple(members),
        tuple(attempts),
        np.array(usable, bool),
        {name: table[:, i] for i, name in enumerate(FIGURES)},
        np.frombuffer(raw, "<f8").reshape(len(members), 3, 3),
        settings,
        tuple(json.loads(text) for text in numbers),
    )
