"""A machine that shows no processes, as a bare chroot does: nothing is started, and nobody is called dead."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.campaign import Campaign

Copy = Callable[[str, Path], Campaign]
UNSEEN = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]


def _unseen(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*UNSEEN, *map(str, words)], capture_output=True, text=True, check=False)


def test_nothing_is_started_where_no_process_can_be_seen(copy_of: Copy, tmp_path: Path, kalloy: str) -> None:
    if (tried := _unseen("true")).returncode:
        pytest.skip(f"this machine lets nobody hide its processes: {tried.stderr.strip()}")
    campaign = copy_of("written", tmp_path / "c").root
    before = sorted(campaign.rglob("*"))
    done = _unseen(kalloy, "run", campaign)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no process can be seen under /proc" in done.stderr
    assert "mount -t proc proc /proc" in done.stderr
    assert sorted(campaign.rglob("*")) == before
    examined = _unseen(kalloy, "doctor", campaign)
    assert "none can be seen under /proc" in examined.stdout
