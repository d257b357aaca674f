"""Runs in SHRY's environment: its structures with their weights. Arguments: POSCAR, replaced, then new=count …"""

import json
import sys

from pymatgen.core import Structure
from shry.core import Substitutor

path, replaced, *asked = sys.argv[1:]
counts = {new: int(count) for new, count in (words.split("=") for words in asked)}
structure = Structure.from_file(path)
sites = sum(site.species_string == replaced for site in structure)
rest = sites - sum(counts.values())
occupancies = {species: n / sites for species, n in {**counts, replaced: rest}.items() if n}
structure.replace_species({replaced: occupancies})
substitutor = Substitutor(structure, groupby=lambda site: site.species)
found = [
    {"degeneracy": int(weight), "species": [s.specie.symbol for s in one], "positions": one.frac_coords.tolist()}
    for weight, one in zip(substitutor.weights(), substitutor.structure_writers(), strict=True)
]
print(json.dumps({"lattice": structure.lattice.matrix.tolist(), "structures": found}))
