"""One dataset of a POTCAR: what its header says, and whether it is the element that POSCAR has in its place."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

from kalloy.errors import VaspInputError

_END = re.compile(r"End of Dataset[^\n]*\n?")


@dataclass(frozen=True)
class Block:
    """One dataset, as it stands in a library or between two others in a POTCAR."""

    data: str
    """The whole text, with a line's end."""
    titel: str
    """``PAW_PBE K_sv 06Sep2000``."""
    symbol: str
    """Its name by its own title: ``K_sv``."""
    element: str
    """By VRHFIN and TITEL, which agree."""
    zval: float
    """Valence electrons."""
    enmax: float
    """Recommended plane-wave cut-off, eV."""
    lexch: str
    """Exchange and correlation that it was made with: ``PE``."""
    sha256: str
    """Of ``data``."""
    known: bool
    """Whether pymatgen's statistics of VASP's own datasets hold it."""

    def to_json(self, dataset: str) -> dict[str, Any]:
        """What goes on record: no licensed content, only title, hashes and three numbers of the header."""
        return {
            "dataset": dataset,
            "element": self.element,
            "titel": self.titel,
            "sha256": self.sha256,
            "zval": self.zval,
            "zval_from": "POTCAR",
            "enmax_eV": self.enmax,
        }


@lru_cache(maxsize=256)
def read_block(data: str) -> Block:
    """Read one dataset with pymatgen, and compare what its header says twice.

    Raises
    ------
    VaspInputError
        Where it is no dataset, or VRHFIN and TITEL name two elements.
    """
    from pymatgen.io.vasp.inputs import PotcarSingle, UnknownPotcarWarning

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            single = PotcarSingle(data)
        titel, zval, enmax = str(single.TITEL), float(single.ZVAL), float(single.ENMAX)
        vrhfin, lexch = str(single.VRHFIN), str(single.LEXCH)
    except (KeyError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise VaspInputError(f"is no dataset of a POTCAR: {type(error).__name__} {error}") from None
    return Block(
        data=data,
        titel=titel,
        symbol=_symbol(titel),
        element=_element(titel, vrhfin),
        zval=zval,
        enmax=enmax,
        lexch=lexch.upper(),
        sha256=sha256(data.encode()).hexdigest(),
        known=not any(issubclass(w.category, UnknownPotcarWarning) for w in caught),
    )


def _symbol(titel: str) -> str:
    words = titel.split()
    return words[1] if len(words) > 1 else titel


def _element(titel: str, vrhfin: str) -> str:
    """The element of a dataset; some of VASP's own write X for Xe, or a name cut short, in VRHFIN."""
    from pymatgen.core import Element

    by_title = re.match(r"[A-Z][a-z]?", _symbol(titel))
    if by_title is None or not Element.is_valid_symbol(by_title[0]):
        raise VaspInputError(f"POTCAR block titled '{titel}' names no element")
    inside = vrhfin.strip().lstrip("=").split(":")[0].strip()
    if Element.is_valid_symbol(inside) and inside != by_title[0]:
        raise VaspInputError(f"POTCAR block titled '{titel}' is made for {inside}, as its VRHFIN says")
    return by_title[0]


@lru_cache(maxsize=16)
def split_potcar(text: str) -> tuple[Block, ...]:
    """The datasets of a whole POTCAR, in order.

    Raises
    ------
    VaspInputError
        Where it holds none, or one that cannot be read.
    """
    ends = [match.end() for match in _END.finditer(text)]
    blocks = tuple(read_block(text[a:b]) for a, b in zip([0, *ends], ends, strict=False))
    if not blocks or text[ends[-1] :].strip():
        raise VaspInputError("POTCAR ends within a dataset", mend="put the whole file there")
    return blocks


def require_order(blocks: Sequence[Block], elements: Sequence[str]) -> None:
    """Refuse datasets that are not POSCAR's elements one by one, in its order.

    The number of electrons cannot tell: K_sv and Cs_sv have nine valence electrons each.

    Raises
    ------
    VaspInputError
        Names the first block that stands in another element's place.
    """
    for number, (element, block) in enumerate(zip(elements, blocks, strict=False), 1):
        if block.element != element:
            raise VaspInputError(
                f"block {number} of POTCAR is '{block.titel}' where POSCAR has {element}",
                mend=f"POSCAR's order is {' '.join(elements)}, POTCAR's {' '.join(b.symbol for b in blocks)}",
            )
    if len(blocks) != len(elements):
        raise VaspInputError(
            f"POTCAR has {len(blocks)} datasets where POSCAR has {len(elements)} elements ({' '.join(elements)})"
        )


def electrons(valences: Mapping[str, float], composition: Mapping[str, int]) -> float:
    """NELECT of a neutral cell: Σ atoms x ZVAL.

    Parameters
    ----------
    valences : electrons an atom, by element.
    composition : atoms of the cell, by element.
    """
    return sum(n * valences[element] for element, n in composition.items())
