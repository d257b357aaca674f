"""``kalloy doctor`` on real schedulers: they answer, rehearse a job, refuse a wrong one, and get none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.schedulers.conftest import Cluster

pytestmark = pytest.mark.scheduler


def looked(cluster: Cluster, folder: Path, options: str) -> list[tuple[str, str]]:
    """Marks and words of the scheduler's findings; the folder is as it was."""
    replace(cluster, options=f"options = {{ {options} }}").campaign(folder)
    done = cluster.run("doctor", str(folder), "--json")
    assert sorted(p.name for p in folder.iterdir() if not p.is_dir()) == ["kalloy.toml"], done
    return [(r["mark"], r["words"]) for r in json.loads(done.stdout) if r["subject"] == f"here: {cluster.name}"]


def is_well_and_refuses(cluster: Cluster, tmp_path: Path, good: str, bad: str, said: str) -> None:
    found = looked(cluster, tmp_path / "good", good)
    assert ("ok", f"would take a job with {good.replace(chr(34), '').replace(' = ', '=')}") in found
    assert not [words for mark, words in found if mark == "failure"]
    found = looked(cluster, tmp_path / "bad", bad)
    (failure,) = [words for mark, words in found if mark == "failure"]
    assert said in failure


@pytest.mark.slow
@pytest.mark.xdist_group("slurm")
def test_slurm(slurm: Cluster, tmp_path: Path) -> None:
    said = "refuses a job with partition=nope: invalid partition specified: nope"
    is_well_and_refuses(slurm, tmp_path, 'partition = "debug"', 'partition = "nope"', said)


@pytest.mark.slow
@pytest.mark.xdist_group("sge")
def test_grid_engine(sge: Cluster, tmp_path: Path) -> None:
    is_well_and_refuses(sge, tmp_path, 'queue = "all.q"', 'queue = "nope.q"', 'job requests unknown queue "nope.q"')
