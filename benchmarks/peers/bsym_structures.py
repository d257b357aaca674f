"""Runs in bsym's environment: its structures with their degeneracies. Arguments: POSCAR, replaced, then new=count …"""

import json
import sys

from bsym.interface.pymatgen import unique_structure_substitutions
from pymatgen.core import Structure

path, replaced, *asked = sys.argv[1:]
counts = {new: int(count) for new, count in (words.split("=") for words in asked)}
structure = Structure.from_file(path)
rest = len(structure.indices_from_symbol(replaced)) - sum(counts.values())
distribution = {species: n for species, n in {**counts, replaced: rest}.items() if n}
found = [
    {
        "degeneracy": int(one.number_of_equivalent_configurations),
        "species": [site.specie.symbol for site in one],
        "positions": one.frac_coords.tolist(),
    }
    for one in unique_structure_substitutions(structure, replaced, distribution, atol=1e-4)
]
print(json.dumps({"lattice": structure.lattice.matrix.tolist(), "structures": found}))
