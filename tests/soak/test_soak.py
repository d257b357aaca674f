"""The soak as CI runs it: a new seed each time, printed by the program itself. ``make soak SEED=N`` repeats one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize("scheduler", ["local", pytest.param("slurm", marks=pytest.mark.scheduler)])
def test_killed_at_random_for_a_while_nothing_is_lost_and_nothing_runs_twice(scheduler: str) -> None:
    if scheduler == "slurm" and (sys.platform != "linux" or os.geteuid() != 0):
        pytest.skip("a private SLURM needs root on Linux")
    words = [sys.executable, "-m", "tests.soak", "--scheduler", scheduler]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, timeout=3000, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sound after" in done.stdout
