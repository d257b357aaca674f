"""Before comparing, agree: energies are ranked only where everything that decides them was the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kalloy.errors import AgreementError
from kalloy.workflows.results import CampaignResult


def disagreements(results: Sequence[CampaignResult]) -> dict[str, dict[str, list[str]]]:
    """What differs: setting → value in words → members that have it. Empty where all agree."""
    found: dict[str, dict[str, list[str]]] = {}
    for result in results:
        for setting, value in _comparable(result.settings).items():
            found.setdefault(setting, {}).setdefault(value, []).append(result.member)
    return {setting: values for setting, values in found.items() if len(values) > 1}


def _comparable(settings: Mapping[str, Any]) -> dict[str, str]:
    """One text a setting; datasets element by element, for not every member holds every element."""
    plain = {name: _text(value) for name, value in settings.items() if name != "datasets"}
    return plain | {f"dataset of {element}": title for element, title in settings.get("datasets", {}).items()}


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def require_agreement(results: Sequence[CampaignResult]) -> None:
    """Raise `AgreementError` with a table of who differs."""
    if differing := disagreements(results):
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
