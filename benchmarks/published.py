"""The free engine's lattice constants and gaps beside published PBE values, which rest on other codes and datasets.

``python benchmarks/published.py [NAME …]`` prints the table; some minutes on one core for all.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.calculator import Calculator
from kalloy.workflows.gpaw_engine.kpoints import Mesh
from kalloy.workflows.gpaw_engine.settings import read_settings
from kalloy.workflows.gpaw_engine.states import IonicStep, States

MP_KBR = "Materials Project mp-23251 (VASP), doi 10.17188/1199364"
MP_CSBR = "Materials Project (VASP), CsBr, Pm-3m"
FLAPW = "M. Betzinger, C. Friedrich, S. Blügel, Phys. Rev. B 81, 195117 (2010), FLAPW"
PAW = "J. Paier et al., J. Chem. Phys. 124, 154709 (2006), PAW (VASP)"
GHAITHAN = "H. M. Ghaithan et al., ACS Omega 5, 7468 (2020), FP-LAPW"
GAMMA, X, R = (0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Case:
    """One published number."""

    name: str
    crystal: Callable[[float], Atoms]
    lattice: float
    """Å; where a gap is taken, or an equation of state begins."""
    encut: float
    """eV."""
    mesh: int
    """Γ-centred divisions."""
    published: tuple[tuple[float, str], ...]
    """Numbers with their sources; where there are two, they say how far codes differ."""
    tolerance: float
    """What other codes, datasets and meshes may differ by."""
    edges: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    """Of a gap: where the last filled band and the first empty one are taken; None for a lattice constant."""

    @property
    def unit(self) -> str:
        """Of the number."""
        return "Å" if self.edges is None else "eV"


def rock_salt(formula: str) -> Callable[[float], Atoms]:
    """A crystal by its lattice constant."""
    return lambda a: bulk(formula, "rocksalt", a=a)


def caesium_bromide(a: float) -> Atoms:
    """CsBr of two atoms."""
    return bulk("CsBr", "cesiumchloride", a=a)


def silicon(a: float) -> Atoms:
    """Silicon of two atoms."""
    return bulk("Si", "diamond", a=a)


def perovskite(a: float) -> Atoms:
    """Cubic CsPbBr3."""
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Atoms("CsPbBr3", scaled_positions=places, cell=[a, a, a], pbc=True)


CASES = (
    Case("KBr a", rock_salt("KBr"), 6.71, 350, 3, ((6.71, MP_KBR),), 0.067),
    Case("CsBr a", caesium_bromide, 4.39, 350, 4, ((4.39, MP_CSBR),), 0.044),
    Case("Si Γ–Γ", silicon, 5.421, 250, 6, ((2.56, FLAPW), (2.57, PAW)), 0.03, (GAMMA, GAMMA)),
    Case("Si Γ–X", silicon, 5.421, 250, 6, ((0.71, FLAPW), (0.71, PAW)), 0.03, (GAMMA, X)),
    Case("MgO Γ–Γ", rock_salt("MgO"), 4.189, 500, 4, ((4.84, FLAPW), (4.75, PAW)), 0.1, (GAMMA, GAMMA)),
    Case("NaCl Γ–Γ", rock_salt("NaCl"), 5.569, 400, 4, ((5.08, FLAPW), (5.20, PAW)), 0.1, (GAMMA, GAMMA)),
    Case("KBr Γ–Γ", rock_salt("KBr"), 6.71, 300, 3, ((4.31, MP_KBR),), 0.1, (GAMMA, GAMMA)),
    Case("CsPbBr3 R–R", perovskite, 5.99, 300, 4, ((1.76, GHAITHAN),), 0.1, (R, R)),
)


def computed(case: Case) -> float:
    """The engine's own number."""
    if case.edges is None:
        return lattice_constant(case)
    _, states = run(case, case.lattice)
    return gap(states, case.edges)


def run(case: Case, a: float) -> tuple[IonicStep, States]:
    """One self-consistent calculation."""
    atoms = case.crystal(a)
    tags = {"ENCUT": case.encut, "EDIFF": 1e-6, "ISMEAR": 0, "SIGMA": 0.02, "ISIF": 0}
    n = case.mesh
    with tempfile.TemporaryDirectory() as folder:
        mesh = Mesh((n, n, n), (0.0, 0.0, 0.0), gamma_centred=True)
        calculator = Calculator(read_settings(tags, len(atoms)), atoms, mesh, Path(folder) / "log")
        step = calculator.converge(atoms, lambda number, electronic: None)
        return step, calculator.states(projected=False)


def gap(states: States, edges: tuple[tuple[float, float, float], tuple[float, float, float]]) -> float:
    """From the last filled band at one k-point to the first empty one at another, eV."""
    filled = round(states.electrons / states.full)
    top, bottom = (_band(states, edge, n) for edge, n in zip(edges, (filled - 1, filled), strict=True))
    return bottom - top


def _band(states: States, point: tuple[float, float, float], band: int) -> float:
    """At a point or one that a cube's symmetry makes it."""
    wanted = sorted(np.abs(point))
    for k, here in enumerate(states.points):
        if np.allclose(sorted(np.abs(here - np.round(here - 1e-9))), wanted, atol=1e-6):
            return float(states.eigenvalues[0, k, band])
    raise ValueError(f"the mesh does not hold {point}")


def lattice_constant(case: Case) -> float:
    """From an equation of state: seven volumes within 6 %, energies at constant ENCUT (Å)."""
    lengths = case.lattice * np.cbrt(np.linspace(0.94, 1.06, 7))
    energies = np.array([run(case, float(a))[0].energies.extrapolated for a in lengths])
    return _minimum(lengths, energies)


def _minimum(lengths: NDArray[np.float64], energies: NDArray[np.float64]) -> float:
    """Of a third-order polynomial in a^-2, which is Birch's equation of state."""
    fit = np.polynomial.Polynomial.fit(lengths**-2, energies, 3)
    slopes = fit.deriv()
    roots = np.array([root.real for root in slopes.roots() if abs(root.imag) < 1e-9])
    minimum = next(root for root in roots if slopes.deriv()(root) > 0 and lengths.min() < root**-0.5 < lengths.max())
    return float(minimum**-0.5)


def main() -> None:
    """The table."""
    wanted = sys.argv[1:]
    print(f"{'':14s}{'kalloy-gpaw':>12s}{'published':>11s}{'difference':>12s}  source")
    for case in CASES:
        if wanted and not any(case.name.startswith(name) for name in wanted):
            continue
        ours = computed(case)
        for value, source in case.published:
            pair = f"{ours:9.3f} {case.unit:2s}{value:8.2f} {case.unit:2s}"
            print(f"{case.name:14s}{pair}{ours - value:+12.3f}  {source}", flush=True)


if __name__ == "__main__":
    main()
