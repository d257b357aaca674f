"""PROCAR: each state's share in each orbital of each atom."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import numpy as np

from kalloy.workflows.gpaw_engine.files.vasprun import tidy
from kalloy.workflows.gpaw_engine.files.xml import Array
from kalloy.workflows.gpaw_engine.projections import ORBITALS
from kalloy.workflows.gpaw_engine.states import States

BY_MOMENTUM = ("s", "p", "d")


def write_procar(path: Path, states: States) -> None:
    """The table of LORBIT = 11, or of 10 where the projections are by angular momentum; nothing without projections."""
    if states.projections is None:
        return
    parts = states.projections
    names = ORBITALS if parts.shape[-1] == len(ORBITALS) else BY_MOMENTUM
    with path.open("w") as file:
        file.write("PROCAR lm decomposed\n" if names is ORBITALS else "PROCAR new format\n")
        for s in range(states.spins):
            file.write(
                f"# of k-points: {len(states.points):4d}         # of bands: {states.bands:4d}"
                f"         # of ions: {parts.shape[3]:4d}\n\n"
            )
            # Spinors: the density and the moments along x, y, z of a state stand below each other.
            components = range(len(parts)) if states.spinors else (s,)
            for k in range(len(states.points)):
                _k_point(file, states, s, k, names, parts[list(components), k])


def _k_point(file: TextIO, states: States, spin: int, k: int, names: tuple[str, ...], parts: Array) -> None:
    point = "".join(f"{x:11.8f}" for x in states.points[k])
    file.write(f" k-point {k + 1:5d} :    {point}     weight = {states.weights[k]:10.8f}\n\n")
    occupations = states.full * tidy(states.occupations[spin, k])
    for n in range(states.bands):
        file.write(
            f"band {n + 1:5d} # energy {states.eigenvalues[spin, k, n]:14.8f} # occ. {occupations[n]:11.8f}\n\n"
            "ion  " + " ".join(f"{name:>6s}" for name in (*names, "tot")) + "\n"
        )
        for component in parts:
            rows = np.vstack([component[n], component[n].sum(axis=0)])
            for a, row in enumerate(rows):
                name = "tot  " if a == len(component[n]) else f"{a + 1:5d}"
                file.write(name + "".join(f"{x:7.3f}" for x in (*row, row.sum())) + "\n")
        file.write("\n")
