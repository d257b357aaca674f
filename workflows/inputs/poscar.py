"""POSCAR, to the last digit as pymatgen writes it, without its objects: thousands are written at once."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

import numpy as np

from kalloy.structures.crystal import Crystal

_ROW = "%21.16f %21.16f %21.16f"


def poscar_text(crystal: Crystal, comment: str) -> str:
    """POSCAR in direct coordinates with sixteen decimals, equal to pymatgen's ``Poscar.get_str``.

    A left-handed lattice is written inverted, as pymatgen does, for VASP stops at a negative triple product.
    """
    lattice = crystal.lattice if np.linalg.det(crystal.lattice) >= 0 else -crystal.lattice
    numbers = (*lattice.ravel().tolist(), *crystal.positions.ravel().tolist())
    return f"{comment}\n{_form(crystal.species) % numbers}"


@lru_cache(maxsize=1024)
def _form(species: tuple[str, ...]) -> str:
    """All but the comment, with places for lattice and positions: members share a few of them."""
    runs = [(element, sum(1 for _ in run)) for element, run in groupby(species)]
    head = ["1.0", _ROW, _ROW, _ROW, " ".join(e for e, _ in runs), " ".join(str(n) for _, n in runs), "direct"]
    return "\n".join([*head, *(f"{_ROW} {element}" for element in species)]) + "\n"
