"""How fast vasprun.xml is read, as ratios to pymatgen's ``Vasprun`` on the same files in the same run.

    python benchmarks/parsing.py [FOLDER]      # default: ../shared/vasp; OMP_NUM_THREADS=1 for one core

CPU seconds, the best of a few rounds, plain (decompressed) files, both without projections unless said; then peak
memory, each reader in a process of its own, and many folders by a process pool. Ratios above one mean faster
(leaner) than pymatgen.
"""

from __future__ import annotations

import gzip
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# Files in which the density of states, the bands, or the projections are most of the bytes.
DOS_HEAVY = (
    "vise_MgO_dos_4002",
    "doped_CsAgBr3_hse_lm_dos",
    "doped_Cs2AgBr3_hse",
    "sumo_Cs2SnBr6_soc_hybrid_loptics",
    "easyunfold_NaBiS2_80at_43MB",
)
PROJECTION_HEAVY = ("doped_Cs2AgBiBr6_rattled_80at", "quacc_Na12Pd4_45MB_spin")
MANY = 1000


def ours(file: str, projections: bool = False) -> None:
    from kalloy.parsers.vasprun import read_vasprun

    read_vasprun(file, projections)


def theirs(file: str, projections: bool = False) -> None:
    from pymatgen.io.vasp import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Vasprun(file, parse_potcar_file=False, parse_projected_eigen=projections)


def cpu(call: Callable[[], None], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def peak(reader: str, file: str) -> float:
    """MiB that reading a file adds to the peak memory of a process that has the reader imported."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); import parsing; parsing.warm_up(sys.argv[3]);"
        "before = parsing.high_water(); getattr(parsing, sys.argv[3])(sys.argv[1]);"
        "print(parsing.high_water() - before)"
    )
    command = [sys.executable, "-c", script, file, str(Path(__file__).parent), reader]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


def high_water() -> int:
    """Peak memory of this process, KiB; ``getrusage`` would pass on that of the process which started it."""
    match = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match is not None
    return int(match[1])


def warm_up(reader: str) -> None:
    if reader == "ours":
        import kalloy.parsers.vasprun  # noqa: F401
    else:
        import pymatgen.io.vasp  # noqa: F401


def enlarge(text: bytes, target: int) -> bytes:
    """The same calculation with its projections written as often as it takes to reach a size."""
    block = re.search(rb"  <projected>.*?</projected>\n", text, re.DOTALL)
    assert block is not None
    copies = (target - len(text)) // len(block[0]) + 1
    return text[: block.end()] + block[0] * copies + text[block.end() :]


def line(name: str, size: float, mine: float, other: float, unit: str) -> str:
    return f"{name:44s} {size:7.1f} MB {mine:9.3f} {other:9.3f} {unit}   ratio {other / mine:5.1f}"


def unpack(folder: Path, work: Path, name: str) -> Path:
    file = work / f"{name}.xml"
    file.write_bytes(gzip.decompress((folder / name / "vasprun.xml.gz").read_bytes()))
    return file


def dos_heavy(folder: Path, work: Path) -> None:
    print("DOS-heavy: kalloy, pymatgen")
    for name in DOS_HEAVY:
        report(name, unpack(folder, work, name))


def single_files(folder: Path, work: Path) -> None:
    print("projections skipped: kalloy, pymatgen")
    for name in PROJECTION_HEAVY:
        report(name, unpack(folder, work, name))
    big = work / "enlarged.xml"
    big.write_bytes(enlarge((work / f"{PROJECTION_HEAVY[-1]}.xml").read_bytes(), 150_000_000))
    report(f"{PROJECTION_HEAVY[-1]}, enlarged", big)
    print("\nprojections read")
    file = work / f"{PROJECTION_HEAVY[0]}.xml"
    times = [cpu(lambda reader=reader: reader(str(file), True), 1) for reader in (ours, theirs)]
    print(line(PROJECTION_HEAVY[0], file.stat().st_size / 1e6, *times, "s"))
    print("\npeak memory")
    for file in (unpack(folder, work, DOS_HEAVY[-1]), big):
        print(line(file.stem, file.stat().st_size / 1e6, peak("ours", str(file)), peak("theirs", str(file)), "MiB"))


def report(name: str, file: Path) -> None:
    size = file.stat().st_size / 1e6
    rounds = 2 if size > 20 else 4
    print(line(name, size, cpu(lambda: ours(str(file)), rounds), cpu(lambda: theirs(str(file)), rounds), "s"))


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def many_folders(folder: Path, work: Path) -> None:
    """A file of about 3.6 MB read over and over, as by ``kalloy parse`` on many folders; a tenth of it by pymatgen."""
    file = unpack(folder, work, "doped_CsAgBr3_hse_lm_dos")
    results = {}
    for name, reader, count in (("kalloy", ours, MANY), ("pymatgen", theirs, MANY // 10)):
        before, start = children_cpu(), time.perf_counter()
        with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for _ in pool.map(reader, [str(file)] * count, chunksize=8):
                pass
        results[name] = (children_cpu() - before) / count * MANY
        wall = (time.perf_counter() - start) / count * MANY
        print(f"{name:10s} {MANY} files: {results[name]:7.1f} s CPU, {wall:7.1f} s wall")
    print(f"ratio {results['pymatgen'] / results['kalloy']:.1f}")


def command_line(folder: Path) -> None:
    before = children_cpu()
    target = folder / "pmg_CsCl_vdw"
    script = "from kalloy.cli import main; main()"
    subprocess.run([sys.executable, "-c", script, "parse", str(target), "--json"], check=True, capture_output=True)
    print(f"\nkalloy parse, one file of 1.2 MB, all told: {children_cpu() - before:.2f} s CPU")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "vasp"
    if not folder.is_dir() and len(sys.argv) > 1:
        sys.exit(f"{folder}: no such folder of real calculations; give one")
    if not folder.is_dir():
        print("not measured: the real calculations are not beside this clone; name a folder of some")
        return
    from kalloy.parsers import scanner

    for loading, words in ((1 << 60, "plain numpy"), (scanner.LOADING, "with the compiled scanner")):
        scanner.LOADING = loading
        if scanner.library() is None:
            print("no C compiler: no compiled scanner")
            break
        print(f"\n== {words}")
        with tempfile.TemporaryDirectory() as work:
            dos_heavy(folder, Path(work))
    print("\n== all the rest")
    with tempfile.TemporaryDirectory() as work:
        single_files(folder, Path(work))
        command_line(folder)
        print()
        many_folders(folder, Path(work))


if __name__ == "__main__":
    main()
