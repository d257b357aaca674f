"""Read CONTCAR and POSCAR without pymatgen: only what stands in for a structure that no output file gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import ParseError, brief
from kalloy.parsers.elements import SYMBOLS
from kalloy.parsers.lines import Lines
from kalloy.parsers.source import CutOffError
from kalloy.structures.crystal import Crystal

_MOST_ATOMS = 1_000_000


def read_poscar(path: str | Path) -> Crystal:
    """Read one POSCAR or CONTCAR of VASP 5 or later (with element symbols), plain or compressed.

    Raises
    ------
    ParseError
        If it cannot be opened or read, or names no elements.
    """
    return read_with_flags(path)[0]


def read_with_flags(path: str | Path) -> tuple[Crystal, NDArray[np.bool_] | None]:
    """The same, and which coordinates may move, shape (atoms, 3); None without selective dynamics.

    Raises
    ------
    ParseError
        If it cannot be opened or read, or names no elements.
    """
    lines = Lines(Path(path))
    try:
        lines.next()
        said = lines.next().split()
        lattice = np.array([[float(word) for word in lines.next().split()[:3]] for _ in range(3)])
        scale = _scale(said, lattice)
        lattice *= scale
        symbols = [word.decode("latin-1").split("_")[0].split("/")[0] for word in lines.next().split()]
        counts = [int(word) for word in lines.next().split()]
        if len(symbols) != len(counts) or not set(symbols) <= SYMBOLS or not 0 < sum(counts) < _MOST_ATOMS:
            raise ValueError("no element symbols and their numbers")
        style = lines.next().strip()
        if selective := style[:1] in (b"S", b"s"):
            style = lines.next().strip()
        words = [lines.next().split() for _ in range(sum(counts))]
        rows = np.array([[float(word) for word in row[:3]] for row in words])
        fractional = rows * scale @ np.linalg.inv(lattice) if style[:1] in b"CcKk" else rows
        if not (np.isfinite(lattice).all() and np.isfinite(fractional).all()):
            raise ValueError("numbers that are not finite")
        species = tuple(s for s, n in zip(symbols, counts, strict=True) for _ in range(n))
        return Crystal(lattice, species, fractional), _flags(words) if selective else None
    except CutOffError:
        raise ParseError(f"breaks off at line {lines.number}", where=str(path)) from None
    except (ValueError, IndexError, np.linalg.LinAlgError) as error:
        raise ParseError(f"is no POSCAR: line {lines.number}: {brief(error)}", where=str(path)) from None


def _flags(rows: list[list[bytes]]) -> NDArray[np.bool_] | None:
    """Shape (atoms, 3), from Fortran's logicals after the coordinates (T, .FALSE.); None where they are none."""
    letters = [[word.lstrip(b".")[:1].upper() for word in row[3:6]] for row in rows]
    if any(len(row) != 3 or not set(row) <= {b"T", b"F"} for row in letters):
        return None
    return np.array(letters) == b"T"


def _scale(said: list[bytes], lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """What Cartesian components are multiplied with: one factor, one an axis, or, where it is negative, so that the
    cell has that volume (VASP's manual, POSCAR)."""
    numbers = []
    for word in said[:3]:
        try:
            numbers.append(float(word))
        except ValueError:  # a remark
            break
    if not numbers or (len(numbers) == 3 and min(numbers) <= 0):
        raise ValueError("no scale: one factor, three positive ones, or minus the cell's volume")
    if len(numbers) == 3:
        return np.array(numbers)
    one = numbers[0]
    return np.full(3, one if one > 0 else (-one / abs(np.linalg.det(lattice))) ** (1 / 3))
