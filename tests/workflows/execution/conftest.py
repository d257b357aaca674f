"""What tests of the compute node share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def in_namespace() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a shell script that may mount, seen by nobody else."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["unshare", "-rm", "bash", "-euc", script], capture_output=True, text=True, check=False)

    if not shutil.which("unshare") or run("mount -t tmpfs none /mnt").returncode:
        pytest.skip("mounting is not permitted here")
    return run
