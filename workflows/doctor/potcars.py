"""The library of POTCARs: where it is named, which releases it holds, what the campaign would miss in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from kalloy.errors import VaspInputError, why_unreadable
from kalloy.workflows.doctor.finding import Finding, failure, missing, ok, warning
from kalloy.workflows.inputs.potcar_library import VARIABLE, find_library, releases, setting

MEND = f"export {VARIABLE}=/path/to/potcars, or `{VARIABLE}: /path/to/potcars` in ~/.config/.pmgrc.yaml"


def settings_files(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Where pymatgen reads its settings, the first that is there alone."""
    return [Path(environment.get("PMG_CONFIG_FILE") or home / ".config" / ".pmgrc.yaml"), home / ".pmgrc.yaml"]


def settings_file(environment: Mapping[str, str], home: Path) -> Finding | None:
    """A .pmgrc.yaml that cannot be read says nothing, and pymatgen goes on without it."""
    path = next((p for p in settings_files(environment, home) if p.exists()), None)
    if path is None:
        return None
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        return failure(str(path.name), f"{path} cannot be read: {why_unreadable(error)}", "mend or remove it")
    if raw is not None and not isinstance(raw, dict):
        return failure(str(path.name), f"{path} holds no mapping", f"write lines such as `{VARIABLE}: /path`")
    return None


def library(asked: str | None, datasets: Sequence[str], needed: bool) -> Iterator[Finding]:
    """The library against what is asked of it.

    Parameters
    ----------
    asked : pymatgen's name of the release that kalloy.toml or the preset asks for.
    datasets : the names that the campaign takes, ``Cs_sv``.
    needed : whether the campaign's engine is VASP.
    """
    if broken := settings_file(os.environ, Path.home()):
        yield broken
    if not setting(VARIABLE):
        words = "none is named: VASP cannot start" if needed else "none is named; only VASP needs one"
        yield failure("POTCAR library", words, MEND) if needed else ok("POTCAR library", words)
        return
    origin = "the environment" if os.environ.get(VARIABLE) else ".pmgrc.yaml"
    try:
        found = find_library(asked)
    except VaspInputError as error:
        place = f" ({error.where}, from {origin})" if error.where else ""
        yield missing(needed, "POTCAR library", f"{error.what}{place}", error.mend or MEND)
        return
    assert found is not None
    held = ", ".join(releases(found.folder.parent)) or found.functional
    count = len(found.datasets)
    if not count:
        yield missing(needed, "POTCAR library", f"{found.folder} holds no dataset", "unpack VASP's archive there")
        return
    yield ok("POTCAR library", f"{found.functional} of {held}, {count} datasets in {found.folder}, from {origin}")
    bad = {}
    for name in datasets:
        try:
            found.block(name)
        except VaspInputError as refused:
            bad[name] = refused
    for name, why in bad.items():
        yield missing(needed, f"POTCAR {name}", why.what, why.mend or "take the file from VASP's archive again")
    if datasets and not bad:
        yield ok("POTCAR datasets", f"{', '.join(datasets)}")


def unasked(error: VaspInputError) -> Finding:
    """Datasets that cannot even be named."""
    return warning("POTCAR datasets", error.what, error.mend or "name them in [calculation.potcar]")
