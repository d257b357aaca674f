"""Self-consistency that begins where an earlier calculation ended: ISTART or ICHARG = 1, and the restart file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from kalloy.workflows.gpaw_engine.settings import Settings

RESTART = "gpaw.gpw"
"""The restart file: what CHGCAR and WAVECAR are to VASP."""


@dataclass(frozen=True, eq=False)
class Start:
    """What the first self-consistency loop begins with."""

    parent: Any
    """GPAW's calculator of the restart file; None for superposed atoms."""
    words: str
    """For OUTCAR and standard output."""

    @property
    def is_restart(self) -> bool:
        """Whether the restart file is used."""
        return self.parent is not None


FROM_ATOMS = Start(None, "self-consistency begins with superposed atoms")


def choose_start(
    folder: Path, settings: Settings, atoms: Atoms, grid: tuple[int, int, int], parallel: dict[str, int]
) -> Start:
    """The restart file where it is asked for and fits; as in VASP superposed atoms do otherwise.

    Parameters
    ----------
    grid : points of the real-space grid.
    parallel : GPAW's ``parallel``.
    """
    path = folder / RESTART
    if not settings.continues or not path.is_file():
        asked = f": there is no {RESTART}" if settings.continues else ""
        return Start(None, FROM_ATOMS.words + asked)
    from gpaw import GPAW

    parent = GPAW(path, txt=None, parallel=parallel)
    why = mismatch(parent, settings, atoms)
    n1, n2, n3 = parent.get_number_of_grid_points()
    if why is None and (n1, n2, n3) != grid:
        why = "has another real-space grid"
    if why:
        return Start(None, f"{FROM_ATOMS.words}: {RESTART} {why}")
    return Start(parent, f"self-consistency begins with {RESTART}")


def mismatch(parent: Any, settings: Settings, atoms: Atoms) -> str | None:
    """Why a restart file is not of this calculation, in words that follow its name; None where it is."""
    if not is_same_crystal(parent.atoms, atoms):
        return "holds the density of another structure than POSCAR"
    encut = float(parent.params.mode.ecut)
    if abs(encut - settings.encut) > 1e-6:
        return f"was made with ENCUT = {encut:g}, and it is {settings.encut:g} here"
    spins = parent.get_number_of_spins()
    if spins != settings.spins:
        return f"has {spins} spin channels, and ISPIN is {settings.spins}"
    return None


def is_same_crystal(one: Atoms, other: Atoms) -> bool:
    """Whether two crystals agree atom by atom within 1e-4 Å, lattice translations aside."""
    if len(one) != len(other) or (one.numbers != other.numbers).any():
        return False
    gap = one.get_scaled_positions() - other.get_scaled_positions()
    apart = (gap - np.round(gap)) @ np.array(other.cell)
    return bool(np.allclose(one.cell, other.cell, atol=1e-4) and np.allclose(apart, 0.0, atol=1e-4))


def continued(parent: Any, atoms: Atoms, log: Path, keywords: dict[str, Any]) -> Any:
    """A GPAW calculator, not yet iterated, that has the density of ``parent``, and its wave functions where they fit.

    Parameters
    ----------
    keywords : GPAW's, of the new calculation.
    """
    from gpaw.dft import Parameters
    from gpaw.new.ase_interface import ASECalculator
    from gpaw.new.calculation import DFT
    from gpaw.new.logger import Logger

    params = Parameters(**keywords)
    logger = Logger(log, parent.comm)
    builder = params.dft_component_builder(atoms, log=logger)
    old = parent.dft
    spread = (builder.atomdist, old.ibzwfs.kpt_band_comm, builder.communicators["D"])
    density = old.density.redist(builder.grid, builder.interpolation_desc, *spread)
    potential = old.potential.redist(builder.grid, builder.electrostatic_potential_desc, *spread)
    waves = old.ibzwfs if _has_waves_for(parent, builder) else None
    dft = DFT.from_components(
        atoms,
        waves or builder.create_ibz_wave_functions(builder.create_basis_set(), potential),
        density,
        potential,
        builder.setups,
        builder.create_scf_loop(),
        builder.create_potential_calculator(),
        logger,
        params=params,
        energies=old.energies,
        converge=False,
    )
    return ASECalculator(params, log=logger, dft=dft, atoms=atoms.copy())


def _has_waves_for(parent: Any, builder: Any) -> bool:
    waves = parent.dft.ibzwfs
    if not waves.has_wave_functions() or waves.nbands != builder.nbands:
        return False
    ours, theirs = builder.ibz, waves.ibz
    return (
        len(ours.symmetries) == len(theirs.symmetries)
        and ours.kpt_kc.shape == theirs.kpt_kc.shape
        and np.allclose(ours.kpt_kc, theirs.kpt_kc)
        and np.allclose(ours.weight_k, theirs.weight_k)
    )
