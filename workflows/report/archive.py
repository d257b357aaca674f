"""A campaign as one archive that may be published: everything but licensed data and what can be computed again."""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from kalloy.errors import CampaignError
from kalloy.parsers.opening import SUFFIXES, open_binary
from kalloy.structures.host import bundled_hosts
from kalloy.workflows.campaign import SPEC_FILE, Campaign
from kalloy.workflows.files import replacing
from kalloy.workflows.inputs.preset import preset_files

ATTEMPT_FILES = frozenset(
    (
        *("INCAR", "KPOINTS", "KPOINTS_OPT", "POSCAR", "POTCAR.spec", "CONTCAR", "OSZICAR", "OUTCAR", "vasprun.xml"),
        *("vaspout.h5", "EIGENVAL", "DOSCAR"),
        *("attempt.json", "taken.json", "kalloy-end.json", "custodian.json"),
    )
)
"""Of an attempt's files those that go along, compressed or not; densities, wave functions, POTCARs stay at home."""
RECORDS = ("selections", "report", "prescreen")
"""Folders of the campaign that go along whole."""
LICENSED = (re.compile(rb"End of Dataset"), re.compile(rb"PSCTR-controll parameters"))
"""Lines that only a POTCAR has: a file that holds them is not published, whatever it is called."""
SUMS = "SHA256SUMS"


def write_archive(campaign: Campaign, path: Path) -> int:
    """Write ``path``, a tar.gz whose one folder is named as the campaign is.

    The unpacked folder is a campaign: every command works on it, `kalloy run` finds nothing to do. ``SHA256SUMS`` is
    for ``sha256sum --check``. The same campaign gives the same bytes.

    Returns
    -------
    How many files it holds.

    Raises
    ------
    CampaignError
        Where a file that would go along holds a POTCAR, or one that kalloy.toml names lies outside the campaign: named,
        and nothing is written.
    """
    files = sorted({*_files(campaign.root), *_named(campaign)})
    _refuse_licensed(campaign.root, files)
    top = campaign.root.resolve().name
    sums = []
    with (
        replacing(path) as part,
        part.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for relative in files:
            content = (campaign.root / relative).read_bytes()
            sums.append(f"{sha256(content).hexdigest()}  {relative}\n")
            _add(tar, f"{top}/{relative}", content)
        _add(tar, f"{top}/{SUMS}", "".join(sums).encode())
    return len(files)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _files(root: Path) -> Iterator[str]:
    """Relative paths of everything that goes along."""
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts) and _goes_along(relative):
            yield relative.as_posix()


def _named(campaign: Campaign) -> Iterator[str]:
    """Relative paths of the structures and presets that kalloy.toml names, wherever in the campaign they lie."""
    spec, root = campaign.spec, campaign.root
    asked = [spec.host.structure, *(phase.structure for phase in spec.references.values())]
    files = [name for name in asked if name not in bundled_hosts()]
    for name in (*files, *preset_files(spec.calculation.preset, root)):
        path = root / Path(name).expanduser()
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(root.resolve()):
            raise CampaignError(
                f"kalloy.toml names '{name}', which lies outside the campaign and would be missing from its archive",
                where=str(root / SPEC_FILE),
                mend="copy it into the campaign's folder and name it there",
            )
        yield Path(os.path.normpath(path)).relative_to(os.path.normpath(root)).as_posix()


def _goes_along(relative: Path) -> bool:
    if len(relative.parts) == 1:  # what was asked: the spec, the preset and the host beside it
        return relative.name == SPEC_FILE or relative.suffix.lower() in (
            ".yaml",
            ".yml",
            ".cif",
            ".vasp",
            ".xyz",
            ".md",
        )
    if relative.parts[0] in RECORDS or relative.name == "member.json":
        return True
    plain = next((relative.name.removesuffix(s) for s in SUFFIXES[1:] if relative.suffix == s), relative.name)
    return plain in ATTEMPT_FILES or (relative.parts[0] == "batches" and relative.name == "manifest.json")


def _refuse_licensed(root: Path, files: list[str]) -> None:
    """OUTCAR repeats titles and parameters of the datasets, never their data; anything more is refused."""
    for relative in files:
        with open_binary(root / relative) as file:
            carry = b""
            while block := file.read(1 << 20):
                if any(mark.search(carry + block) for mark in LICENSED):
                    raise CampaignError(
                        "holds the text of a POTCAR, which is licensed and cannot be published",
                        where=str(root / relative),
                        mend="move the file out of the campaign",
                    )
                carry = block[-64:]
