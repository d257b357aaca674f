"""A campaign of the stand-in engine while driver, jobs and scheduler are killed at random, and its proof afterwards.

    python -m tests.soak                             # SLURM, 201 configurations, a new seed
    python -m tests.soak --scheduler local --seed 7

It prints its seed first; the same seed draws the same faults, which meet the campaign at about the same moments.
Whatever the seed, the outcome is the same: nothing lost, nothing run twice, the table of the undisturbed campaign.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tests.soak.faults import Saboteur
from tests.soak.proof import Table, prove, table
from tests.soak.setting import CONFIGURATIONS, Setting, new_setting
from tests.soak.slurm import Slurm, private_slurm

SIZES = {"slurm": (3, 4, 5, 7), "local": (3, 4)}
"""Contents that are computed: on this machine every attempt is a process of its own."""
MOST_RUNS = 12
"""Times that ``kalloy run`` may be typed after the last fault; each ends by itself."""


def main(words: Sequence[str] | None = None) -> int:
    """Soak once, or as often as asked."""
    asked = _parser().parse_args(words)
    first = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    seeds = range(first, first + asked.times)
    print(f"soak: seed {', '.join(map(str, seeds))}", flush=True)
    site = private_slurm() if asked.scheduler == "slurm" else nullcontext()
    with _folder(asked.keep) as folder, site as slurm:
        expected = undisturbed(folder, slurm)
        for seed in seeds:
            soak(folder / str(seed), slurm, seed, asked.seconds, expected)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scheduler", choices=list(SIZES), default="slurm")
    parser.add_argument("--seed", type=int, help="of the faults; a new one unless given")
    parser.add_argument("--times", type=int, default=1, help="so many seeds one after another")
    parser.add_argument("--seconds", type=float, default=200.0, help="how long it is disturbed at most")
    parser.add_argument("--keep", type=Path, help="a folder for the campaigns, which stay there")
    return parser


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="kalloy-soak-") as made:
        yield Path(made)


def soak(folder: Path, slurm: Slurm | None, seed: int, seconds: float, expected: Table) -> None:
    """One campaign, disturbed and proved.

    Parameters
    ----------
    slurm : the scheduler; None for this machine alone.
    expected : the table of the campaign left alone.

    Raises
    ------
    AssertionError
        With the seed, where the proof fails.
    """
    site, environment = _site(slurm)
    counts = SIZES[site]
    print(f"seed {seed}, {site}: {sum(CONFIGURATIONS[n] for n in counts)} configurations", flush=True)
    # A name that shells, schedulers and formats stumble over.
    setting = new_setting(folder / "it's %j ä $x", site, counts, pack=4, at_once=4, environment=environment)
    saboteur = Saboteur(setting, random.Random(seed), slurm, folder / "drivers.log")
    saboteur.disturb(seconds)
    _finish(setting, saboteur, slurm)
    for line in prove(setting, expected):
        print(f"  {line}")
    faults = ", ".join(f"{number} × {name}" for name, number in saboteur.done.most_common())
    print(f"seed {seed}: sound after {sum(saboteur.done.values())} faults ({faults})", flush=True)


def _finish(setting: Setting, saboteur: Saboteur, slurm: Slurm | None) -> None:
    """As a person would: typed again until it is done, what failed with its engine once more."""
    if slurm:
        slurm.up()
    for _ in range(MOST_RUNS):
        done = setting.run("run", "--retry-failed", timeout=600)
        with saboteur.log.open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode == 0:
            return
        assert done.returncode == 1, done
    raise AssertionError(f"not done after {MOST_RUNS} runs: {saboteur.said()}")


def undisturbed(folder: Path, slurm: Slurm | None) -> Table:
    """The table of the same campaign left alone."""
    began = time.monotonic()
    site, environment = _site(slurm)
    setting = new_setting(folder / "undisturbed", site, SIZES[site], pack=25, at_once=3, environment=environment)
    done = setting.run("run", timeout=1200)
    assert done.returncode == 0, done
    print(f"the undisturbed campaign took {time.monotonic() - began:.0f} s", flush=True)
    return table(setting)


def _site(slurm: Slurm | None) -> tuple[str, dict[str, str]]:
    return ("slurm", slurm.environment) if slurm else ("local", dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
