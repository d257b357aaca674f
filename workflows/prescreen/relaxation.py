"""Cell and ions relaxed with an ASE calculator, until forces and stress are both small."""

from __future__ import annotations

import io
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.workflows.prescreen.models import Model


@dataclass(frozen=True)
class Relaxed:
    """Where a relaxation ended."""

    crystal: Crystal
    """Sites in the order they came in."""
    energy_eV: float
    """Of the cell."""
    largest_force_eV_A: float
    """Length of the largest force on an atom."""
    largest_stress_GPa: float
    """Largest component."""
    steps: int
    converged: bool
    """Whether both criteria were met within the steps allowed."""
    cpu_seconds: float
    wall_seconds: float


def relax(crystal: Crystal, calculator: Any, model: Model, seed: int) -> Relaxed:
    """Relax cell and ions.

    The cell's degrees of freedom are the logarithm of the deformation (ASE's FrechetCellFilter), the optimizer is FIRE2
    (J. Guénolé et al., Comput. Mater. Sci. 175, 109584 (2020)). The stress has a criterion of its own: the filter
    divides the virial by the number of atoms, so that a criterion on its forces alone would stop soft crystals a
    percent of volume short.

    Parameters
    ----------
    seed : of the rattling, where the model asks for any.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize.fire2 import FIRE2

    atoms = crystal.to_ase()
    if model.rattle_A:
        atoms.rattle(stdev=model.rattle_A, rng=np.random.default_rng(seed))
    atoms.calc = calculator
    wall, cpu = time.monotonic(), time.process_time()
    # ASE's filter makes scipy warn at every step of a matrix logarithm that is good to 1e-12; models print.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="logm result may be inaccurate", category=RuntimeWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="chgnet")
        optimizer = FIRE2(FrechetCellFilter(atoms), logfile=None)
        converged = False
        for _ in optimizer.irun(fmax=0.0, steps=model.steps):
            force, stress = _residue(atoms)
            converged = force <= model.fmax_eV_A and stress <= model.smax_GPa
            if converged or not np.isfinite(force + stress):
                break
        energy = float(atoms.get_potential_energy())
    return Relaxed(
        Crystal.from_ase(atoms),
        energy,
        force,
        stress,
        int(optimizer.nsteps),
        converged,
        round(time.process_time() - cpu, 2),
        round(time.monotonic() - wall, 2),
    )


def _residue(atoms: Any) -> tuple[float, float]:
    """The largest force (eV/Å) and the largest component of the stress (GPa)."""
    from ase.units import GPa

    force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    return force, float(abs(atoms.get_stress()).max() / GPa)
