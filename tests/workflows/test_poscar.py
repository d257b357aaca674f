"""POSCAR is written without pymatgen's objects, and is its text all the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.io.vasp.inputs import Poscar

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.poscar import poscar_text


def positions(atoms: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 2, (atoms, 3))


def cells() -> st.SearchStrategy[Crystal]:
    number = st.floats(-30, 30, allow_nan=False).map(lambda x: round(x, 9))
    lattice = st.lists(number, min_size=9, max_size=9).map(lambda v: np.reshape(v, (3, 3)))
    species = st.lists(st.sampled_from(["Cs", "K", "Pb", "Br"]), min_size=1, max_size=9)
    return st.builds(
        lambda rows, names, seed: Crystal(
            rows, tuple(names), np.random.default_rng(seed).uniform(-1, 2, (len(names), 3))
        ),
        lattice.filter(lambda rows: abs(np.linalg.det(rows)) > 1),
        species,
        st.integers(0, 1 << 30),
    )


@settings(max_examples=80)
@given(cells())
def test_poscar_is_pymatgens_to_the_letter(crystal: Crystal) -> None:
    """Any species in any order, any cell, a left-handed one too."""
    text = poscar_text(crystal, "a member")
    assert text == Poscar(crystal.to_pymatgen(), comment="a member").get_str(significant_figures=16)
