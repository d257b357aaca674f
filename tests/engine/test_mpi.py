"""Several processes: how work is shared out, and the same numbers as one process finds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.errors import EngineMissingError
from kalloy.workflows.gpaw_engine.workers import is_first, launched, parts, shares

pytestmark = pytest.mark.engine
Job = Callable[..., Path]


@given(tasks=st.integers(1, 200), processes=st.integers(1, 128))
def test_every_process_has_its_share(tasks: int, processes: int) -> None:
    """k-points first, as far as they go round; each group has some, and every process is in one."""
    found = shares(tasks, processes)
    assert found["kpt"] * found["domain"] == processes
    assert found["kpt"] <= tasks
    assert found["band"] == 1
    better = [n for n in range(found["kpt"] + 1, processes + 1) if processes % n == 0 and n <= tasks]
    assert not better


@given(tasks=st.integers(0, 200), processes=st.integers(1, 128))
def test_a_walk_is_divided_in_its_order(tasks: int, processes: int) -> None:
    found = parts(tasks, processes)
    assert [task for part in found for task in part] == list(range(tasks))
    assert len(found) == processes
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_a_k_point_is_shared_only_where_gpaw_can() -> None:
    assert shares(3, 6, is_divisible=True) == {"kpt": 3, "domain": 2, "band": 1}
    assert shares(8, 6, is_divisible=False)["domain"] == 1
    with pytest.raises(EngineMissingError, match="start 3 processes or fewer"):
        shares(3, 6, is_divisible=False)


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"PMI_SIZE": "4"}, True),
        ({"PMIX_RANK": "3"}, True),
    ],
)
def test_launchers_are_known(environment: dict[str, str], several: bool) -> None:
    assert launched(environment) is several
    assert is_first(environment) is (environment.get("PMIX_RANK") != "3")


def _has_mpi() -> bool:
    from gpaw import cgpaw

    return bool(cgpaw.have_mpi)


def _mpirun() -> str | None:
    return shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_a_gpaw_without_mpi_says_so(job: Job) -> None:
    if _has_mpi():
        pytest.skip("this GPAW is built with MPI")
    folder = job({"NSW": "0"})
    run = subprocess.run(
        [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"],
        cwd=folder,
        env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "built without MPI" in run.stderr
    assert not (folder / "vasprun.xml").exists()


def test_one_process_of_a_launcher_is_one_without(job: Job) -> None:
    """srun and mpirun -n 1 leave their marks in the environment, at which GPAW alone would stop."""
    folder = job({"NSW": "0", "ENCUT": "100", "EDIFF": "1", "NELM": "2"}, "g\n0\nGamma\n1 1 1\n")
    run = subprocess.run(
        [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"],
        cwd=folder,
        env={**os.environ, "PMI_SIZE": "1", "PMIX_RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(" running on    1 total cores")


def _computed(folder: Path, processes: int) -> Any:
    from pymatgen.io.vasp.outputs import Vasprun

    command = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if processes > 1:
        command = [str(_mpirun()), "--oversubscribe", "-n", str(processes), *command]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, **allowed}, capture_output=True, text=True, check=False, timeout=900
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(f" running on {processes:4d} total cores")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Vasprun(folder / "vasprun.xml", parse_potcar_file=False, parse_projected_eigen=True)


def _same(ours: Any, theirs: Any) -> None:
    """At one geometry energies to 1e-6 eV, forces to 1e-4 eV/Å, stresses to 0.01 kB; steps later follow those forces.

    Eigenvalues to 1e-3 eV and projections to 1e-3, of the last geometry.
    """
    from pymatgen.electronic_structure.core import Spin

    assert len(ours.ionic_steps) == len(theirs.ionic_steps)
    for number, (one, other) in enumerate(zip(ours.ionic_steps, theirs.ionic_steps, strict=True)):
        assert one["e_fr_energy"] == pytest.approx(other["e_fr_energy"], abs=1e-4 if number else 1e-6)
        np.testing.assert_allclose(one["forces"], other["forces"], atol=1e-3 if number else 1e-4)
        np.testing.assert_allclose(one["stress"], other["stress"], atol=1e-1 if number else 1e-2)
    filled = theirs.eigenvalues[Spin.up][..., 1] > 0.5
    np.testing.assert_allclose(ours.eigenvalues[Spin.up][filled], theirs.eigenvalues[Spin.up][filled], atol=1e-3)
    sums = [run.projected_eigenvalues[Spin.up][filled].sum(axis=(0, 1)) for run in (ours, theirs)]
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-3)


def _needs(scalapack: bool) -> None:
    from gpaw.utilities import compiled_with_sl

    if not _has_mpi() or _mpirun() is None:
        pytest.skip("this GPAW is built without MPI (make mpi)")
    if scalapack and not compiled_with_sl():
        pytest.skip("this GPAW is built without ScaLAPACK, without which no k-point can be shared")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mesh", "processes", "shared"), [("2 2 2", 2, False), ("2 2 2", 4, False), ("1 1 1", 2, True)]
)
def test_several_processes_find_what_one_finds(job: Job, kbr: str, mesh: str, processes: int, shared: bool) -> None:
    """k-points divided among processes, each k-point for itself, and one k-point shared."""
    _needs(scalapack=shared)
    tags = {"NSW": "2", "IBRION": "2", "ISIF": "3", "LORBIT": "11", "EDIFF": "1E-8", "ENCUT": "120"}
    poscar = kbr.replace("0.5 0.5 0.5", "0.48 0.48 0.48")
    kpoints = f"mesh\n0\nGamma\n{mesh}\n"
    one = _computed(job(tags, kpoints, poscar, name="one"), 1)
    _same(_computed(job(tags, kpoints, poscar, name="several"), processes), one)


@pytest.mark.slow
@pytest.mark.parametrize("weightless", [1, 3])
def test_points_without_weight_are_walked_by_several(job: Job, weightless: int) -> None:
    """Of two processes with one point of weight zero one has none."""
    _needs(scalapack=False)
    counted = ["0 0 0 1", "0.5 0 0 4", "0.5 0.5 0 3"]
    others = ["0.25 0 0.25 0", "0.1 0.1 0.3 0", "0.5 0 0 0"][:weightless]
    kpoints = "\n".join(["list", str(len(counted + others)), "Reciprocal", *counted, *others]) + "\n"
    tags = {"NSW": "0", "ENCUT": "120", "EDIFF": "1E-9", "LORBIT": "11", "LCHARG": ".FALSE."}
    folders = [job(tags, kpoints, name=name) for name in ("one", "two")]
    one, two = (_computed(folder, n) for n, folder in enumerate(folders, start=1))
    _same(two, one)
    assert {p.name for p in folders[0].iterdir()} == {p.name for p in folders[1].iterdir()}


@pytest.mark.slow
def test_an_error_of_one_process_ends_all(job: Job) -> None:
    """A folder that cannot be written to ends the run at once instead of leaving the others waiting."""
    _needs(scalapack=False)
    folder = job({"NSW": "0", "ENCUT": "100"})
    (folder / "OSZICAR").mkdir()
    with pytest.raises(AssertionError, match="IsADirectoryError"):
        _computed(folder, 2)


@pytest.mark.slow
def test_more_processes_than_k_points_are_refused_in_one_sentence(job: Job) -> None:
    from gpaw.utilities import compiled_with_sl

    _needs(scalapack=False)
    if compiled_with_sl():
        pytest.skip("this GPAW can share a k-point")
    folder = job({"NSW": "0", "ENCUT": "100"}, "g\n0\nGamma\n1 1 1\n")
    with pytest.raises(AssertionError, match="2 processes were started for 1 k-points"):
        _computed(folder, 2)
    assert not (folder / "vasprun.xml").exists()


LINES = "path\n3\nLine_mode\nReciprocal\n0 0 0 A\n0.5 0 0.5 X\n"
MESH = "mesh\n0\nGamma\n2 2 2\n"
KEPT = {"ICHARG": "11", "NSW": "0", "NBANDS": "12", "EDIFF": "1E-13", "LORBIT": "11", "NEDOS": "301"}
SOC = {"LSORBIT": ".TRUE.", "NBANDS": "24", "MAGMOM": "6*0"}
OPTICS = {"LOPTICS": ".TRUE.", "NELM": "1", "ALGO": "Exact", "CSHIFT": "0.2", "OMEGAMAX": "20", "EDIFF": "1E-10"}


def _kept(job: Job, static: Path, tags: dict[str, str], kpoints: str, name: str) -> Path:
    folder = job({**KEPT, **tags}, kpoints, name=name)
    shutil.copy(static / "gpaw.gpw", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tags", "kpoints"),
    [({}, MESH), ({}, LINES), (SOC, MESH), (OPTICS, MESH)],
    ids=["dos", "bands", "soc", "optics"],
)
def test_two_processes_walk_as_one(job: Job, static: Path, tags: dict[str, str], kpoints: str) -> None:
    """Eigenvalues of full bands to 1e-6 eV, their projections, and spectra: each part of a list has its own start."""
    from pymatgen.electronic_structure.core import Spin

    _needs(scalapack=False)
    folders = [_kept(job, static, tags, kpoints, name) for name in ("one", "two")]
    one, two = (_computed(folder, n) for n, folder in enumerate(folders, start=1))
    full = one.eigenvalues[Spin.up][..., 1] > 0.5
    assert full.any()
    assert one.actual_kpoints == two.actual_kpoints
    np.testing.assert_allclose(two.eigenvalues[Spin.up][full], one.eigenvalues[Spin.up][full], atol=1e-6)
    sums = [run.projected_eigenvalues[Spin.up][full].sum(axis=0) for run in (two, one)]
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-3)  # each is written with four decimals
    if "LOPTICS" in tags:
        np.testing.assert_allclose(two.dielectric[1], one.dielectric[1], atol=1e-3)
    assert {p.name for p in folders[0].iterdir()} == {p.name for p in folders[1].iterdir()}


@pytest.mark.slow
def test_a_walk_of_two_processes_ends_as_one(job: Job, static: Path) -> None:
    """Too few iterations, too few k-points: one sentence; LABORT: no error."""
    _needs(scalapack=False)
    with pytest.raises(AssertionError, match="did not converge in 2 steps"):
        _computed(_kept(job, static, {"NELM": "2"}, MESH, "few"), 2)
    with pytest.raises(AssertionError, match="2 processes were started for 1 k-points"):
        _computed(_kept(job, static, {}, "g\n0\nGamma\n1 1 1\n", "gamma"), 2)
    stopped = _kept(job, static, {}, MESH, "stopped")
    (stopped / "STOPCAR").write_text("LABORT = .TRUE.\n")
    with pytest.raises(SyntaxError, match=r"Premature end of data|no element found"):
        _computed(stopped, 2)
    assert "hard stop" in (stopped / "OUTCAR").read_text()
