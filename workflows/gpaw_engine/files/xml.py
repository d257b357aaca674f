"""The few shapes that vasprun.xml is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TextIO
from xml.sax.saxutils import escape

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]


def numbers(values: Iterable[float]) -> str:
    """Numbers in VASP's columns."""
    return " ".join(f"{x:16.8f}" for x in values)


def item(file: TextIO, indent: str, name: str, value: Any) -> None:
    """One ``<i>`` or ``<v>`` with the type that its value has."""
    if isinstance(value, bool):
        file.write(f'{indent}<i type="logical" name="{name}"> {"T" if value else "F"}  </i>\n')
    elif isinstance(value, int | np.integer):
        file.write(f'{indent}<i type="int" name="{name}">{value:6d}</i>\n')
    elif isinstance(value, float):
        file.write(f'{indent}<i name="{name}">{value:16.8f}</i>\n')
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(x, int) and not isinstance(x, bool) for x in value):
            file.write(f'{indent}<v type="int" name="{name}">{" ".join(f"{x:8d}" for x in value)}</v>\n')
        else:
            file.write(f'{indent}<v name="{name}">{numbers(value)}</v>\n')
    else:
        file.write(f'{indent}<i type="string" name="{name}">{escape(str(value))}</i>\n')


def varray(file: TextIO, indent: str, name: str, rows: Array) -> None:
    """A named array of numbers, one ``<v>`` a row."""
    file.write(f'{indent}<varray name="{name}" >\n')
    file.writelines(f"{indent} <v>{numbers(row)} </v>\n" for row in rows)
    file.write(f"{indent}</varray>\n")


def structure(file: TextIO, indent: str, atoms: Atoms, name: str | None = None) -> None:
    """A cell with its positions."""
    label = f' name="{name}"' if name else ""
    file.write(f"{indent}<structure{label} >\n{indent} <crystal>\n")
    varray(file, indent + "  ", "basis", np.array(atoms.cell))
    file.write(f'{indent}  <i name="volume">{atoms.get_volume():16.8f} </i>\n')
    varray(file, indent + "  ", "rec_basis", np.array(atoms.cell.reciprocal()))
    file.write(f"{indent} </crystal>\n")
    varray(file, indent + " ", "positions", atoms.get_scaled_positions(wrap=False))
    file.write(f"{indent}</structure>\n")
