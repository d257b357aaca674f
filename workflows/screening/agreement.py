"""Before comparing, agree: energies are compared only where everything that decides them was the same.

What counts is what the engine says it used (`kalloy.workflows.results.effective_settings`), not what was asked for.
Two rules: a *ranking*, within one composition and cell, needs agreement in everything; *mixing and exchange*, between
compositions and with reference phases, in engine, functional, cut-off and datasets, with a mesh as dense for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from kalloy.errors import AgreementError, InputError, nearest
from kalloy.workflows.results import COMPARED, SETTING_NAMES, CampaignResult
from kalloy.workflows.screening.columns import StageColumns, assemble, row_of

Differing: TypeAlias = "dict[str, dict[str, list[str]]]"
"""Setting → value in words → members that have it."""

OF_EACH_ELEMENT = {"datasets": "dataset of ", "Hubbard U": "Hubbard U of "}
"""Settings that each element has its own of, and how one element's is called."""
OF_THE_COMPOSITION = frozenset({"NELECT", "atoms"})
"""What differs by nature between structures of different composition."""
OF_THE_PHASE = OF_THE_COMPOSITION | {"k-mesh", "ISMEAR", "SIGMA (eV)", "ISYM", "EDIFFG"}
"""What each phase may have its own of in a mixing or an exchange energy."""
COARSER = 1.1
"""How much wider apart a reference phase's k-points may be than the host's, on average."""


@dataclass(frozen=True)
class Agreement:
    """What differs among some results, and which of it the user has taken on."""

    differing: Differing
    allowed: frozenset[str]

    @cached_property
    def refused(self) -> Differing:
        """What differs and was not taken on."""
        return {s: values for s, values in self.differing.items() if not _is_allowed(s, self.allowed)}

    @cached_property
    def taken_on(self) -> Differing:
        """What differs and was taken on: a doubt of every figure that compares these members."""
        return {s: values for s, values in self.differing.items() if _is_allowed(s, self.allowed)}

    def doubts(self) -> list[str]:
        """In words, one line a setting that was taken on."""
        return [f"{s} differs and was allowed: {_in_words(values, '; ')}" for s, values in self.taken_on.items()]

    def require(self, what: str = "are not ranked") -> None:
        """Raise `AgreementError` with a table of who differs, unless all of it was taken on."""
        if not self.refused:
            return
        lines = []
        for setting, values in self.refused.items():
            lines += [f"  {setting}:", *(f"    {value}: {_some(members)}" for value, members in values.items())]
        known = ", ".join(f"--allow {plain_name(s)}" for s in self.refused)
        raise AgreementError(
            f"the calculations were not made alike and {what}\n" + "\n".join(lines),
            mend=f"\ncompute them with one preset, engine and version, or take the difference on: {known}",
        )


def compare(columns: StageColumns, rows: Iterable[int], ignoring: Set[str], allowed: Iterable[str] = ()) -> Agreement:
    """Hold the effective settings of some rows against each other.

    Datasets and U are compared element by element, for not every member holds every element. A setting that one
    engine's file does not say is a value too.

    Parameters
    ----------
    rows : of ``columns``.
    ignoring : settings that may differ without a word.
    allowed : settings whose difference the user takes on.
    """
    chosen = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), np.int64)
    kinds = columns.settings[chosen]
    present = np.unique(kinds).tolist()
    names = dict.fromkeys(n for i in present for n in columns.distinct[i] if n not in OF_EACH_ELEMENT)
    found: dict[str, dict[str, list[int]]] = {}
    for i in present:
        settings = columns.distinct[i]
        values = {name: _text(settings.get(name)) for name in names if name not in ignoring}
        values |= {f"{its}{e}": _text(v) for n, its in OF_EACH_ELEMENT.items() for e, v in settings.get(n, {}).items()}
        for setting, value in values.items():
            found.setdefault(setting, {}).setdefault(value, []).append(i)
    members = columns.members
    return Agreement(
        {
            setting: {v: [members[r] for r in chosen[np.isin(kinds, which)]] for v, which in values.items()}
            for setting, values in found.items()
            if len(values) > 1
        },
        frozenset(allowed),
    )


