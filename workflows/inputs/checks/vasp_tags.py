"""The tags that VASP knows: pymatgen's table, and what VASP's documentation has beyond it."""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any

_NEWER = """
ALDAX ALPHA_VDW AMGGAC AMGGAX BANDGAP BEXT BPARAM BSEPREC CH_AMPLIFICATION CMBJE CPARAM EFERMI EFERMI_NEDOS ENCHG ESTOP
FOCKCORR HFALPHA HFKIDENT IBSE ITIM IVDW_NL KPOINTS_OPT_MODE KPOINTS_OPT_NKBATCH LCHARGH5 LDISENTANGLE LDISENTANGLED
LDMP1 LEXCH LFINITE_TEMPERATURE LFOCKACE LH5 LINTPOL_KPATH LINTPOL_VELOCITY LKPOINTS_OPT LLOCALIZE LMAXMP2 LMETAGGA
LMP2LT LSCDM LSCK LSFACTOR LSMP2LT LSPIN_VDW LSYNCH5 LTBOUNDLIBXC LVACPOTAV LVCADER LVDW LVDW_ONECELL LWAP LWAVEH5
LWRITE_SPN NBANDSEXACT NBLOCK_FOCK NCORE_IN_IMAGE1 NCSHMEM NELMGW NELMGWHF NMAXALT NSTORB NTEMPER NUM_WANN
NGXFOCK PARAM3 PSTRESS RANDOM_GENERATOR SCALEE SCISSOR STOP_ON VCA VCAIMAGES WANNIER90_WIN ENMAX LPHON_DISPERSION
LPHON_POLAR LPHON_READ_FORCE_CONSTANTS LTIME_EVOLUTION NBSEBLOCK KERNEL_TRUNCATION LRHFATM
AVECCONST DAMP_NEWTON DEG_THRESHOLD DFIELD DIM ENCUT4O EREF EXXOEP FOURORBIT IALL_IN_ONE IDIOT IRESTART ISPECIAL KBLOWUP
KINTER KPOINT L2ORDER LALL_IN_ONE LESF_SPLINES LGWLF LHOLEGF LREAL_COMPAT LTCTC MAGATOM MAGDIPOL MCALPHA MODEL_ALPHA
MODEL_EPS0 MODEL_GW MREMOVE NATURALO NBANDSGWLOW NBANDSHIGH NBANDSLF NBANDSLOW NBANDS_WAVE NELMHF NKREDLFX NKREDLFY
NKREDLFZ NMIN NREBOOT NRMM OMEGAGRID OMEGAPAR OPTEMAX RTIME TAUPAR TELESCOPE TURBO WPLASMA WPLASMAI IESPILON
"""
"""Of VASP's documentation, and of the parameters that its vasprun.xml lists."""
_FAMILIES = re.compile(
    r"(ML|PHON|ELPH|VDW|LIBXC|LIBXC1|LIBXC2|ESF|TRANSPORT|LANGEVIN|HILLS|OFIELD|KERNEL|DMFT)\d?_\w+|LIBXC[12]"
)
"""Tags that come in dozens with every release."""
_METAGGA = """
-- NONE R2SCAN RSCAN R2SCANL SCANL RSCANL LAK V1SYM V2 V3 V4 LIBXC OFR2 HLE17 REVTPSS TASK SREGTM1 SREGTM2 MSB86BL
MSRPBEL MSPBEL RTPSSL TPSSL M06-L
"""
_MORE_VALUES: dict[str, list[Any]] = {
    "ALGO": ["Very_Fast", "EVGW0R", "EVGWR"],
    "GGA": ["B86R", "--", "PS", "PB", "LM", "N"],
    "IBRION": [4, 9, 10, 11, 12, 40],
    "ICHARG": [5],
    "ISIF": [9, 10, 11],
    "LORBIT": [13, 14],
    "METAGGA": _METAGGA.split(),
}
"""Values of VASP's documentation, and its one-letter ones, that pymatgen's table lacks."""


@cache
def vasp_incar() -> Any:
    """pymatgen's Incar with the fuller table."""
    from pymatgen.io.vasp.inputs import Incar

    table = {**{tag: {} for tag in _NEWER.split()}, **Incar.INCAR_PARAMS}
    table["ENMAX"] = {"type": "float"}  # the old name of ENCUT; pymatgen has it as text
    for tag, values in _MORE_VALUES.items():
        table[tag] = {**table[tag], "values": [*table[tag].get("values", []), *values]}

    class VaspIncar(Incar):
        """An INCAR that is read and checked by the fuller table."""

        INCAR_PARAMS = table

    return VaspIncar


def is_known(tag: str) -> bool:
    """Whether VASP has a tag of that name."""
    return tag in vasp_incar().INCAR_PARAMS or bool(_FAMILIES.fullmatch(tag))


def known_tags() -> list[str]:
    """All names, for the nearest one to a misspelt tag."""
    return sorted(vasp_incar().INCAR_PARAMS)


def read_tags(tags: dict[str, Any]) -> dict[str, Any]:
    """Tags with the values typed as pymatgen reads them from a file: ``MAGMOM = "2*0 5"`` becomes a list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(vasp_incar()(dict(tags)))


def value_complaint(tag: str, value: Any) -> str | None:
    """What pymatgen's `Incar.check_params` says of one tag's value; None where it is content."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        incar = vasp_incar()({tag: value})
        if tag not in incar.INCAR_PARAMS or _is_abbreviated(tag, incar[tag]):
            return None
        incar.check_params()
    if not caught:
        return None
    kind = incar.INCAR_PARAMS[tag]
    if "values" in kind and "not a" not in str(caught[0].message):
        return f"{tag} = {value} is none of its values"
    return f"{tag} = {value} is no {_TYPES.get(kind.get('type', ''), kind.get('type', 'value'))}"


_TYPES = {"bool": "truth value (.TRUE. or .FALSE.)", "int": "integer", "float": "number", "list": "list of numbers"}


def _is_abbreviated(tag: str, value: Any) -> bool:
    """VASP reads the first letters of its words alone: ``PREC = Acc``."""
    if tag not in ("PREC", "ALGO", "LREAL") or not isinstance(value, str) or not value:
        return False
    known = vasp_incar().INCAR_PARAMS[tag]["values"]
    return any(isinstance(k, str) and k.casefold().startswith(value.casefold()) for k in known)
