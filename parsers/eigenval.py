"""Read EIGENVAL: eigenvalues to six decimals, and little else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kalloy.errors import ParseError
from kalloy.parsers.lines import MOST_ROWS, Lines
from kalloy.parsers.model import BandData, Floats, KPoints, Vasprun
from kalloy.parsers.scanning import row_numbers
from kalloy.parsers.source import CutOffError, MalformedError


def read_eigenval(path: str | Path) -> Vasprun:
    """Read one EIGENVAL, plain or compressed.

    Returns
    -------
    Its bands, with occupations NaN where a VASP before 5.4 did not write them, and the number of electrons among
    the parameters. Never ``complete``: whether the calculation ended the file does not say.

    Raises
    ------
    ParseError
        If it cannot be opened or is no whole EIGENVAL.
    """
    lines = Lines(Path(path))
    try:
        spins, electrons, count, bands = _head(lines)
        kpoints, energies, occupations = _body(lines, spins, count, bands)
    except CutOffError:
        raise ParseError(f"breaks off at line {lines.number}", where=str(path)) from None
    except (MalformedError, ValueError, IndexError) as error:
        raise ParseError(f"is no EIGENVAL: line {lines.number}: {error}", where=str(path)) from None
    points = KPoints(kpoints[:, :3], kpoints[:, 3])
    spinors = _are_spinors(electrons, points.weights, occupations)
    return Vasprun(
        parameters={"NELECT": electrons, "ISPIN": spins} | ({"LNONCOLLINEAR": True} if spinors else {}),
        kpoints=points,
        bands=BandData(points, energies, occupations),
        defects=("EIGENVAL does not say whether the calculation ended",),
        files=(Path(path).name,),
    )


def _head(lines: Lines) -> tuple[int, float, int, int]:
    """Spin channels, electrons, k-points, bands."""
    spins = int(lines.next().split()[3])
    lines.skip(4)
    electrons, count, bands = row_numbers(lines.next())[:3]
    if spins not in (1, 2) or not (count > 0 and bands > 0 and count * bands < MOST_ROWS):
        raise MalformedError(f"{count:g} k-points and {bands:g} bands")
    return spins, electrons, int(count), int(bands)


def _body(lines: Lines, spins: int, count: int, bands: int) -> tuple[Floats, Floats, Floats]:
    kpoints, rows = [], []
    for _ in range(count):
        while not (head := lines.next()).strip():
            pass
        kpoints.append(row_numbers(head)[:4])
        rows.append([row_numbers(lines.next()) for _ in range(bands)])
    table = np.array(rows)[..., 1:]
    if table.shape[-1] not in (spins, 2 * spins):
        raise MalformedError(f"{table.shape[-1]} columns for {spins} spin channels")
    energies = np.moveaxis(table[..., :spins], -1, 0).copy()
    given = table.shape[-1] == 2 * spins
    occupations = np.moveaxis(table[..., spins:], -1, 0).copy() if given else np.full(energies.shape, np.nan)
    return np.array(kpoints), energies, occupations


def _are_spinors(electrons: float, weights: Floats, occupations: Floats) -> bool:
    """Whether a full band of the one channel holds a single electron, as the occupations tell."""
    if len(occupations) != 1 or not weights.sum() > 0:
        return False
    filled = float(occupations[0].sum(axis=1) @ weights / weights.sum())
    return bool(np.isfinite(filled) and filled > 0.75 * electrons)
