"""Runs in an environment of its own: SHRY's patterns with their weights. Arguments: POSCAR, replaced, new, count."""

import json
import sys
import time

from pymatgen.core import Structure
from shry.core import Substitutor

path, replaced, new, count = *sys.argv[1:4], int(sys.argv[4])
structure = Structure.from_file(path)
sites = sum(site.species_string == replaced for site in structure)
structure.replace_species({replaced: {new: count / sites, replaced: 1 - count / sites}})
substitutor = Substitutor(structure, groupby=lambda site: site.species)
began = time.process_time()
distinct = total = 0
for automorphisms, _ in substitutor.make_patterns():
    distinct += 1
    total += substitutor._get_weight(automorphisms)
enumeration = time.process_time() - began
with open("/proc/self/status") as status:  # ru_maxrss would count what the parent had before exec
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"distinct": distinct, "total": total, "enumeration_s": enumeration, "peak_MB": peak}))
