"""What the stress misses because the set of plane waves is finite (Pulay's stress).

GPAW's stress is the derivative of the energy at a fixed number of plane waves. The energy that a calculation with
constant ENCUT minimises has another one, for a strain also brings plane waves into the sphere or takes them out of it.
By second-order perturbation theory a plane wave G outside the sphere would lower the energy of the state n by

    |<G| H - e_n S |psi_n>|^2 / (G^2/2 + v - e_n),

v being the mean potential; summed over a thin shell around the sphere this is -dE/dENCUT, resolved by direction. The
strain moves each G by -strain·G, so that the missing stress is

    sum over the shell of dE_G G_i G_j / (width of the shell) / volume        (Hartree atomic units).

For KBr at 200 to 300 eV, where it is up to 18 kB, the corrected stress equals the derivative of a fitted E(V) within
the fit's error of some 1 kB. (GPAW's own keyword ``dedecut`` is without effect in its present plane-wave code.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.units import Bohr, Ha
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHELL = 0.1
"""Width of the shell in units of the cut-off: wide enough that it holds many plane waves, thin against their decay."""


def pulay_stress(dft: Any, symmetrise: Any) -> Array:
    """Shape (3, 3), eV/Å3 with ASE's sign: to be added to GPAW's stress.

    Parameters
    ----------
    dft : a converged GPAW calculation in plane waves, ``calculator.dft``.
    symmetrise : function that takes a Cartesian tensor to its symmetric part; irreducible k-points need it.
    """
    total = np.zeros((3, 3))
    for wfs in dft.ibzwfs:
        total += _of_one_k_point(dft, wfs)
    dft.comm.sum(total)  # each process has done its k-points and plane waves
    density = dft.density
    volume = density.nt_sR.desc.volume
    return np.asarray(symmetrise(total / volume) * Ha / Bohr**3)


def _of_one_k_point(dft: Any, wfs: Any) -> Array:
    """Shape (3, 3), Hartree: the shell's contribution to strain derivatives, weighted."""
    sphere = wfs.psit_nX.desc
    wide = sphere.new(ecut=(1 + SHELL) * sphere.ecut)
    outside = wide.ekin_G > sphere.ecut
    residuals = _residuals(dft, wfs, wide)[:, outside]
    potential = dft.potential.vt_sR[wfs.spin]
    mean_potential = float(potential.integrate() / potential.desc.volume)
    gaps = wide.ekin_G[outside][None] + mean_potential - wfs.myeig_n[:, None]
    filled = wfs.weight * wfs.spin_degeneracy * wfs.myocc_n
    halves = 2.0 if np.issubdtype(wide.dtype, np.floating) else 1.0  # real states: only half of all G are kept
    gains = -halves * wide.dv * np.einsum("n,ng->g", filled, np.abs(residuals) ** 2 / gaps)
    waves = wide.G_plus_k_Gv[outside]
    return np.asarray(np.einsum("g,gi,gj->ij", gains, waves, waves) / (SHELL * sphere.ecut))


def _residuals(dft: Any, wfs: Any, wide: Any) -> NDArray[np.complex128]:
    """Shape (bands, plane waves of ``wide``): (H - e S) psi, which the sphere's waves have converged to zero."""
    states = wfs.psit_nX.morph(wide)
    residuals = states.new()
    _apply_local_potential(dft, wfs.spin, states, residuals)
    projectors = wide.atom_centered_functions(
        [setup.pt_j for setup in wfs.setups], wfs.relpos_ac, atomdist=wfs.atomdist, xp=np
    )
    energies, overlaps = wfs.P_ani.new(), wfs.P_ani.new()
    dft.potential.deltaH(wfs.P_ani, energies, spin=wfs.spin)
    corrections = wfs.setups.get_overlap_corrections(wfs.P_ani.layout.atomdist, np)
    wfs.P_ani.block_diag_multiply(corrections, out_ani=overlaps)
    overlaps.matrix.data *= wfs.myeig_n[:, None]
    energies.data -= overlaps.data
    projectors.add_to(residuals, energies)
    data: NDArray[np.complex128] = residuals.data
    return data


def _apply_local_potential(dft: Any, spin: int, states: Any, out: Any) -> None:
    """GPAW's, which remembers the plane waves of each k-point where they are divided: not those of the wider sphere."""
    hamiltonian = dft.scf_loop.hamiltonian
    remembered, hamiltonian.pw_cache = hamiltonian.pw_cache, {}
    hamiltonian.apply_local_potential(dft.potential.vt_sR[spin], states, out)
    hamiltonian.pw_cache = remembered
