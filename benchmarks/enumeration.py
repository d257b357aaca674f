"""How fast configurations are enumerated, beside SHRY and bsym, each in an environment of its own.

    python benchmarks/enumeration.py              all cases, some minutes (peers/environments.py makes the peers)
    python benchmarks/enumeration.py --no-peers   only kalloy

Everyone enumerates the same sites under the same group and gives each configuration's degeneracy. Two times are told
apart: the enumeration alone, measured inside the process after symmetry is known, and the whole process from start to
end, imports and symmetry included. All are CPU seconds; memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from math import comb
from pathlib import Path
from typing import Any

from peers.environments import make

DRIVERS = Path(__file__).resolve().parent / "peers"
CASES = [
    # cell, K on Cs, what it is called, who is asked to do it
    ("given", 3, "hexagonal, n = 3", ("SHRY", "bsym")),
    ("given", 6, "hexagonal, n = 6", ("SHRY", "bsym")),
    ("given", 8, "hexagonal, n = 8", ("SHRY", "bsym")),
    ("given", 12, "hexagonal, n = 12", ("SHRY", "bsym")),
    ("2 1 1", 6, "2x1x1, n = 6", ("SHRY",)),
    ("2 1 1", 8, "2x1x1, n = 8", ()),
]
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--ours", nargs=3, metavar=("WAY", "CELL", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        way, cell, number = arguments.ours
        print(json.dumps(ours(way, cell, int(number))))
        return
    head = f"{'case':18} {'tool':16} {'distinct':>11} {'enumeration':>12} {'process':>9} {'peak':>7}"
    print(f"{head}   kernel / plain faster by")
    for cell, number, name, peers in CASES:
        report(name, measured(cell, number, () if arguments.no_peers else peers))


def measured(cell: str, number: int, peers: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """What each tool needed for one case."""
    found = {}
    for way in ("kernel", "plain"):
        command = [sys.executable, __file__, "--ours", way, cell, str(number)]
        found[f"kalloy, {way}"] = best(command, 1 if cell != "given" and number > 6 else REPEATS)
    with tempfile.TemporaryDirectory() as folder:
        path = write_host(Path(folder), cell)
        for peer in peers:
            driver, python = DRIVERS / f"{peer.lower()}_driver.py", make(peer.lower())
            found[peer] = best([str(python), "-W", "ignore", str(driver), str(path), "Cs", "K", str(number)], 1)
    expected = found["kalloy, kernel"]["distinct"]
    sites = {"given": 24, "2 1 1": 48}[cell]
    for tool, result in found.items():
        if (result["distinct"], result["total"]) != (expected, comb(sites, number)):
            print(f"  {tool} is wrong: {result['distinct']} configurations for {result['total']} arrangements")
    return found


def report(name: str, found: dict[str, dict[str, Any]]) -> None:
    ours = [found[f"kalloy, {way}"]["enumeration_s"] for way in ("kernel", "plain")]
    for tool, result in found.items():
        ratios = (
            "" if tool.startswith("kalloy") else " / ".join(f"{result['enumeration_s'] / own:,.0f}" for own in ours)
        )
        costs = f"{result['enumeration_s']:10.4f} s {result['process_s']:7.2f} s {result['peak_MB']:4.0f} MB"
        print(f"{name:18} {tool:16} {result['distinct']:11,} {costs}   {ratios}", flush=True)


def ours(way: str, cell: str, number: int) -> dict[str, Any]:
    """Enumerate with degeneracies, in the compiled kernel or in plain Python."""
    import time

    from kalloy.structures import kernel
    from kalloy.structures.configuration import ConfigurationSpace
    from kalloy.structures.enumeration import orbits
    from kalloy.structures.host import load_host
    from kalloy.structures.substitution import Substitution

    space = ConfigurationSpace(load_host("Cs4PbBr6", cell), [Substitution("Cs", "K", counts=(number,))])
    permutations = space.permutations
    if way == "kernel":
        kernel.library()
    times = []
    for _ in range(1 if cell != "given" else REPEATS):
        distinct = total = 0
        began = time.process_time()
        if way == "kernel":
            for choices, degeneracies in kernel.orbit_batches(permutations, number):
                distinct, total = distinct + len(choices), total + int(degeneracies.sum())
        else:
            for _, degeneracy in orbits(permutations, number):
                distinct, total = distinct + 1, total + degeneracy
        times.append(time.process_time() - began)
    with open("/proc/self/status") as status:  # ru_maxrss would count what the parent had before exec
        peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    return {"distinct": distinct, "total": total, "enumeration_s": min(times), "peak_MB": peak}


def best(command: list[str], repeats: int) -> dict[str, Any]:
    """The run of a driver with the least CPU time, its last line of output being JSON."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL, env=one_thread())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            said = output.read().decode().splitlines()
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
        runs.append({**json.loads(said[-1]), "process_s": usage.ru_utime + usage.ru_stime})
    return min(runs, key=lambda run: run["enumeration_s"])


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def write_host(folder: Path, cell: str) -> Path:
    from kalloy.structures.host import load_host

    path = folder / "POSCAR"
    load_host("Cs4PbBr6", cell).crystal.grouped().to_pymatgen().to(str(path), fmt="poscar")
    return path


if __name__ == "__main__":
    main()
