"""POTCAR: licensed, so never ours; taken from the user's library, or named in POTCAR.spec for want of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kalloy.errors import VaspInputError
from kalloy.workflows.inputs.potcar_blocks import Block, electrons, require_order, split_potcar
from kalloy.workflows.inputs.potcar_library import Library, find_library
from kalloy.workflows.inputs.potcar_library import has_library as has_library
from kalloy.workflows.inputs.preset import Preset
from kalloy.workflows.inputs.valences import PUBLISHED

NO_LIBRARY = (
    "no library of POTCARs is named (PMG_VASP_PSP_DIR, in the environment or .pmgrc.yaml): POTCAR.spec says which "
    "datasets are meant, and VASP cannot start before their POTCAR stands beside it"
)


@dataclass(frozen=True)
class PotcarChoice:
    """Which dataset each element of a POSCAR takes, and who chose it."""

    symbols: tuple[str, ...]
    """Dataset names in the order of POSCAR: ``Cs_sv``, ``K_sv``, …"""
    elements: tuple[str, ...]
    """The elements they are for, in the same order."""
    own: tuple[str, ...] = ()
    """Elements whose dataset is the user's own choice, which wins over the preset's."""
    usual: tuple[str, ...] = ()
    """Elements that neither the user nor the preset names: they take pymatgen's usual dataset (MPRelaxSet)."""

    @property
    def spec(self) -> str:
        """Content of POTCAR.spec: one dataset name a line, as pymatgen writes it."""
        return "\n".join(self.symbols)


def choose(preset: Preset, elements: Sequence[str], own: Mapping[str, str] | None = None) -> PotcarChoice:
    """The datasets of these elements: the user's own, else the preset's, else pymatgen's MPRelaxSet choice."""
    named = {**preset.potcar, **(own or {})}
    usual = _usual() if any(e not in named for e in elements) else {}
    return PotcarChoice(
        tuple(named.get(e, usual.get(e, e)) for e in elements),
        tuple(elements),
        tuple(e for e in elements if e in (own or {})),
        tuple(e for e in elements if e not in named),
    )


def _usual() -> dict[str, str]:
    from pymatgen.io.vasp.sets import MPRelaxSet  # whose tables take seconds to read

    usual: dict[str, str] = MPRelaxSet.CONFIG["POTCAR"]
    return usual


@dataclass(frozen=True)
class Potcars:
    """The POTCAR of a POSCAR's elements, or its names for want of a library."""

    choice: PotcarChoice
    library: Library | None
    blocks: tuple[Block, ...]
    """In POSCAR's order; empty without a library."""

    @property
    def file(self) -> tuple[str, str]:
        """Name and content of what is written: the blocks as they are, one after the other."""
        if not self.blocks:
            return "POTCAR.spec", self.choice.spec + "\n"
        return "POTCAR", "".join(block.data for block in self.blocks)

    @cached_property
    def valences(self) -> dict[str, float]:
        """Electrons an atom by element: ZVAL, or VASP's published list; elements that neither knows are left out."""
        if self.blocks:
            return {block.element: block.zval for block in self.blocks}
        pairs = zip(self.choice.elements, self.choice.symbols, strict=True)
        return {element: float(PUBLISHED[symbol]) for element, symbol in pairs if symbol in PUBLISHED}

    def electrons(self, composition: Mapping[str, int]) -> float | None:
        """NELECT of a neutral cell; None where a valence is not known."""
        return electrons(self.valences, composition) if composition.keys() <= self.valences.keys() else None

    @property
    def enmax(self) -> float | None:
        """The largest ENMAX of its datasets, eV; None without a library."""
        return max((block.enmax for block in self.blocks), default=None)

    def to_json(self) -> list[dict[str, Any]]:
        """The datasets for an attempt's record: names, and what their headers say where a library is there."""
        symbols = self.choice.symbols
        if self.blocks:
            return [block.to_json(symbol) for symbol, block in zip(symbols, self.blocks, strict=True)]
        return [_named(symbol, element) for symbol, element in zip(symbols, self.choice.elements, strict=True)]

    def origin(self, composition: Mapping[str, int]) -> dict[str, Any]:
        """Where the datasets come from and what they add up to, for an attempt's record."""
        library = self.library
        return {
            "functional": library.functional if library else None,
            "library": str(library.folder) if library else None,
            "chosen_by_the_user": list(self.choice.own),
            "chosen_by_default": list(self.choice.usual),
            "nelect": self.electrons(composition),
        }


def _named(symbol: str, element: str) -> dict[str, Any]:
    known = {"zval": PUBLISHED[symbol], "zval_from": "published list"} if symbol in PUBLISHED else {}
    return {"dataset": symbol, "element": element, **known}


def potcars(choice: PotcarChoice, functional: str | None = None) -> Potcars:
    """The POTCAR of a choice, from the user's library where one is named.

    Parameters
    ----------
    functional : pymatgen's name of the release that was asked for.

    Raises
    ------
    VaspInputError
        Where the library lacks a dataset or the release, where a block is for another element than its place in
        POSCAR says, or where the blocks were made with different functionals (VASP stops at that).
    """
    library = find_library(functional)
    if library is None:
        return Potcars(choice, None, ())
    blocks = tuple(_block(library, *pair) for pair in zip(choice.symbols, choice.elements, strict=True))
    require_order(blocks, choice.elements)
    if len(kinds := {block.lexch for block in blocks}) > 1:
        said = ", ".join(f"{block.symbol} {block.lexch}" for block in blocks)
        raise VaspInputError(f"datasets of {len(kinds)} functionals in one POTCAR: {said}", where=str(library.folder))
    return Potcars(choice, library, blocks)


def _block(library: Library, symbol: str, element: str) -> Block:
    try:
        return library.block(symbol)
    except VaspInputError as error:
        raise VaspInputError(f"POTCAR of {element}: {error.what}", where=error.where, mend=error.mend) from None


def folder_blocks(folder: Path) -> tuple[Block, ...] | None:
    """The datasets of a folder's POTCAR; None where it has none.

    Raises
    ------
    VaspInputError
        Where it cannot be read.
    """
    path = folder / "POTCAR"
    if not path.is_file():
        return None
    try:
        return split_potcar(path.read_bytes().decode("utf-8", errors="replace"))
    except VaspInputError as error:
        raise VaspInputError(error.what, where=str(path), mend=error.mend) from None


def has_only_spec(folder: Path) -> bool:
    """Whether a calculation folder names its POTCAR without having it."""
    return (folder / "POTCAR.spec").is_file() and not (folder / "POTCAR").is_file()
