"""Eigenvalues, densities of states, projections and dielectric functions out of vasprun.xml's tables."""

from __future__ import annotations

import numpy as np

from kalloy.parsers.dos import Dos
from kalloy.parsers.markup import Tag, Walker
from kalloy.parsers.scanning import Floats, to_float
from kalloy.parsers.source import MalformedError
from kalloy.parsers.tables import Table


def as_dimensions(values: Floats, dimensions: int) -> Floats:
    """Put in front the dimensions of length one that the nesting of sets does not show.

    Raises
    ------
    MalformedError
        If there are more dimensions than that.
    """
    missing = dimensions - values.ndim
    if missing < 0:
        raise MalformedError(f"sets nested {values.ndim} deep where {dimensions} belong")
    return values.reshape((1,) * missing + values.shape)


def band_arrays(table: Table) -> tuple[Floats, Floats]:
    """Eigenvalues and occupations, each of shape (spin, k, band); occupations NaN where the table has none."""
    energies = as_dimensions(table.column("eigene", 0), 3)
    if table.values.shape[-1] < 2:
        return np.ascontiguousarray(energies), np.full(energies.shape, np.nan)
    occupations = as_dimensions(table.column("occ", 1), 3)
    return np.ascontiguousarray(energies), np.ascontiguousarray(occupations)


def projection_weights(table: Table) -> tuple[Floats, tuple[str, ...]]:
    """Weights of shape (spin, k, band, ion, orbital) and the orbitals' names."""
    return as_dimensions(table.values, 5), table.fields


def dielectric_part(table: Table) -> tuple[Floats, Floats]:
    """Energies (n,) and the six components (n, 6) of a real or imaginary part."""
    rows = table.values.reshape(-1, table.values.shape[-1])
    if rows.shape[1] != 7:
        raise MalformedError(f"{rows.shape[1]} columns in a dielectric function")
    return np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1:])


def read_dos(walker: Walker, parent: Tag, opened: list[str], species: tuple[str, ...], noncollinear: bool) -> Dos:
    """A ``<dos>`` element.

    Parameters
    ----------
    opened : names of the elements one is in; kept up so that a broken file can be reported.
    species : element symbols, one an ion.
    noncollinear : whether "spins" are total, mx, my, mz.

    Raises
    ------
    CutOffError
        If the file ends first.
    MalformedError
        If there is no total density in it.
    """
    efermi: float | None = None
    total: Table | None = None
    partial: Table | None = None
    for tag in walker.children(parent.name):
        opened.append(tag.name)
        if tag.name == "i":
            efermi = _energy(walker.section(tag))
        elif tag.name == "total":
            total = walker.table(tag)
        elif tag.name == "partial":
            partial = walker.table(tag)
        else:
            walker.skip_unknown(tag)
        opened.pop()
    if total is None:
        raise MalformedError("no total density of states")
    return _assemble(total, partial, efermi, species, noncollinear)


def _energy(written: bytes) -> float | None:
    try:
        value = to_float(written.strip())
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _assemble(
    total: Table, partial: Table | None, efermi: float | None, species: tuple[str, ...], noncollinear: bool
) -> Dos:
    rows = as_dimensions(total.values, 3)
    if rows.shape[-1] < 3:
        raise MalformedError(f"{rows.shape[-1]} columns in a total density of states")
    projected: Floats | None = None
    orbitals: tuple[str, ...] = ()
    if partial is not None:
        by_ion = as_dimensions(partial.values, 4)
        if by_ion.shape[:3] != (len(species) or by_ion.shape[0], *rows.shape[:2]):
            raise MalformedError(f"a projected density of shape {by_ion.shape[:3]}")
        projected = np.moveaxis(by_ion[..., 1:], 3, 2)
        orbitals = partial.fields[1:] or tuple(f"orbital{i}" for i in range(projected.shape[2]))
    return Dos(
        np.ascontiguousarray(rows[0, :, 0]),
        np.ascontiguousarray(rows[..., 1]),
        np.ascontiguousarray(rows[..., 2]),
        efermi,
        projected,
        orbitals,
        species,
        noncollinear,
    )
