"""A ranking as people read it: columns with units, reference values beside."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kalloy.errors import InputError, nearest
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.screening.doubts import doubts
from kalloy.workflows.screening.gaps import MemberGap
from kalloy.workflows.screening.ranked import Ranked
from kalloy.workflows.screening.ranking import Ranking
from kalloy.workflows.spec import ReferenceValues

__all__ = ["COLUMNS", "KNOWN", "WIDE", "as_csv", "columns", "doubts", "reference_rows", "table_row"]

Row = tuple[str | None, ...]
Cell = Callable[[Ranked], str | None]


@dataclass(frozen=True)
class Column:
    """One column of the terminal's table and of the page's."""

    name: str
    """What ``--columns`` calls it."""
    head: str
    """With its unit."""
    cell: Cell


def _fixed(value: float | None, digits: int, *, sign: bool = False) -> str | None:
    return None if value is None else f"{value:{'+' if sign else ''}.{digits}f}"


def _margin(gap: MemberGap | None) -> float | None:
    return gap.margin_meV if gap and not gap.metal else None


def _length(axis: int) -> Cell:
    return lambda r: _fixed(r.cell[axis] if r.cell else None, 3 if axis < 3 else 2)


def _strain(i: int) -> Cell:
    return lambda r: _fixed(r.strain_percent[i][i] if r.strain_percent else None, 2, sign=True)


KNOWN = {
    c.name: c
    for c in (
        Column("place", "#", lambda r: r.place),
        Column("member", "member", lambda r: r.member),
        Column("group", "group", lambda r: r.space_group),
        Column("relaxed", "relaxed", lambda r: r.relaxed_space_group),
        Column("g", "g", lambda r: str(r.degeneracy)),
        Column("sites", "sites", lambda r: r.sites),
        Column("nearest", "nearest Å", lambda r: " ".join(f"{p} {d:.2f}" for p, d in r.nearest_A.items()) or None),
        Column("energy", "E eV/cell", lambda r: _fixed(r.energy_eV, 4)),
        Column("dE", "ΔE meV/f.u.", lambda r: _fixed(r.relative_meV_fu, 1)),
        Column("dE-atom", "ΔE meV/atom", lambda r: _fixed(r.relative_meV_atom, 1)),
        Column("dE-cell", "ΔE meV/cell", lambda r: _fixed(r.relative_meV, 1)),
        Column("gap", "gap eV", lambda r: _fixed(r.gap.gap_eV, 3) if r.gap else None),
        Column("character", "character", lambda r: r.gap.character if r.gap else ("not ranked" if r.note else None)),
        Column("margin", "margin meV", lambda r: _fixed(_margin(r.gap), 0)),
        Column("dgap", "Δgap eV", lambda r: _fixed(r.gap_shift_eV, 3, sign=True)),
        Column("volume", "V Å3", lambda r: _fixed(r.volume_A3, 2)),
        Column("dV", "ΔV %", lambda r: _fixed(r.volume_change_percent, 2, sign=True)),
        *(Column(n, f"{n} Å", _length(i)) for i, n in enumerate("abc")),
        *(Column(n, f"{n} °", _length(3 + i)) for i, n in enumerate(("alpha", "beta", "gamma"))),
        *(Column(f"strain-{n}", f"ε{n} %", _strain(i)) for i, n in enumerate(("xx", "yy", "zz"))),
    )
}
"""Every column by name."""
DEFAULT = ("place", "member", "group", "g", "dE", "gap", "character", "dgap", "dV")
"""What fits on eighty columns."""
WIDE = (*DEFAULT[:3], "relaxed", "g", "sites", "nearest", *DEFAULT[4:7], "margin", *DEFAULT[7:], "a", "b", "c")
"""Columns of ``--wide`` and of the page."""
COLUMNS = tuple(KNOWN[name].head for name in DEFAULT)
"""Heads of the usual columns."""


def columns(names: Iterable[str]) -> list[Column]:
    """Columns by name.

    Raises
    ------
    InputError
        Where there is none of that name; the nearest one is named.
    """
    found = []
    for name in names:
        if name not in KNOWN:
            raise InputError(f"no column '{name}'", where="--columns", mend=nearest(name, list(KNOWN)))
        found.append(KNOWN[name])
    return found


def table_row(row: Ranked, names: Sequence[str] = DEFAULT) -> Row:
    """One row as text; None where there is no figure."""
    return tuple(KNOWN[name].cell(row) for name in names)


def reference_rows(campaign: Campaign, names: Sequence[str] = DEFAULT) -> list[Row]:
    """The user's reference values in the same columns; nothing is computed from them but the shift between the two."""
    reference = campaign.spec.reference
    if reference is None:
        return []
    host, lowest = reference.host, reference.lowest
    shift = lowest.gap_eV - host.gap_eV if lowest.gap_eV is not None and host.gap_eV is not None else None
    rows = (("host", host, None), ("lowest", lowest, shift))
    cells = [_reference(f"{reference.name}: {of}", values, shift) for of, values, shift in rows]
    empty = ("place", "group", "relaxed", "g", "sites")
    return [tuple(found.get(name, "" if name in empty else None) for name in names) for found in cells]


def _reference(name: str, values: ReferenceValues, shift: float | None) -> dict[str, str | None]:
    return {
        "member": name,
        "gap": _fixed(values.gap_eV, 3),
        "character": None if values.direct is None else ("direct" if values.direct else "indirect"),
        "dgap": _fixed(shift, 3, sign=True),
        "dV": _fixed(values.volume_change_percent, 2, sign=True),
    }


def as_csv(ranking: Ranking) -> str:
    """The whole ranking, units in the column names."""
    rows = [row.to_json() for row in ranking.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
