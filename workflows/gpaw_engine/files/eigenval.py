"""EIGENVAL, DOSCAR and IBZKPT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from kalloy.workflows.gpaw_engine.dos import DensityOfStates
from kalloy.workflows.gpaw_engine.files.vasprun import tidy
from kalloy.workflows.gpaw_engine.states import States
from kalloy.workflows.gpaw_engine.symmetry import Irreducible


def _head(atoms: Atoms, third: int, fourth: int, title: str) -> str:
    n, cell = len(atoms), atoms.cell.lengths() * 1e-10
    volume = atoms.get_volume() / n
    return (
        f"{n:5d}{n:5d}{third:5d}{fourth:5d}\n"
        f"{volume:15.7E}" + "".join(f"{x:15.7E}" for x in cell) + f"{0:15.7E}\n"
        f"{0:17.8E}\n  CAR \n {title}\n"
    )


def write_eigenval(path: Path, atoms: Atoms, title: str, states: States) -> None:
    """Eigenvalues and occupations by k-point."""
    electrons = round(states.electrons)
    with path.open("w") as file:
        file.write(_head(atoms, 1, states.spins, title))
        file.write(f"{electrons:7d}{len(states.points):7d}{states.bands:7d}\n")
        for k, (point, weight) in enumerate(zip(states.points, states.weights, strict=True)):
            file.write("\n" + "".join(f"{x:15.7E}" for x in (*point, weight)) + "\n")
            for n in range(states.bands):
                energies = "".join(f"{e:15.6f}" for e in states.eigenvalues[:, k, n])
                filled = "".join(f"{f:12.8f}" for f in tidy(states.occupations[:, k, n]))
                file.write(f"{n + 1:5d}{energies}{filled}\n")


def write_doscar(path: Path, atoms: Atoms, title: str, states: States, dos: DensityOfStates) -> None:
    """The total density of states, then that of each atom."""
    first, last, points = dos.energies[0], dos.energies[-1], len(dos.energies)
    block = f"{last:16.8f}{first:16.8f}{points:5d}{states.fermi_level:16.8f}{1:16.8f}\n"
    with path.open("w") as file:
        file.write(_head(atoms, 0 if dos.projected is None else 1, 0, title))
        file.write(block)
        for row in np.vstack([dos.energies, dos.total, dos.integrated]).T:
            file.write(f"{row[0]:11.3f}" + "".join(f"{x:13.4E}" for x in row[1:]) + "\n")
        for ion in () if dos.projected is None else dos.projected:
            file.write(block)
            # Orbital by orbital, the spins side by side.
            table = ion.transpose(1, 2, 0).reshape(points, -1)
            for energy, row in zip(dos.energies, table, strict=True):
                file.write(f"{energy:11.3f}" + "".join(f"{x:13.4E}" for x in row) + "\n")


def write_ibzkpt(path: Path, irreducible: Irreducible) -> None:
    """The irreducible k-points with whole weights."""
    counts = np.bincount(irreducible.members)
    with path.open("w") as file:
        file.write(f"Automatically generated mesh\n{len(counts):8d}\nReciprocal lattice\n")
        for point, count in zip(irreducible.points, counts, strict=True):
            file.write("".join(f"{x:20.14f}" for x in point) + f"{count:14d}\n")
