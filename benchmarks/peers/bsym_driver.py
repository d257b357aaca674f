"""Runs in an environment of its own: bsym's unique configurations. Arguments: POSCAR, replaced, new, count."""

import json
import sys
import time

from bsym.interface.pymatgen import configuration_space_from_structure
from pymatgen.core import Structure

path, replaced, new, count = *sys.argv[1:4], int(sys.argv[4])
structure = Structure.from_file(path)
sites = list(structure.indices_from_symbol(replaced))
space = configuration_space_from_structure(structure, subset=sites, atol=1e-4)
began = time.process_time()
found = space.unique_configurations({1: count, 0: len(sites) - count})
distinct, total = len(found), sum(configuration.count for configuration in found)
enumeration = time.process_time() - began
with open("/proc/self/status") as status:  # ru_maxrss would count what the parent had before exec
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"distinct": distinct, "total": total, "enumeration_s": enumeration, "peak_MB": peak}))
