"""What tests of the compute node share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def in_namespace() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a shell script that may mount, seen by nobody else, and that has no network."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["unshare", "-rmn", "bash", "-euc", script], capture_output=True, text=True, check=False)

    if not shutil.which("unshare") or run("mount -t tmpfs none /mnt").returncode:
        pytest.skip("mounts and networks of its own are not permitted here")
    return run
