"""A new campaign: its kalloy.toml, validated whole before the folder exists."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from kalloy.errors import InputError
from kalloy.structures.substitution import Substitution, parse_replacement
from kalloy.workflows.campaign import SPEC_FILE, Campaign
from kalloy.workflows.files import write_text
from kalloy.workflows.inputs.preset import load_preset
from kalloy.workflows.spec import parse_spec

STEPS = """\
[[step]]                       # everybody relaxes and gets an energy
stages = ["relax", "static"]
on = "all"

[[step]]                       # the host and the winner get spectra
stages = ["dos", "bands"]
on = { host = true, lowest = 1 }
"""


def new_campaign(
    folder: Path,
    host: str,
    replacements: Sequence[str],
    *,
    cell: str,
    preset: str,
    engine: str | None,
    dry_run: bool = False,
) -> Campaign:
    """Make a campaign folder that holds its kalloy.toml.

    Parameters
    ----------
    engine : ``gpaw`` or ``vasp``; None for the preset's own.
    host : a bundled name or a file; a file is named by its absolute path.
    dry_run : validate and write nothing.

    Raises
    ------
    InputError
        Where anything asked for cannot be done, or the folder holds a campaign already; nothing is written then.
    """
    if (folder / SPEC_FILE).exists():
        raise InputError(f"'{folder}' holds a campaign already", mend="name another folder, or go on with `kalloy run`")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file", mend="name another folder")
    structure = str(Path(host).resolve()) if Path(host).is_file() else host
    chosen = engine or load_preset(preset).engine
    text = spec_text(structure, [parse_replacement(r) for r in replacements], cell, preset, chosen)
    campaign = Campaign(folder, parse_spec(tomllib.loads(text), "the options"))
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / SPEC_FILE, text)
    return campaign


def spec_text(structure: str, substitutions: Sequence[Substitution], cell: str, preset: str, engine: str) -> str:
    """A kalloy.toml with the usual two steps."""
    tables = "\n".join(_substitution(s) for s in substitutions)
    return (
        f"[host]\nstructure = {json.dumps(structure)}\ncell = {json.dumps(cell)}\n\n{tables}\n"
        f"[calculation]\npreset = {json.dumps(preset)}\nengine = {json.dumps(engine)}\n\n{STEPS}"
    )


def _substitution(substitution: Substitution) -> str:
    amount = 'count = "all"'
    if substitution.counts:
        amount = f"count = {list(substitution.counts)}"
    elif substitution.fractions:
        amount = f"fraction = {list(substitution.fractions)}"
    replace, with_ = json.dumps(substitution.replace), json.dumps(substitution.with_)
    return f"[[substitution]]\nreplace = {replace}\nwith = {with_}\n{amount}\n"
