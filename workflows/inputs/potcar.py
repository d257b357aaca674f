"""POTCAR: licensed, so never ours; taken from the user's library, or named in POTCAR.spec for want of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalloy.errors import VaspInputError
from kalloy.workflows.inputs.preset import Preset


@dataclass(frozen=True)
class PotcarChoice:
    """Which dataset each element of a POSCAR takes."""

    symbols: tuple[str, ...]
    """Dataset names in the order of POSCAR: ``Cs_sv``, ``K_sv``, …"""
    elements: tuple[str, ...]
    """The elements they are for, in the same order."""

    @property
    def spec(self) -> str:
        """Content of POTCAR.spec: one dataset name a line, as pymatgen writes it."""
        return "\n".join(self.symbols)


def choose(preset: Preset, elements: Sequence[str]) -> PotcarChoice:
    """The preset's datasets for these elements; pymatgen's MPRelaxSet choice where it names none."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    usual = MPRelaxSet.CONFIG["POTCAR"]
    return PotcarChoice(tuple(preset.potcar.get(e, usual.get(e, e)) for e in elements), tuple(elements))


def has_library() -> bool:
    """Whether the user has named a library of POTCARs (PMG_VASP_PSP_DIR, in the environment or .pmgrc.yaml)."""
    from pymatgen.core import SETTINGS

    return bool(SETTINGS.get("PMG_VASP_PSP_DIR"))


def potcar_or_spec(choice: PotcarChoice) -> tuple[str, str, list[dict[str, Any]]]:
    """What to write: a POTCAR from the user's library, else POTCAR.spec.

    Returns
    -------
    File name, its content, and each dataset's name, with title and hash where its POTCAR is there.

    Raises
    ------
    VaspInputError
        Where a block of the library's POTCAR is for another element than POSCAR has in that place.
    """
    from pymatgen.core import SETTINGS
    from pymatgen.io.vasp.inputs import Potcar

    if not has_library():
        return "POTCAR.spec", choice.spec + "\n", [{"dataset": symbol} for symbol in choice.symbols]
    try:
        potcar = Potcar(list(choice.symbols))
    except (FileNotFoundError, OSError, ValueError) as error:
        raise VaspInputError(
            f"no POTCAR for {', '.join(choice.symbols)}: {error}",
            where=f"PMG_VASP_PSP_DIR={SETTINGS['PMG_VASP_PSP_DIR']}",
            mend="add the missing dataset to the library, or name another in the preset's potcar table",
        ) from None
    for element, single in zip(choice.elements, potcar, strict=True):
        if single.element != element:
            raise VaspInputError(f"POTCAR block {single.TITEL} stands where POSCAR has {element}")
    datasets = [
        {"dataset": symbol, "titel": single.TITEL, "sha256": single.sha256_computed_file_hash}
        for symbol, single in zip(choice.symbols, potcar, strict=True)
    ]
    return "POTCAR", str(potcar), datasets


def has_only_spec(folder: Path) -> bool:
    """Whether a calculation folder names its POTCAR without having it."""
    return (folder / "POTCAR.spec").is_file() and not (folder / "POTCAR").is_file()
