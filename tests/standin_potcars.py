"""Stand-in POTCARs: headers as VASP's, all numbers but the valence made up, nothing in them of VASP's own files."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

DATASETS: dict[str, tuple[str, int, float]] = {
    "Cs_sv": ("Cs", 9, 211.0),
    "K_sv": ("K", 9, 222.0),
    "K_pv": ("K", 7, 111.0),
    "Rb_sv": ("Rb", 9, 233.0),
    "Na": ("Na", 1, 101.0),
    "Pb": ("Pb", 4, 99.0),
    "Pb_d": ("Pb", 14, 244.0),
    "Br": ("Br", 7, 255.0),
    "Cl": ("Cl", 7, 266.0),
}
"""Dataset to element, valence electrons (true) and ENMAX in eV (made up)."""


def potcar(symbol: str, element: str, zval: float, enmax: float, lexch: str = "PE") -> str:
    """One dataset's text."""
    return f"""  PAW_PBE {symbol} 01Jan2001
   {zval:.10f}
 parameters from PSCTR are:
   VRHFIN ={element}: a stand-in of kalloy's tests, not a dataset of VASP's
   LEXCH  = {lexch}
   EATOM  =   100.0000 eV,    7.0000 Ry

   TITEL  = PAW_PBE {symbol} 01Jan2001
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        1    unscreen: 0-lin 1-nonlin 2-no
   RPACOR =    2.000    partial core radius
   POMASS =   50.000; ZVAL   = {zval:8.3f}    mass and valenz
   RCORE  =    2.000    outmost cutoff radius
   ENMAX  = {enmax:8.3f}; ENMIN  = {0.75 * enmax:8.3f} eV
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
   EAUG   =  400.000
 END of PSCTR-controll parameters
 local part
   1.00000000000000
   0.10000000E+01  0.20000000E+01  0.30000000E+01
 End of Dataset
"""


def write_library(
    folder: Path,
    datasets: Mapping[str, tuple[str, int, float]] = DATASETS,
    *,
    name: str = "{}/POTCAR",
    lexch: str = "PE",
) -> None:
    """Write a release's folder.

    Parameters
    ----------
    name : each dataset's file, with ``{}`` for its name; packed where it ends in ``.gz``.
    """
    for symbol, (element, zval, enmax) in datasets.items():
        path = folder / name.format(symbol)
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = potcar(symbol, element, zval, enmax, lexch).encode()
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
