"""The settings in force, as vasprun.xml's <parameters> and OUTCAR's header tell them."""

from __future__ import annotations

from typing import Any

from kalloy.workflows.gpaw_engine.job import Job
from kalloy.workflows.gpaw_engine.kpoints import PointList

Groups = dict[str, dict[str, Any]]


def parameters(job: Job, bands: int, electrons: int, grid: tuple[int, int, int]) -> Groups:
    """Tags in force by VASP's groups: those obeyed, and those that readers need to tell the functional.

    Parameters
    ----------
    bands, electrons : NBANDS and NELECT.
    grid : points of the real-space grid.
    """
    s = job.settings
    return {
        "general": {"SYSTEM": s.system},
        "electronic": {
            "PREC": "accura" if s.reach == 2.0 else "normal",
            "ENMAX": s.encut,
            "EDIFF": s.ediff,
            "NBANDS": bands,
            "NELECT": float(electrons),
        },
        "electronic smearing": {"ISMEAR": s.ismear, "SIGMA": s.sigma},
        "electronic projectors": {"LREAL": False},
        "electronic startup": {"ICHARG": 11 if s.fixed_density else 1 if s.continues else 2},
        "electronic spin": {"ISPIN": s.spins, "LNONCOLLINEAR": s.spinors, "LSORBIT": s.spinors} | _moments(job),
        "electronic exchange-correlation": {
            "LASPH": True,
            "LMETAGGA": False,
            "GGA": "PE",
            "LHFCALC": False,
            "AEXX": 0.0,
            "HFSCREEN": 0.0,
        },
        "electronic convergence": {"NELM": s.nelm, "NELMIN": s.nelmin},
        "grids": dict(zip(("NGX", "NGY", "NGZ"), grid, strict=True))
        | dict(zip(("NGXF", "NGYF", "NGZF"), (2 * n for n in grid), strict=True)),
        "ionic": {
            "NSW": s.steps,
            "IBRION": job.incar.get("IBRION", -1) if s.relaxes else -1,
            "ISIF": s.freedom.value,
            "PSTRESS": 0.0,
            "EDIFFG": s.ediffg,
        },
        "symmetry": {"ISYM": s.isym, "SYMPREC": s.symprec},
        "dos": {
            "LORBIT": s.lorbit,
            "NEDOS": s.nedos,
            "EMIN": 10.0 if s.emin is None else s.emin,
            "EMAX": -10.0 if s.emax is None else s.emax,
        },
        "writing": {"LWAVE": s.keep_waves, "LCHARG": s.keep_density},
        "electronic optics": {"LOPTICS": s.optics} | ({"CSHIFT": s.cshift} if s.optics else {}),
        "miscellaneous": {"LDAU": False},
        "vdW DFT": {"LUSE_VDW": False, "IVDW": 0},
        "linear response parameters": {"LEPSILON": False},
    }


def _moments(job: Job) -> dict[str, Any]:
    moments = job.settings.magmoms
    return {"MAGMOM": moments} if moments is not None else {}


def approximations(dropped: int, job: Job) -> list[str]:
    """What this engine does otherwise than VASP, one sentence each; in OUTCAR and in vasprun.xml's generator.

    Parameters
    ----------
    dropped : operations of the crystal that do not map the k-mesh on itself.
    """
    settings = job.settings
    notes = [
        "PAW datasets are GPAW's, not VASP's: energies of the two programs cannot be compared",
        "aspherical terms inside the spheres are always taken (LASPH = .TRUE.)",
        "stress is the derivative of the energy at constant ENCUT (Pulay's part is added); VASP's is that at constant "
        "plane waves",
        "the basis follows the cell at constant ENCUT in each ionic step; VASP keeps the plane waves of the first",
        "relaxations use one quasi-Newton method for IBRION = 1 and 2; for the cell, EDIFFG < 0 bounds the force on "
        "each lattice vector",
        "projections cover s, p and d inside the PAW spheres",
    ]
    if settings.fixed_density and not settings.optics and not settings.spinors:
        notes.append(
            "ICHARG = 11: full bands and the lower half of the empty ones are held to EDIFF, the highest only follow"
        )
    if settings.optics:
        notes.append("LOPTICS: independent particles without local fields; CSHIFT alone broadens both parts of ε")
        notes.append("LOPTICS: whatever ALGO and NELM, bands are iterated until every one of NBANDS has converged")
    if settings.spinors:
        notes.append("LSORBIT: the coupling is added to scalar-relativistic states; the density does not answer to it")
    if settings.ismear == -5:
        notes.append("ISMEAR = -5: linear tetrahedra without Bloechl's corrections, which vanish where no band is cut")
    if isinstance(job.kpoints, PointList) and not settings.fixed_density and job.kpoints.weightless.any():
        notes.append("k-points without weight: their eigenvalues are found last, in the density that the others made")
    if dropped:
        notes.append(
            f"the k-mesh breaks {dropped} of the crystal's operations; it and the density keep only the others"
        )
    return notes
