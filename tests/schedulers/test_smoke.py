"""One array on each real scheduler: submitted, watched, done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.files import read_json

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = pytest.mark.scheduler


def is_done_once(cluster: Cluster, folder: Path) -> None:
    campaign = cluster.campaign(folder)
    dry = cluster.run("submit", "--dry-run", str(folder))
    assert "nothing is written or submitted" in dry.stdout
    assert not campaign.batches.exists()
    first = cluster.run("submit", str(folder))
    assert first.returncode == 3, first
    (batch,) = campaign.batches.iterdir()
    assert f"batch {batch.name}: 3 jobs as {cluster.name}" in first.stdout
    assert [len(entry) for entry in read_json(batch / "manifest.json")["attempts"]] == [2, 2, 2]
    campaign.index_file.unlink(missing_ok=True)
    done = cluster.run("run", str(folder))
    assert done.returncode == 0, done
    states = json.loads(cluster.run("status", "--json", str(folder)).stdout)
    assert {s["state"] for s in states} == {"done"}
    runs = [line.split()[1] for line in (folder / "ledger").read_text().splitlines() if line.startswith("start")]
    assert len(runs) == len(set(runs)) == 6
    assert len(list(campaign.batches.iterdir())) == 1


@pytest.mark.xdist_group("slurm")
def test_slurm(slurm: Cluster, tmp_path: Path) -> None:
    is_done_once(slurm, tmp_path / "a folder")


@pytest.mark.xdist_group("sge")
def test_grid_engine(sge: Cluster, tmp_path: Path) -> None:
    is_done_once(sge, tmp_path / "a folder")
