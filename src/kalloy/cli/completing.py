"""What the shell may offer for a word. Asked at every tab: reads names of files and imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

Completer: TypeAlias = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _those(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _or_files(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The words that fit, else files."""
    return _those(words, incomplete) or [CompletionItem(incomplete, type="file")]


def _bundled(package: str, folder: str, ending: str) -> list[str]:
    names = [entry.name for entry in files(package).joinpath(folder).iterdir()]
    return sorted(name.removesuffix(ending) for name in names if name.endswith(ending))


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Bundled hosts, else files."""
    return _or_files(_bundled("kalloy.structures", "hosts", ".cif"), incomplete)


def presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Bundled presets, else files."""
    return _or_files(_bundled("kalloy.workflows.inputs", "presets", ".yaml"), incomplete)


def cells(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The words that ``--cell`` knows."""
    return _those(("given", "primitive", "conventional"), incomplete)


def stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Every stage."""
    from kalloy.workflows.inputs.stage import Stage

    return _those([stage.value for stage in Stage], incomplete)


def members(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Labels on record in the campaign that is named on the line, or that one stands in."""
    # Where the option's own value is still missing, click leaves the campaign among what it could not place.
    named = [Path(str(word)) for word in (*ctx.args, ctx.params.get("campaign") or ".")]
    root = next((folder for folder in named if (folder / "kalloy.toml").is_file()), Path())
    return _those(dict.fromkeys(("host", *recorded_members(root))), incomplete)


def recorded_members(root: Path) -> list[str]:
    """Of a campaign's selections, in their order: what is enumerated only then is not worth a tab's time."""
    found: dict[str, Any] = {}
    for path in sorted((root / "selections").glob("*.json")):
        try:
            found |= dict.fromkeys(map(str, json.loads(path.read_text(encoding="utf-8"))["members"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a tab is no place for an error
    return list(found)
