"""Chemical symbols, and what old programs write for them."""

from __future__ import annotations

_LINES = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb
Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg
Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts
Og
"""
SYMBOLS = frozenset(_LINES.split())


def element_symbol(written: str, title: str = "") -> str:
    """The element of a data set.

    Parameters
    ----------
    written : the symbol as the program wrote it; VASP 5 writes ``X`` for Xe and ``r`` for Zr.
    title : the data set's title, ``PAW_PBE Xe 07Sep2000``.

    Returns
    -------
    ``written`` where it is an element, else the title's element, else ``written`` unchanged.
    """
    if written in SYMBOLS:
        return written
    for word in title.split()[:2]:
        symbol = word.split("_")[0].rstrip("0123456789.")
        if symbol in SYMBOLS and not word.startswith("PAW"):
            return symbol
    return written or "X"
