"""A new campaign: its kalloy.toml, validated whole before the folder exists."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from kalloy.errors import InputError
from kalloy.parsers.opening import SUFFIXES
from kalloy.structures.host import bundled_hosts, load_host
from kalloy.structures.substitution import Substitution, parse_replacement
from kalloy.structures.symmetry import TOLERANCE
from kalloy.workflows.campaign import SPEC_FILE, Campaign
from kalloy.workflows.files import write_text
from kalloy.workflows.inputs.checks.campaign import require_known_tags
from kalloy.workflows.inputs.preset import bundled_presets, load_preset
from kalloy.workflows.inputs.writing import warnings_of
from kalloy.workflows.validation import read_user_text

OWN_FOLDERS = frozenset({"host", "refs", "report", "selections", "batches", "prescreen"})
"""Beside those of the contents."""
STEPS = """\
[[step]]                       # everybody relaxes and gets an energy
stages = ["relax", "static"]
on = "all"

[[step]]                       # the host and the winner get spectra
stages = ["dos", "bands"]
on = { host = true, lowest = 1 }

# [noise]                      # how far apart two energies must be to mean anything (docs/members.md)
# duplicate = true             # a second orientation, where the k-mesh breaks the lattice's symmetry
# rattle = 2                   # winner and runner-up relaxed again from displaced atoms
"""


def new_campaign(
    folder: Path,
    host: str,
    replacements: Sequence[str],
    *,
    cell: str,
    preset: str,
    engine: str | None,
    tolerance: float = TOLERANCE,
    dry_run: bool = False,
) -> Campaign:
    """Make a campaign folder that holds its kalloy.toml.

    Parameters
    ----------
    engine : ``gpaw`` or ``vasp``; None for the preset's own.
    host : a bundled name or a file; a file is copied into the campaign, as a preset of the user's is.
    tolerance : Å; within which symmetry is sought.
    dry_run : validate and write nothing.

    Raises
    ------
    InputError
        Where anything asked for cannot be done, or the folder holds a campaign already; nothing is written then.
    """
    if (folder / SPEC_FILE).exists():
        raise InputError(f"'{folder}' holds a campaign already", mend="name another folder, or go on with `kalloy run`")
    if not replacements:
        raise InputError(
            "nothing is substituted", mend="say what: --replace Cs=K:1, or --replace Cs=K for all contents"
        )
    copied: dict[str, str] = {}
    structure = host if host in bundled_hosts() else _copied(Path(host), copied, bundled_hosts())
    # Refused under the names that were typed, not under those of the copies below.
    load_host(host, cell, tolerance)
    asked = load_preset(preset)
    chosen = engine or asked.engine
    settings = _copied(Path(preset), copied, bundled_presets()) if preset not in bundled_presets() else preset
    text = spec_text(structure, [parse_replacement(r) for r in replacements], cell, settings, chosen, tolerance)
    with TemporaryDirectory() as trial:
        # The whole campaign is opened before its folder exists, so that nothing is written where it cannot be.
        _write(Path(trial), {**copied, SPEC_FILE: text})
        campaign = Campaign(Path(trial))
        require_known_tags(campaign)
        warnings_of(campaign)
        _refuse_folders(campaign, copied)
    campaign.root = folder
    if not dry_run:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, {**copied, SPEC_FILE: text})
        except OSError as error:
            raise InputError(
                f"cannot write '{error.filename or folder}': {error.strerror}", mend="name another"
            ) from None
    return campaign


def _refuse_folders(campaign: Campaign, files: Iterable[str]) -> None:
    """A file cannot be where a folder of the campaign will be."""
    folders = {label.partition("/")[0] for label in campaign.members} | OWN_FOLDERS
    if taken := sorted(folders & set(files)):
        raise InputError(
            f"'{taken[0]}' is the name of one of the campaign's own folders", mend="give the file another name"
        )


def _copied(path: Path, files: dict[str, str], names: Collection[str]) -> str:
    """The name under which a file of the user's goes into the campaign, which then needs nothing outside itself.

    Parameters
    ----------
    names : of what comes with kalloy: a file that has such a name is still the file.
    """
    if path.is_file():
        if path.suffix in SUFFIXES[1:]:
            raise InputError(
                "is compressed", where=str(path), mend="unpack it first: it becomes a file of the campaign"
            )
        if not path.name.isprintable():
            mend = "rename the file: kalloy.toml has to say its name"
            raise InputError(f"'{path.name}' is a name with letters that are none", where=str(path), mend=mend)
        files[path.name] = read_user_text(path)
        return f"./{path.name}" if path.name in names else path.name
    return str(path)


def _write(folder: Path, files: dict[str, str]) -> None:
    """kalloy.toml last: a folder without it is no campaign. A file that is there already must say the same."""
    for name, text in files.items():
        path = folder / name
        if path.is_file() and read_user_text(path) != text:
            raise InputError(f"'{path}' exists and says something else", mend="name another folder")
        write_text(path, text)


def spec_text(
    structure: str,
    substitutions: Sequence[Substitution],
    cell: str,
    preset: str,
    engine: str,
    tolerance: float = TOLERANCE,
) -> str:
    """A kalloy.toml with the usual two steps."""
    tables = "\n".join(_substitution(s) for s in substitutions)
    within = "" if tolerance == TOLERANCE else f"tolerance = {tolerance!r}\n"
    return (
        f"[host]\nstructure = {_quoted(structure)}\ncell = {_quoted(cell)}\n{within}\n{tables}\n"
        f"[calculation]\npreset = {_quoted(preset)}\nengine = {_quoted(engine)}\n\n{STEPS}"
    )


def _substitution(substitution: Substitution) -> str:
    amount = 'count = "all"'
    if substitution.counts:
        amount = f"count = {list(substitution.counts)}"
    elif substitution.fractions:
        amount = f"fraction = {list(substitution.fractions)}"
    replace, with_ = _quoted(substitution.replace), _quoted(substitution.with_)
    return f"[[substitution]]\nreplace = {replace}\nwith = {with_}\n{amount}\n"


def _quoted(text: str) -> str:
    """A string of TOML. JSON's are, but for letters beyond the basic plane, which it would write as two halves."""
    return json.dumps(text, ensure_ascii=False)
