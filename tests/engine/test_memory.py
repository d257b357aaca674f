"""Memory: what is estimated against what is used, and what cannot fit is refused before it starts."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from kalloy.errors import VaspInputError
from kalloy.workflows.gpaw_engine.memory import (
    MIB,
    Memory,
    _cgroup_files,
    estimate,
    machine_limits,
    plane_waves,
    require,
)

pytestmark = pytest.mark.engine
Job = Callable[..., Path]

CUBE = """KBr
1.0
6.7 0 0
0 6.7 0
0 0 6.7
K Br
4 4
Direct
0 0 0
0 0.5 0.5
0.5 0 0.5
0.5 0.5 0
0.5 0.5 0.5
0.5 0 0
0 0.5 0
0 0 0.5
"""
SMALL = Memory(base=100 * MIB, waves=MIB, work=MIB, projectors=MIB, grids=MIB, plane_waves=100, processes=1)


def test_plane_waves_are_those_of_the_sphere() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    reciprocal = 2 * np.pi * np.array(atoms.cell.reciprocal())
    axis = np.arange(-20, 21)
    waves = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3) @ reciprocal
    inside = 3.80998 * (waves**2).sum(axis=1) < 300
    assert plane_waves(atoms, 300) == pytest.approx(inside.sum(), rel=0.03)


def test_memory_grows_with_what_is_held() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)

    def of(kpoints: int, spins: int = 1, gamma: bool = False, **groups: int) -> Memory:
        return estimate(atoms, 300.0, (30, 30, 30), 40, kpoints, spins, gamma, {"kpt": 1, "domain": 1, **groups})

    assert of(8).waves == 8 * of(1).waves == 4 * of(1, spins=2).waves
    assert of(1, gamma=True).waves == of(1).waves // 2
    assert of(8, kpt=4).waves == of(2).waves
    assert of(8, domain=4).waves == of(2).waves
    assert of(1).plane_waves * 40 * 16 == of(1).waves
    assert of(8, kpt=2).total == 2 * of(8, kpt=2).each


@pytest.mark.parametrize(("kpoints", "encut"), [("1 1 1", "300"), pytest.param("2 2 2", "250", marks=pytest.mark.slow)])
def test_the_estimate_is_near_the_peak(
    job: Job, run_engine: Callable[..., subprocess.CompletedProcess[str]], kpoints: str, encut: str
) -> None:
    """Within a factor of 1.5 either way, and of 2 for what the calculation itself adds to the program."""
    tags = {"NSW": "0", "ENCUT": encut, "EDIFF": "1", "NELM": "3", "NBANDS": "60"}
    folder = job(tags, f"m\n0\nGamma\n{kpoints}\n", CUBE.replace("0.5 0.5 0.5", "0.5 0.51 0.52"))
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    text = (folder / "OUTCAR").read_text()
    peak = _figure(r"Maximum memory used \(kb\): *([\d.]+)", text) / 1024
    told = _figure(r"each process +: *([\d.]+) MiB", text)
    base = _figure(r"program +: *([\d.]+) MiB", text)
    assert _figure(r"estimated memory: (\d+) MiB", run.stdout) == pytest.approx(told, abs=0.6)
    assert told / 1.5 < peak < told * 1.5
    assert (told - base) / 2 < peak - base < (told - base) * 2


def _figure(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found
    return float(found.group(1))


def test_what_cannot_fit_is_refused() -> None:
    require(SMALL, limits={"the machine": 200 * MIB})
    with pytest.raises(VaspInputError, match=r"about 104 MiB of memory.*ulimit -v allows 50 MiB"):
        require(SMALL, limits={"the machine": 200 * MIB, "ulimit -v": 50 * MIB})
    with pytest.raises(VaspInputError, match="about 208 MiB"):
        require(replace(SMALL, processes=2), limits={"the machine": 200 * MIB})
    require(replace(SMALL, processes=2), 1, {"the machine": 200 * MIB})  # the other one is elsewhere


def test_the_machines_limits_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (300 * MIB, 300 * MIB))
    limits = machine_limits(2)
    assert limits["ulimit -v"] == 600 * MIB
    assert limits["the machine"] > 600 * MIB


def test_control_groups_bound_what_is_inside_them(tmp_path: Path) -> None:
    inner = tmp_path / "cgroup" / "batch" / "job7"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text("1073741824\n")
    table = tmp_path / "table"
    table.write_text("0::/batch/job7\n")
    assert _cgroup_files(tmp_path / "cgroup", table) == [inner / "memory.max", inner.parent / "memory.max"]
    old = tmp_path / "cgroup" / "memory" / "slurm"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("5\n")
    table.write_text("4:memory:/slurm\n3:cpu:/slurm\n")
    assert _cgroup_files(tmp_path / "cgroup", table) == [old / "memory.limit_in_bytes"]


def test_a_calculation_beyond_ulimit_ends_before_it_begins(job: Job) -> None:
    """A mesh of 64 points without symmetry under 3 GiB of address space."""
    folder = job({"NSW": "0", "ENCUT": "900", "ISYM": "-1", "NBANDS": "200"}, "m\n0\nGamma\n8 8 8\n", CUBE)
    gigabytes = 3 * 1024**3
    run = subprocess.run(
        [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"],
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (gigabytes, gigabytes)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "ulimit -v allows 3072 MiB" in run.stderr
    assert "fewer k-points" in run.stderr
    assert not (folder / "vasprun.xml").exists()
