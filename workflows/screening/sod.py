"""Files of SOD (Site-Occupancy Disorder, github.com/gcmt-group/sod), so that its own statistics can check ours.

``sod_stat`` reads OUTSOD (degeneracies), ENERGIES, TEMPERATURES, DATA and, where there are spectra, SPECTRA and XSPEC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from kalloy.errors import InputError
from kalloy.workflows.files import write_text
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.thermodynamics import Ensemble

MOST_COLUMNS = 10
"""Of DATA; SOD's array is as wide."""
MOST_POINTS = 800
"""Of a spectrum; SOD's array is as long."""
MOST_TEMPERATURES = 50


def outsod(ensemble: Ensemble, sites: int, substituted: Sequence[Sequence[int]]) -> str:
    """OUTSOD: one line a configuration, its number, its degeneracy and the substituted sites, counted from 1.

    Parameters
    ----------
    sites : of the sublattice.
    substituted : of each member the positions on the sublattice that are substituted, from 0.
    """
    lines = [
        f"{len(substituted[0]):12d}  substitutions in {sites:12d} sites",
        f"{len(substituted):12d}  configurations",
    ]
    for number, (degeneracy, positions) in enumerate(zip(ensemble.degeneracies, substituted, strict=True), 1):
        lines.append(f"{number:6d} {round(degeneracy):6d}" + "".join(f" {p + 1:4d}" for p in sorted(positions)))
    return "\n".join(lines) + "\n"


def energies(ensemble: Ensemble) -> str:
    """ENERGIES: eV per cell, one a line in the order of OUTSOD."""
    return "".join(f"{energy:.8f}\n" for energy in ensemble.energies)


def temperatures(values: Sequence[float]) -> str:
    """TEMPERATURES: K, one a line; SOD adds the limit of infinite temperature itself."""
    finite = [t for t in values if 0 < t < np.inf]
    if len(finite) > MOST_TEMPERATURES:
        raise InputError(f"SOD reads {MOST_TEMPERATURES} temperatures at most", mend="name fewer")
    return "".join(f"{t:g}\n" for t in finite)


def data(columns: Mapping[str, ArrayLike]) -> str:
    """DATA: the number of columns, then one line a configuration."""
    if len(columns) > MOST_COLUMNS:
        raise InputError(f"SOD reads {MOST_COLUMNS} columns of data at most", mend="name fewer figures")
    rows = np.column_stack([np.asarray(c, np.float64) for c in columns.values()])
    return f"{len(columns)}\n" + "".join(" ".join(f"{v:.8f}" for v in row) + "\n" for row in rows)


def spectra(grid: ArrayLike, curves: ArrayLike) -> tuple[str, str]:
    """SPECTRA and XSPEC: the number of points, then one line a configuration; the grid, one point a line.

    Parameters
    ----------
    grid : shape (points,).
    curves : shape (members, points).
    """
    x, y = np.asarray(grid, np.float64), np.asarray(curves, np.float64)
    if len(x) > MOST_POINTS:
        raise InputError(f"SOD reads {MOST_POINTS} points of a spectrum at most", mend="use a coarser grid")
    rows = "".join(" ".join(f"{v:.8e}" for v in row) + "\n" for row in y)
    return f"{len(x)}\n{rows}", "".join(f"{v:.8f}\n" for v in x)


def write_sod(folder: Path, files: Mapping[str, str]) -> None:
    """Write SOD's files into a new or empty folder.

    Raises
    ------
    InputError
        Where the folder holds something: nothing is overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty", mend="name a new folder; nothing is overwritten")
    for name, text in files.items():
        write_text(folder / name, text)


def write_content(alloy: Alloy, content: str, folder: Path, names: Sequence[str], kelvin: Sequence[float]) -> None:
    """Write one content's files: OUTSOD, ENERGIES, TEMPERATURES and DATA with the named quantities.

    Raises
    ------
    InputError
        For several substitutions, which SOD does not know, and where the folder holds something.
    """
    ensemble, space = alloy.ensembles[content], alloy.campaign.space
    if len(space.substitutions) != 1:
        raise InputError("SOD's files are for one substitution")
    swapped = space.substitutions[0].with_
    occupations = [alloy.campaign.member(m).configuration for m in ensemble.labels]
    taken = [[i for i, o in enumerate(c.occupation) if o == swapped] for c in occupations if c is not None]
    files = {
        "OUTSOD": outsod(ensemble, space.sites, taken),
        "ENERGIES": energies(ensemble),
        "TEMPERATURES": temperatures(kelvin),
        "DATA": data({name: alloy.values(content, name) for name in names}),
    }
    write_sod(folder, files)
