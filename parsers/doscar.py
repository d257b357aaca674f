"""Read DOSCAR: total and projected densities of states."""

from __future__ import annotations

from itertools import islice, takewhile
from pathlib import Path

import numpy as np

from kalloy.errors import ParseError
from kalloy.parsers.dos import Dos
from kalloy.parsers.lines import MOST_ROWS, Lines
from kalloy.parsers.model import Floats
from kalloy.parsers.scanning import row_numbers
from kalloy.parsers.source import CutOffError, MalformedError
from kalloy.parsers.tables import MOST_NUMBERS

_SHELLS = (("s",), ("py", "pz", "px"), ("dxy", "dyz", "dz2", "dxz", "x2-y2"))
_F = ("fy3x2", "fxyz", "fyz2", "fz3", "fxz2", "fzx2", "fx3")
_BY_SHELL = ("s", "p", "d", "f")
_BY_ORBITAL = tuple(name for names in (*_SHELLS, _F) for name in names)


def read_doscar(path: str | Path, species: tuple[str, ...] = ()) -> Dos:
    """Read one DOSCAR, plain or compressed.

    Parameters
    ----------
    species : element symbols of its ions, which the file does not hold.

    Returns
    -------
    The density of states; projections only as far as they stand whole in the file.

    Raises
    ------
    ParseError
        If it cannot be opened, is no DOSCAR, or breaks off within the total density.
    """
    lines = Lines(Path(path))
    try:
        lines.skip(5)
        head = lines.next()
        points, efermi = _head(head)
        points = points or _rows_below(Path(path), head)
        total = _block(lines, points)
        if total.shape[1] not in (3, 5):
            raise MalformedError(f"{total.shape[1]} columns in the total density")
    except CutOffError:
        raise ParseError(f"breaks off at line {lines.number}", where=str(path)) from None
    except (MalformedError, ValueError, IndexError) as error:
        raise ParseError(f"is no DOSCAR: line {lines.number}: {error}", where=str(path)) from None
    spins = (total.shape[1] - 1) // 2
    projected, orbitals, components = _projections(lines, points, spins)
    noncollinear = components == 4
    by_spin, integrated = total[:, 1 : 1 + spins].T, total[:, 1 + spins :].T
    return Dos(
        total[:, 0].copy(),
        _with_moments(by_spin, projected) if noncollinear else by_spin.copy(),
        np.pad(integrated, ((0, 3), (0, 0))) if noncollinear else integrated.copy(),
        efermi,
        projected,
        orbitals,
        species if projected is None or len(species) == len(projected) else (),
        noncollinear,
    )


def _head(line: bytes) -> tuple[int | None, float | None]:
    """Points and Fermi energy of ``emax emin points efermi 1.0``; None for points that did not fit their field.

    VASP writes it as 2F16.8, I5, 2F16.8: from 10,000 points on nothing stands before them.
    """
    words = line.split()
    if len(words) != 5 or not words[2].isdigit():
        words = [line[a:b].strip() for a, b in ((0, 16), (16, 32), (32, 37), (37, 53))]
    numbers = row_numbers(b" ".join(words))
    if len(numbers) < 4 or not ((words[2].isdigit() and 1 < numbers[2] < MOST_ROWS) or words[2] == b"*****"):
        raise MalformedError("no number of energies")
    points = int(words[2]) if words[2].isdigit() else None
    return points, numbers[3] if np.isfinite(numbers[3]) else None


def _rows_below(path: Path, head: bytes) -> int:
    """Rows of the first block: up to the same head of the next one, or to the file's end."""
    lines = Lines(path)
    lines.skip(6)
    return sum(1 for _ in takewhile(lambda line: line != head, islice(lines, MOST_ROWS)))


def _block(lines: Lines, points: int) -> Floats:
    rows = [lines.next() for _ in range(points)]
    try:
        return np.array(b" ".join(rows).split(), dtype=float).reshape(points, -1)
    except ValueError:
        return np.array([row_numbers(row) for row in rows])


def _projections(lines: Lines, points: int, spins: int) -> tuple[Floats | None, tuple[str, ...], int]:
    """Shape (ion, spin, orbital, n), orbital names, and how many numbers each orbital has (1, 2, or 4)."""
    blocks: list[Floats] = []
    try:
        while sum(block.size for block in blocks) < MOST_NUMBERS:
            lines.next()
            blocks.append(_block(lines, points)[:, 1:])
    except CutOffError:
        pass  # the last ion's block ends the file
    except (MalformedError, ValueError):
        blocks = []
    if not blocks or len({b.shape for b in blocks}) != 1:
        return None, (), spins
    every = np.array(blocks)
    components, orbitals = _orbitals(every, spins)
    if not orbitals:
        return None, (), spins
    table = every.reshape(len(blocks), points, len(orbitals), components)
    return np.ascontiguousarray(table.transpose(0, 3, 2, 1)), orbitals, components


def _orbitals(blocks: Floats, spins: int) -> tuple[int, tuple[str, ...]]:
    """Numbers an orbital and orbital names, from the number of columns of blocks of shape (ion, n, column)."""
    columns = blocks.shape[2]
    candidates: tuple[int, ...] = (2,) if spins == 2 else (1, 4)
    if spins == 1 and columns == 16 and _holds_moments(blocks):  # s, p, d, f with their moments, not sixteen orbitals
        candidates = (4,)
    for components in candidates:
        count, rest = divmod(columns, components)
        if rest == 0 and count in (3, 4):
            return components, _BY_SHELL[:count]
        if rest == 0 and count in (9, 16):
            return components, _BY_ORBITAL[:count]
    return spins, ()


def _holds_moments(blocks: Floats) -> bool:
    """Whether each fourth column is a density and the three after it a moment, which nowhere exceeds it."""
    density, moment = blocks[..., 0::4], np.stack([blocks[..., n::4] for n in (1, 2, 3)])
    return bool((np.linalg.norm(moment, axis=0) <= density * 1.001 + 1e-3 * abs(blocks).max()).all())


def _with_moments(total: Floats, projected: Floats | None) -> Floats:
    """Total, mx, my, mz: the file gives the total alone, the moments are the sum over the ions."""
    assert projected is not None
    return np.concatenate([total, projected[:, 1:].sum(axis=(0, 2))])
