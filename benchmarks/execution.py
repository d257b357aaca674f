"""What `kalloy execute` costs beside the engine that it runs: the stand-in engine under it and by itself.

    python benchmarks/execution.py [ROUNDS]      # OMP_NUM_THREADS=1 for one core

CPU seconds of a whole process and everything that it starts, less the bare engine's on the same inputs in the same
run; the best of a few rounds (default 3).
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

STANDIN = Path(__file__).resolve().parent.parent / "tests" / "standin_engine.py"
MANY = 10
ERROR = "Error EDDDAV: Call to ZHEGV failed"
SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "primitive"
[[substitution]]
replace = "Cs"
with = "K"
count = [1]
[calculation]
preset = "laptop"
engine = "{engine}"
[[step]]
stages = ["relax"]
[site.local]
commands = {{ gpaw = "{command}", std = "{command}" }}
"""


def written(folder: Path, engine: str, count: int) -> list[Path]:
    """So many attempts of one relaxation."""
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.stage import Stage
    from kalloy.workflows.inputs.writing import write_attempt

    folder.mkdir()
    (folder / "kalloy.toml").write_text(SPEC.format(engine=engine, command=f"{sys.executable} {STANDIN}"))
    campaign = Campaign(folder)
    found = [write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX).folder for _ in range(count)]
    for attempt in found if engine == "vasp" else ():
        (attempt / "POTCAR").write_text(potcar())
    return found


def potcar() -> str:
    """Enough of one for pymatgen, whose reading of it belongs to a correction."""
    sys.path.insert(0, str(STANDIN.parent))
    import standin_potcars

    names = ("Cs_sv", "K_sv", "Pb_d", "Br")
    return "".join(standin_potcars.potcar(name, *standin_potcars.DATASETS[name]) for name in names)


def cpu(command: list[str], folder: Path, **env: str) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def overhead(engine: str, count: int, **env: str) -> float:
    """CPU seconds an attempt, less the engine's: of one process that runs so many."""
    with tempfile.TemporaryDirectory() as temporary:
        attempts = written(Path(temporary) / "campaign", engine, count)
        bare = Path(temporary) / "campaign" / "bare" / "x" / "relax" / "a01"
        shutil.copytree(attempts[0], bare)
        runs = 2 if env else 1  # a corrected engine is started twice
        own = cpu([sys.executable, str(STANDIN)], bare)
        kalloy = [sys.executable, "-m", "kalloy", "execute", *map(str, attempts)]
        return cpu(kalloy, bare, **env) / count - runs * own


def best(rounds: int, measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(rounds))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cure = {"STANDIN_FAIL": "K1/c2/relax", "STANDIN_SAYS": ERROR, "STANDIN_CURE": "ALGO = All"}
    cases: dict[str, Callable[[], float]] = {
        "kalloy-gpaw's files, one attempt": lambda: overhead("gpaw", 1),
        f"kalloy-gpaw's files, {MANY} attempts in one job": lambda: overhead("gpaw", MANY),
        "VASP's, one attempt": lambda: overhead("vasp", 1),
        f"VASP's, {MANY} attempts in one job": lambda: overhead("vasp", MANY),
        "VASP's, one attempt that custodian corrects": lambda: overhead("vasp", 1, **cure),
    }
    for name, measure in cases.items():
        print(f"{name:48s} {best(rounds, measure):6.2f} CPU s an attempt", flush=True)


if __name__ == "__main__":
    main()
