"""What each INCAR tag means to this engine: obeyed, idle (no physics here), fixed (one meaning only), or refused.

A tag that is in none of the tables is refused by name: nothing that stands in an INCAR is ignored in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kalloy.errors import VaspInputError, nearest


def _tags(text: str) -> list[str]:
    return text.split()


OBEYED = frozenset(
    _tags(
        "SYSTEM PREC ENCUT EDIFF NELM NELMIN NBANDS ISMEAR SIGMA ISPIN MAGMOM ISYM SYMPREC NSW IBRION ISIF EDIFFG "
        "ISTART ICHARG LORBIT NEDOS EMIN EMAX LCHARG LWAVE LOPTICS CSHIFT OMEGAMAX LSORBIT AMIX"
    )
)
"""Tags whose meaning is VASP's; ``settings`` reads them and refuses the values that it cannot honour."""

_START = "only the start of the self-consistency loop: superposed atoms, or gpaw.gpw with ISTART or ICHARG = 1"
_PATH = "only the way to self-consistency, not its end"
_SPREAD = "only how VASP spreads its work; here k-points are divided among processes first, then plane waves"
_MIXING = _tags("BMIX AMIN AMIX_MAG BMIX_MAG WC IMIX INIMIX MIXPRE MAXMIX LMAXMIX MREMOVE")
_SOLVER = _tags("TIME EBREAK DEPER WEIMIN LDIAG LSUBROT NRMM ISEARCH")
_PARALLEL = _tags("NCORE NPAR KPAR NSIM LPLANE LSCALAPACK LSCALU LASYNC NBLK NCSHMEM MAXMEM")
IDLE: dict[str, str] = {
    **dict.fromkeys(_tags("INIWAV NELMDL IWAVPR"), _START),
    **dict.fromkeys(_MIXING + _SOLVER, _PATH),
    **dict.fromkeys(_PARALLEL, _SPREAD),
    **dict.fromkeys(_tags("POTIM NFREE"), "the relaxation takes its step length from its own Hessian"),
    **dict.fromkeys(_tags("KSPACING KGAMMA"), "KPOINTS is there, and has precedence as in VASP"),
    **dict.fromkeys(_tags("NBLOCK KBLOCK"), "every ionic step is written"),
    "SAXIS": "without moments no axis of the spin is distinguished",
    "ADDGRID": "augmentation charges are evaluated in reciprocal space",
    "NWRITE": "the amount of output is fixed",
    "LCORR": "forces are exact derivatives at self-consistency",
    "ROPT": "projectors are applied in reciprocal space",
}
"""Tags that change no converged result here, with the reason; listed as such in OUTCAR."""

ACCEPTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "GGA": (("PE",), "only PBE is built in"),
    "ALGO": (
        ("N", "F", "V", "A", "D", "C", "E", "NORMAL", "FAST", "VERYFAST", "ALL", "DAMPED", "CONJUGATE", "EXACT"),
        "states are found by iterative diagonalisation to EDIFF, whichever way is asked for",
    ),
    "IALGO": ((8, 38, 44, 46, 48, 53, 54, 55, 56, 57, 58), "only ground states by iterative diagonalisation"),
    "LASPH": ((True,), "the aspherical terms inside the spheres are always taken"),
    "LREAL": (
        (False, "AUTO", "A", "O", "ON", True),
        "projectors are always applied exactly, in reciprocal space",
    ),
    "METAGGA": (("--", "NONE", False), "only PBE is built in"),
    "LHFCALC": ((False,), "exact exchange is not available"),
    "AEXX": ((0, 0.0), "exact exchange is not available"),
    "LDAU": ((False,), "DFT+U is not available"),
    "IVDW": ((0,), "van der Waals corrections are not available"),
    "LVDW": ((False,), "van der Waals corrections are not available"),
    "LUSE_VDW": ((False,), "van der Waals functionals are not available"),
    "LNONCOLLINEAR": ((False,), "non-collinear magnetism is not available"),
    "LRPA": ((False,), "local fields are left out of the optical spectra"),
    "LEPSILON": ((False,), "linear response to fields is not available"),
    "LCALCEPS": ((False,), "response to finite fields is not available"),
    "LCALCPOL": ((False,), "polarisation is not available"),
    "LPEAD": ((False,), "response to fields is not available"),
    "LDIPOL": ((False,), "dipole corrections are not available"),
    "IDIPOL": ((0,), "dipole corrections are not available"),
    "PSTRESS": ((0, 0.0), "relaxation is at zero pressure"),
    "NUPDOWN": ((-1, -1.0), "the moment is free"),
    "LVTOT": ((False,), "LOCPOT is not written"),
    "LVHAR": ((False,), "LOCPOT is not written"),
    "LELF": ((False,), "ELFCAR is not written"),
    "LAECHG": ((False,), "AECCAR files are not written"),
    "LPARD": ((False,), "PARCHG is not written"),
    "LBERRY": ((False,), "polarisation is not available"),
    "EFERMI": (("LEGACY",), "the Fermi level is the one of the occupations"),
}
"""Tags with the values (upper case) that this engine can stand for, and why it takes no others."""


def canonical(value: Any) -> Any:
    """Strings in upper case without blanks; everything else as it is."""
    return value.strip().upper() if isinstance(value, str) else value


def check_tags(incar: Mapping[str, Any], where: str = "INCAR") -> None:
    """Refuse the first tag that is unknown, or has a value that would be ignored.

    Raises
    ------
    VaspInputError : names the tag, its value and what is possible instead.
    """
    known = sorted(OBEYED | set(IDLE) | set(ACCEPTED))
    for tag, value in incar.items():
        if tag in ACCEPTED:
            values, why = ACCEPTED[tag]
            if not any(canonical(value) == v and isinstance(value, bool) == isinstance(v, bool) for v in values):
                raise VaspInputError(
                    f"{tag} = {value} cannot be honoured by kalloy-gpaw: {why}",
                    where=where,
                    mend=f"leave {tag} out, or use vasp_std",
                )
        elif tag not in OBEYED and tag not in IDLE:
            raise VaspInputError(
                f"{tag} = {value} cannot be honoured by kalloy-gpaw, which does not know {tag}",
                where=where,
                mend=f"{nearest(tag, known)} Leave it out, or use vasp_std"
                if "did you mean" in nearest(tag, known)
                else "leave it out, or use vasp_std",
            )


def idle_tags(incar: Mapping[str, Any]) -> dict[str, str]:
    """The tags of this INCAR that change nothing here, each with its reason, in the order of the file."""
    return {tag: IDLE[tag] if tag in IDLE else ACCEPTED[tag][1] for tag in incar if tag in IDLE or tag in ACCEPTED}
