"""Reads structure files (CIF, POSCAR, whatever pymatgen reads) into a crystal whose species are kinds of sites.

A kind is an element (``Cs``) or a mixture (``Cs0.9 K0.1``): atoms of one kind are alike, atoms of different kinds
are not, and that is all that symmetry needs to know.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kalloy.errors import HostError, brief
from kalloy.structures.crystal import Crystal

if TYPE_CHECKING:
    from pymatgen.core import Structure

_LONGEST = 1e6
"""Å; beyond it doubles hold no ångström's thousandth well, and crystals are shorter."""
_FLATTEST = 1e-9
"""Volume over the cube of the longest vector."""
VACANCY = "vacancy"
"""What stands where no atom does, in occupations and in replacements."""


@dataclass(frozen=True)
class Mixture:
    """What a kind of site holds on average."""

    occupancies: tuple[tuple[str, float], ...]
    """(element or ``vacancy``, fraction), the fractions summing to one; elements before vacancies, each falling."""

    @classmethod
    def of(cls, elements: Mapping[str, float]) -> Mixture:
        """From the elements on a site; what they lack to one is vacant."""
        ranked = sorted(elements.items(), key=lambda pair: (-round(pair[1], 6), pair[0]))
        missing = 1.0 - sum(elements.values())
        return cls((*ranked, (VACANCY, missing)) if missing > 1e-4 else tuple(ranked))

    @property
    def main(self) -> str:
        """The element that a site of this kind holds most."""
        return self.occupancies[0][0]

    @property
    def pure(self) -> bool:
        """Whether every site of this kind holds the same."""
        return len(self.occupancies) == 1

    @property
    def kind(self) -> str:
        """The name of the kind: ``Cs``, ``Cs0.9 K0.1``."""
        return self.main if self.pure else " ".join(f"{name}{part:g}" for name, part in self.occupancies)


@dataclass(frozen=True)
class Reading:
    """A structure file as it was read."""

    crystal: Crystal
    """Its species are kinds of sites; its labels those of the file, where it has any."""
    mixtures: dict[str, Mixture]
    """By kind."""
    warnings: tuple[str, ...]
    """What the reader had to say."""


def read_structure(path: Path) -> Reading:
    """Read a structure file.

    Raises
    ------
    HostError : the file is missing, cannot be read, names no elements, or holds several structures.
    """
    if not path.is_file():
        raise HostError("no such file", where=str(path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            structure = _read(path)
        except HostError:
            raise
        except Exception as error:  # readers of foreign files raise whatever their depths do
            raise HostError(
                f"cannot be read as a crystal structure ({brief(_lines(error)[-1])})",
                where=str(path),
                mend="give a CIF, a POSCAR or another format that pymatgen reads",
            ) from error
    said = tuple(dict.fromkeys(_lines(w.message)[0] for w in caught if not issubclass(w.category, DeprecationWarning)))
    for sentence in said:
        if "Elements in POSCAR" in sentence:
            raise HostError(
                "names no elements", where=str(path), mend="write them on the line before the numbers of atoms"
            )
    return _reading(structure, str(path), said)


def _read(path: Path) -> Structure:
    if path.suffix.lower() in {".cif", ".mcif"}:
        return _read_cif(path)
    from pymatgen.core import Structure
    from pymatgen.io.vasp import Poscar

    try:
        return Structure.from_file(path)
    except ValueError as error:
        if "extension" not in str(error).lower() and "format" not in str(error).lower():
            raise
        return Poscar.from_str(path.read_text()).structure


def _read_cif(path: Path) -> Structure:
    from pymatgen.io.cif import CifParser

    structures = CifParser(path).parse_structures(primitive=False, on_error="raise")
    if len(structures) != 1:
        raise HostError(f"holds {len(structures)} structures", where=str(path), mend="leave one in it")
    return structures[0]


def _reading(structure: Any, where: str, said: tuple[str, ...]) -> Reading:
    if not len(structure):
        raise HostError("holds no atoms", where=where)
    _require_space(structure, where)
    mixtures = [Mixture.of(_elements(site.species, where)) for site in structure]
    labels = tuple(str(label) for label in structure.labels)
    named = any(label != mixture.main for label, mixture in zip(labels, mixtures, strict=True))
    crystal = Crystal(
        structure.lattice.matrix, tuple(m.kind for m in mixtures), structure.frac_coords, labels if named else ()
    )
    return Reading(crystal, {m.kind: m for m in mixtures}, said)


def _require_space(structure: Any, where: str) -> None:
    """Refuse what spglib would crash on: numbers that are none, cells without volume."""
    lattice, positions = structure.lattice.matrix, structure.frac_coords
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        raise HostError("holds numbers that are not finite", where=where, mend="look at the cell and the positions")
    longest, volume = float(np.linalg.norm(lattice, axis=1).max()), abs(float(np.linalg.det(lattice)))
    if not (longest < _LONGEST and volume > _FLATTEST * longest**3 > 0):
        raise HostError(
            f"has vectors up to {longest:.3g} Å around a volume of {volume:.3g} Å³, which is no cell",
            where=where,
            mend="look at lengths, angles and scale",
        )
    if np.abs(positions).max() > _LONGEST:
        raise HostError("has an atom a million cells away", where=where, mend="look at the positions")


def _elements(composition: Iterable[Any], where: str) -> dict[str, float]:
    from pymatgen.core import DummySpecies

    amounts: dict[str, float] = {}
    for specie in composition:
        if isinstance(specie, DummySpecies):
            raise HostError(f"'{specie}' is no element", where=where)
        symbol = getattr(specie, "element", specie).symbol
        amounts[symbol] = amounts.get(symbol, 0.0) + float(composition[specie])  # type: ignore[index]
    return amounts


def _lines(message: object) -> list[str]:
    """What a warning or an error says; the cause of a chain of errors comes last."""
    return [line.strip() for line in str(message).splitlines() if line.strip()] or [type(message).__name__]
