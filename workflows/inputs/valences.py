"""Valence electrons of VASP's usual PBE datasets, for the number of electrons where no POTCAR is at hand.

Source: the lists of available PAW potentials in VASP's documentation, which are public, as the datasets are not. Only
numbers of electrons; a POTCAR's own ZVAL always comes first.
"""

from __future__ import annotations

_LIST = """
H 1  He 2  Li 1  Li_sv 3  Be 2  Be_sv 4  B 3  C 4  N 5  O 6  F 7  Ne 8
Na 1  Na_pv 7  Na_sv 9  Mg 2  Mg_pv 8  Mg_sv 10  Al 3  Si 4  P 5  S 6  Cl 7  Ar 8
K_pv 7  K_sv 9  Ca_pv 8  Ca_sv 10  Sc 3  Sc_sv 11  Ti 4  Ti_pv 10  Ti_sv 12  V 5  V_pv 11  V_sv 13  Cr 6  Cr_pv 12
Mn 7  Mn_pv 13  Fe 8  Fe_pv 14  Co 9  Ni 10  Ni_pv 16  Cu 11  Cu_pv 17  Zn 12  Ga 3  Ga_d 13  Ge 4  Ge_d 14
As 5  Se 6  Br 7  Kr 8
Rb_pv 7  Rb_sv 9  Sr_sv 10  Y_sv 11  Zr_sv 12  Nb_pv 11  Nb_sv 13  Mo 6  Mo_pv 12  Mo_sv 14
Ru 8  Ru_pv 14  Rh 9  Rh_pv 15  Pd 10  Ag 11  Ag_pv 17  Cd 12  In 3  In_d 13  Sn 4  Sn_d 14  Sb 5  Te 6  I 7  Xe 8
Cs_sv 9  Ba_sv 10  La 11  Hf 4  Hf_pv 10  Hf_sv 12  Ta 5  Ta_pv 11  W 6  W_pv 12  W_sv 14  Re 7  Re_pv 13
Os 8  Os_pv 14  Ir 9  Pt 10  Pt_pv 16  Au 11  Hg 12  Tl 3  Tl_d 13  Pb 4  Pb_d 14  Bi 5  Bi_d 15
"""
_WORDS = _LIST.split()
PUBLISHED: dict[str, int] = dict(zip(_WORDS[::2], map(int, _WORDS[1::2]), strict=True))
"""Dataset to number of valence electrons."""
