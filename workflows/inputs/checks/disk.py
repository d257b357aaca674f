"""About how much a calculation writes: VASP's largest files, in bytes."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.inputs.checks.inputs import Inputs

RYDBERG = 13.605826
"""eV, as VASP has it."""
BOHR = 0.529177249
"""Å, as VASP has it."""
_DENSITY, _CHG = 18.2, 12.1
"""Bytes a grid point in CHGCAR (five of 17 digits a line) and CHG (ten of 11)."""


def fft_grids(lengths: NDArray[np.float64], encut: float, prec: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """NGX, NGY, NGZ and the finer NGXF, NGYF, NGZF that VASP chooses.

    VASP's rule (its documentation of PREC): Accurate holds twice the cut-off sphere, Normal three quarters of that;
    then the next even number that has no prime factor above 7.

    Parameters
    ----------
    lengths : shape (3,), of the lattice vectors, Å.
    encut : eV.
    """
    from pymatgen.io.vasp.sets import next_num_with_prime_factors

    letter = prec[:1].lower()
    radii = np.sqrt(encut / RYDBERG) / (2 * pi / (lengths / BOHR))
    factor = 4 if letter in ("a", "s", "h") else 3
    grid = tuple(int(next_num_with_prime_factors(int(factor * r + 0.5), 7, True)) for r in radii)
    fine = 1 if letter == "s" else 2
    return grid, tuple(fine * n for n in grid)


def bands_of(inputs: Inputs) -> int:
    """NBANDS as stated, else VASP's default: half the electrons and half the ions, or 0.6 of the electrons."""
    if "NBANDS" in inputs.tags:
        return int(inputs.number("NBANDS", 1))
    electrons = inputs.electrons or 8.0 * inputs.atoms
    plain = max((electrons + 2) / 2 + max(inputs.atoms // 2, 3), 0.6 * electrons)
    return int(plain * (2 if inputs.is_spinor else 1) + 0.999)


def bytes_of(inputs: Inputs) -> dict[str, int]:
    """Each large file's size, in bytes; at most, for k-points are counted with time reversal alone.

    Empty where the structure or the cut-off is not known.
    """
    encut = inputs.number("ENCUT", inputs.enmax or 0)
    if inputs.crystal is None or encut <= 0:
        return {}
    lattice = np.asarray(inputs.crystal.lattice)
    densities = 4 if inputs.is_spinor else int(inputs.number("ISPIN", 1))
    spins = 1 if inputs.is_spinor else densities
    points, bands = _points(inputs), bands_of(inputs)
    sizes = {"vasprun.xml": _vasprun(inputs, points, bands, spins)}
    if inputs.tags.get("LCHARG", True) is not False:
        _, fine = fft_grids(np.linalg.norm(lattice, axis=1), encut, inputs.word("PREC", "normal"))
        cells = float(np.prod(fine)) * densities
        sizes |= {"CHGCAR": int(cells * _DENSITY), "CHG": int(cells * _CHG)}
    if inputs.tags.get("LWAVE", True) is not False:
        waves = abs(float(np.linalg.det(lattice))) / BOHR**3 * (encut / RYDBERG) ** 1.5 / (6 * pi**2)
        sizes["WAVECAR"] = int(8 * waves * (2 if inputs.is_spinor else 1) * bands * points * spins)
    if inputs.number("LORBIT", 0) >= 10:
        sizes["PROCAR"] = int(points * bands * spins * inputs.atoms * (4 if inputs.is_spinor else 1) * 75)
        sizes["DOSCAR"] = int(inputs.number("NEDOS", 301) * inputs.atoms * densities * 9 * 12)
    return sizes


def _points(inputs: Inputs) -> int:
    if inputs.divisions:
        return int(np.prod(inputs.divisions)) // 2 + 1
    return inputs.points or 1


def _vasprun(inputs: Inputs, points: int, bands: int, spins: int) -> int:
    """Eigenvalues, projections, the total and partial densities of states, forces and positions of each ionic step."""
    size = points * bands * spins * 45
    if (lorbit := inputs.number("LORBIT", 0)) >= 10:
        columns = 9 if lorbit > 10 else 3
        size += points * bands * spins * inputs.atoms * (20 + 8 * columns) * (4 if inputs.is_spinor else 1)
        size += int(inputs.number("NEDOS", 301)) * inputs.atoms * spins * (25 + 9 * columns)
    steps = inputs.number("NSW", 0) if inputs.moves else 1
    return int(size + steps * inputs.atoms * 180 + 200_000)