def disagreements(results: Sequence[CampaignResult], *, ignoring: Set[str] = frozenset()) -> Differing:
    """What differs among results: setting → value in words → members that have it. Empty where all agree."""
    columns = assemble((r.member, *row_of(r)) for r in results)
    return compare(columns, range(len(columns.members)), ignoring).differing


def require_agreement(results: Sequence[CampaignResult], *, ignoring: Set[str] = frozenset()) -> None:
    """Raise `AgreementError` with a table of who differs."""
    Agreement(disagreements(results, ignoring=ignoring), frozenset()).require()


def known_settings() -> list[str]:
    """The names that `--allow` takes."""
    return ["program", "version", *(SETTING_NAMES.get(n, n) for n in COMPARED), "k-mesh", *OF_EACH_ELEMENT, "atoms"]


def parse_allowed(names: Iterable[str]) -> frozenset[str]:
    """Settings as the user names them, by their plain or their full name (``ENCUT``, ``ENCUT (eV)``).

    Raises
    ------
    InputError
        Where there is no such setting; the nearest one is named.
    """
    plain = {plain_name(name).casefold(): plain_name(name) for name in known_settings()}
    found = set()
    for name in names:
        if plain_name(name).casefold() not in plain:
            raise InputError(f"no setting '{name}'", where="--allow", mend=nearest(name, list(plain.values())))
        found.add(plain[plain_name(name).casefold()])
    return frozenset(found)


def mesh_spacing(settings: Mapping[str, Any], lattice: ArrayLike) -> float | None:
    """The mean distance between neighbouring k-points, 1/Å with 2π: the cube root of the zone's volume for each.

    Parameters
    ----------
    settings : effective ones; their ``k-mesh`` is ``Gamma 4x4x3``, or names its number of points.
    lattice : shape (3, 3), Å.

    Returns
    -------
    None for a list of points, of which nobody says how many symmetry left out.
    """
    mesh = str(settings.get("k-mesh"))
    volume = float(abs(np.linalg.det(np.asarray(lattice, np.float64))))
    if divisions := re.search(r"(\d+)x(\d+)x(\d+)(?= shifted|$)", mesh):
        points = prod(int(n) for n in divisions.groups())
    elif generated := re.match(r"generated (\d+) points", mesh):
        points = int(generated[1])
    else:
        return None
    return 2 * np.pi / (volume * points) ** (1 / 3) if np.isfinite(volume) else None


def coarser_meshes(columns: StageColumns, host: int, others: Iterable[int]) -> Differing:
    """Reference phases whose k-points lie farther apart than the host's, as a disagreement.

    Parameters
    ----------
    host, others : rows of ``columns``.
    """

    def spacing(row: int) -> float | None:
        return mesh_spacing(columns.distinct[int(columns.settings[row])], columns.lattices[row])

    own = spacing(host)
    wide = {columns.members[r]: s for r in others if (s := spacing(r)) is not None and own and s > COARSER * own}
    if not wide or own is None:
        return {}
    listed = {f"{own:.3f}": [columns.members[host]], **{f"{s:.3f}": [m] for m, s in wide.items()}}
    return {"k-mesh spacing (1/Å)": listed}


def _is_allowed(setting: str, allowed: Iterable[str]) -> bool:
    return plain_name(setting) in set(allowed)


def plain_name(name: str) -> str:
    """``ENCUT (eV)`` without its unit, a dataset as ``datasets``, an element's U as ``Hubbard U``."""
    bare = name.split(" (")[0].strip()
    kept = (setting for setting, its in OF_EACH_ELEMENT.items() if bare.startswith(its))
    return "k-mesh" if bare.startswith("k-mesh") else next(kept, bare)


def _text(value: Any) -> str:
    if value is None:
        return "not said"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _in_words(values: Mapping[str, list[str]], between: str) -> str:
    return between.join(f"{value}: {_some(members)}" for value, members in values.items())


def _some(members: list[str], most: int = 6) -> str:
    rest = len(members) - most
    return ", ".join(members[:most]) + (f" and {rest} more" if rest > 0 else "")
