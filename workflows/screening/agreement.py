"""Before comparing, agree: energies are ranked only where everything that decides them was the same."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, TypeAlias

from kalloy.errors import AgreementError
from kalloy.workflows.results import CampaignResult

Differing: TypeAlias = "dict[str, dict[str, list[str]]]"


OF_THE_COMPOSITION = frozenset({"NELECT", "atoms"})
"""What differs by nature between structures of different composition."""


def disagreements(results: Sequence[CampaignResult], *, ignoring: Set[str] = frozenset()) -> Differing:
    """What differs: setting → value in words → members that have it. Empty where all agree.

    A setting that one engine's file does not say is a value too. Datasets are compared element by element, for not
    every member holds every element.
    """
    names = dict.fromkeys(name for r in results for name in r.settings if name != "datasets")
    found: Differing = {}
    for result in results:
        values = {name: _text(result.settings.get(name)) for name in names if name not in ignoring}
        values |= {f"dataset of {e}": title for e, title in result.settings.get("datasets", {}).items()}
        for setting, value in values.items():
            found.setdefault(setting, {}).setdefault(value, []).append(result.member)
    return {setting: values for setting, values in found.items() if len(values) > 1}


def _text(value: Any) -> str:
    if value is None:
        return "not said"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def require_agreement(results: Sequence[CampaignResult], *, ignoring: Set[str] = frozenset()) -> None:
    """Raise `AgreementError` with a table of who differs."""
    if differing := disagreements(results, ignoring=ignoring):
        lines = []
        for setting, values in differing.items():
            lines.append(f"  {setting}:")
            lines += [f"    {value}: {_some(members)}" for value, members in values.items()]
        raise AgreementError(
            "the calculations were not made alike and are not ranked\n" + "\n".join(lines),
            mend="\ncompute them with one preset, engine and version",
        )


def _some(members: list[str], most: int = 6) -> str:
    rest = len(members) - most
    return ", ".join(members[:most]) + (f" and {rest} more" if rest > 0 else "")
