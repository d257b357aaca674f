"""The user's library of POTCARs, in every layout that is in use: which release, which folder, which file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from kalloy.errors import VaspInputError
from kalloy.workflows.inputs.potcar_blocks import Block, read_block

VARIABLE = "PMG_VASP_PSP_DIR"
"""Names the library, in the environment or in .pmgrc.yaml: pymatgen's, so that one setting serves both."""
PACKED = ("", ".gz", ".bz2", ".xz")


def setting(name: str) -> Any:
    """One of pymatgen's settings; what the environment says now comes before what pymatgen read when it started."""
    from pymatgen.core import SETTINGS

    return os.environ.get(name) or SETTINGS.get(name)


def has_library() -> bool:
    """Whether the user has named a library of POTCARs."""
    return bool(setting(VARIABLE))


@dataclass(frozen=True)
class Library:
    """One release of VASP's datasets on this machine."""

    functional: str
    """pymatgen's name of the release: ``PBE``, ``PBE_52``, ``PBE_54``, ``PBE_64``, …"""
    folder: Path

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Every dataset there, by name."""
        names = set()
        for entry in os.scandir(self.folder):
            if entry.is_dir():
                if any(Path(entry.path, f"POTCAR{end}").is_file() for end in PACKED):
                    names.add(entry.name)
            elif entry.name.startswith("POTCAR."):
                names.add(entry.name.removeprefix("POTCAR.").removesuffix(_packing(entry.name)))
        return tuple(sorted(names))

    def block(self, dataset: str) -> Block:
        """Read a dataset.

        Raises
        ------
        VaspInputError
            Where the release lacks it (the nearest ones are named), or what is there is no dataset.
        """
        path = self._file(dataset)
        if path is None:
            raise VaspInputError(
                f"no dataset '{dataset}' in {self.functional}",
                where=str(self.folder),
                mend=f"{self._near(dataset)}; name another in [calculation.potcar], or add it to the library",
            )
        try:
            return read_block(_read(path))
        except (OSError, EOFError) as error:
            raise VaspInputError(f"cannot be read: {error}", where=str(path)) from None
        except VaspInputError as error:
            raise VaspInputError(error.what, where=str(path), mend=error.mend) from None

    def _file(self, dataset: str) -> Path | None:
        stems = (self.folder / dataset / "POTCAR", self.folder / f"POTCAR.{dataset}")
        found = (stem.with_name(stem.name + end) for stem in stems for end in PACKED)
        return next((path for path in found if path.is_file()), None)

    def _near(self, dataset: str) -> str:
        """The datasets of the same element, else the ones of most similar name."""
        element = dataset.split("_")[0].split(".")[0]
        same = [d for d in self.datasets if d.split("_")[0].split(".")[0] == element]
        near = same or get_close_matches(dataset, self.datasets, n=3)
        return f"there are {', '.join(near)}" if near else f"nothing there is for {element}"


def find_library(asked: str | None) -> Library | None:
    """The release to take datasets from; None where the user has named no library.

    Parameters
    ----------
    asked : pymatgen's name of the release; where it is None, pymatgen's PMG_DEFAULT_FUNCTIONAL, else the only release
        that is there.

    Raises
    ------
    VaspInputError
        Where the library is not there, lacks the release, or holds several and none was asked for.
    """
    if not has_library():
        return None
    root = Path(os.path.expandvars(str(setting(VARIABLE)))).expanduser()
    where = f"{VARIABLE}={root}"
    if not root.is_dir():
        raise VaspInputError("the POTCAR library is no folder", where=where, mend=f"mend {VARIABLE}")
    found = releases(root)
    name = asked or setting("PMG_DEFAULT_FUNCTIONAL") or _only(found, where)
    if name not in found:
        names = ", ".join(folder_names(name))
        there = f"it holds {', '.join(found)}" if found else "it holds no release that kalloy knows"
        raise VaspInputError(
            f"no {name} in the POTCAR library: {there}", where=where, mend=f"its folder is one of {names}"
        )
    return Library(name, found[name])


def _only(found: Mapping[str, Path], where: str) -> str:
    """The one PBE release that is there; PBE where there is none, so that its absence is what gets reported."""
    candidates = [name for name in found if name.startswith("PBE")]
    if len(candidates) > 1:
        raise VaspInputError(
            f"the library holds several releases ({', '.join(candidates)}), and none was asked for",
            where=where,
            mend=f'say which in kalloy.toml: [calculation] potcar_functional = "{candidates[-1]}"',
        )
    return candidates[0] if candidates else "PBE"


def releases(root: Path) -> dict[str, Path]:
    """The releases that a library holds, by pymatgen's names; the library may itself be the folder of one."""
    from pymatgen.io.vasp.inputs import PotcarSingle

    there = {entry.name: Path(entry.path) for entry in os.scandir(root) if entry.is_dir()}
    found: dict[str, Path] = {}
    for functional in PotcarSingle.functional_dir:
        for name in folder_names(functional):
            if name in there and there[name] not in found.values():
                found.setdefault(functional, there[name])
            elif root.name == name and root not in found.values() and not found:
                found[functional] = root
    return found


def folder_names(functional: str) -> list[str]:
    """The folder names of a release: the user's own, pymatgen's, and those that VASP's archives unpack to."""
    from pymatgen.io.vasp.inputs import PotcarSingle

    own = (setting("PMG_VASP_PSP_SUB_DIRS") or {}).get(functional)
    kind, _, number = functional.removesuffix("_W_HASH").partition("_")
    vasp = []
    if kind in ("PBE", "LDA", "PW91") and (number.isdigit() or not number):
        stem = f"potpaw_{'GGA' if kind == 'PW91' else kind}"
        vasp = [f"{stem}.{number}", f"{stem}_{number}"] if number else [stem]
    names = [own, PotcarSingle.functional_dir.get(functional), *vasp]
    return list(dict.fromkeys(name for name in names if name))


def _packing(name: str) -> str:
    return next((end for end in PACKED[1:] if name.endswith(end)), "")


def _read(path: Path) -> str:
    """The text of a dataset, unpacked as pymatgen does; older ones are not all UTF-8."""
    from monty.io import zopen

    with zopen(path, mode="rb") as file:
        raw: bytes = file.read()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text if text.endswith("\n") else text + "\n"
