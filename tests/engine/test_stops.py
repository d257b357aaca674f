"""How a calculation ends before its time: STOPCAR, NELM, a kill, an impossible symmetry."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine
Job = Callable[..., Path]
Engine = Callable[..., subprocess.CompletedProcess[str]]
RELAX = {"IBRION": "2", "ISIF": "3", "NSW": "25", "EDIFFG": "-1E-5", "EDIFF": "1E-4"}
GAMMA = "mesh\n0\nGamma\n1 1 1\n"


def _start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
    with (folder / "vasp.out").open("wb") as out:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)


def _wait_for(process: subprocess.Popen[bytes], folder: Path, name: str, text: str) -> None:
    while process.poll() is None:
        if (folder / name).is_file() and text in (folder / name).read_text(errors="replace"):
            return
        time.sleep(0.02)
    raise AssertionError((folder / "vasp.out").read_text())


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text(errors="replace")


def test_lstop_ends_after_the_ionic_step(job: Job, run_engine: Engine) -> None:
    from pymatgen.io.vasp.outputs import Outcar, Vasprun

    folder = job(RELAX, GAMMA)
    (folder / "STOPCAR").write_text("LSTOP = .TRUE.\n")
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    assert Outcar(folder / "OUTCAR").is_stopped
    assert len(Vasprun(folder / "vasprun.xml", parse_potcar_file=False).ionic_steps) == 1
    assert "reached required accuracy" not in _text(folder, "OUTCAR")
    assert (folder / "STOPCAR").is_file()


def test_labort_ends_after_the_electronic_step(job: Job, run_engine: Engine) -> None:
    folder = job(RELAX, GAMMA)
    (folder / "STOPCAR").write_text("LABORT = .TRUE.\n")
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    assert _text(folder, "OSZICAR").count("PCG:") == 1
    assert "hard stop encountered" in _text(folder, "OUTCAR")
    assert "</modeling>" not in _text(folder, "vasprun.xml")


def test_a_kill_leaves_a_truncated_vasprun(job: Job) -> None:
    import numpy as np
    from pymatgen.io.vasp.outputs import Vasprun

    folder = job(RELAX, GAMMA)
    process = _start(folder)
    _wait_for(process, folder, "OSZICAR", "   1 F=")
    _wait_for(process, folder, "vasprun.xml", "</calculation>")
    process.kill()
    process.wait()
    assert "</modeling>" not in _text(folder, "vasprun.xml")
    with pytest.warns(UserWarning, match="XML is malformed"):
        partial = Vasprun(folder / "vasprun.xml", parse_potcar_file=False, exception_on_bad_xml=False)
    assert len(partial.ionic_steps) >= 1
    assert np.isfinite(partial.ionic_steps[0]["e_0_energy"])
    assert (folder / "CONTCAR").is_file()


def test_nelm_reached_is_told_and_carried_on_from(job: Job, run_engine: Engine) -> None:
    from pymatgen.io.vasp.outputs import Vasprun

    folder = job({"NELM": "3", "NSW": "0"}, GAMMA)
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    with pytest.warns(Warning, match="Electronic convergence reached: False"):
        vasprun = Vasprun(folder / "vasprun.xml", parse_potcar_file=False)
    assert len(vasprun.ionic_steps[0]["electronic_steps"]) == 3
    assert len(vasprun.ionic_steps[0]["forces"]) == 2
    assert "NELM is reached" in _text(folder, "OUTCAR")


def test_nsw_reached_is_no_convergence(job: Job, run_engine: Engine) -> None:
    folder = job({**RELAX, "NSW": "2"}, GAMMA)
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    assert "reached required accuracy" not in _text(folder, "OUTCAR") + run.stdout
    assert "</modeling>" in _text(folder, "vasprun.xml")


def test_unconverged_bands_are_an_error(static: Path, job: Job, run_engine: Engine) -> None:
    folder = job({"ICHARG": "11", "NSW": "0", "NELM": "2"}, "p\n2\nLine_mode\nReciprocal\n0 0 0 G\n0.1 0 0.3 Y\n")
    (folder / "gpaw.gpw").write_bytes((static / "gpaw.gpw").read_bytes())
    run = run_engine(folder)
    assert run.returncode == 1
    assert "NELM" in run.stderr
    assert "</modeling>" not in _text(folder, "vasprun.xml")


@pytest.mark.parametrize(
    ("change", "word"), [({"ENCUT": "200"}, "ENCUT"), ({"ISPIN": "2"}, "ISPIN"), ({}, "another structure")]
)
def test_density_of_something_else_is_refused(
    static: Path, job: Job, change: dict[str, str], word: str, run_engine: Engine
) -> None:
    folder = job({"ICHARG": "11", "NSW": "0", **change}, GAMMA)
    (folder / "gpaw.gpw").write_bytes((static / "gpaw.gpw").read_bytes())
    if not change:
        text = (folder / "POSCAR").read_text()
        (folder / "POSCAR").write_text(text.replace("0.5 0.5 0.5", "0.5 0.5 0.51"))
    run = run_engine(folder)
    assert run.returncode == 2
    assert word in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (folder / "vasprun.xml").exists()


@pytest.mark.parametrize("isif", ["2", "4", "7"])
def test_a_relaxation_changes_what_isif_frees(job: Job, run_engine: Engine, kbr: str, isif: str) -> None:
    import numpy as np
    from pymatgen.core import Structure
    from pymatgen.io.vasp.outputs import Xdatcar

    tags = {"ENCUT": "100", "EDIFF": "1E-4", "IBRION": "2", "ISIF": isif, "NSW": "3", "EDIFFG": "-1E-6"}
    start = kbr.replace("3.35 3.35 0.0", "3.30 3.30 0.02").replace("0.5 0.5 0.5", "0.48 0.49 0.5")
    folder = job(tags, GAMMA, start)
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    before, after = Structure.from_file(folder / "POSCAR"), Structure.from_file(folder / "CONTCAR")
    moved = after.frac_coords - before.frac_coords
    apart = np.abs((moved - np.round(moved)) - (moved - np.round(moved))[0]).max()
    cells = [s.lattice.matrix / s.volume ** (1 / 3) for s in (before, after)]
    shapes = [cell @ cell.T for cell in cells]
    assert (apart > 1e-4) == (isif in "24")
    assert (abs(after.volume / before.volume - 1) > 1e-4) == (isif == "7")
    assert (np.abs(shapes[1] - shapes[0]).max() > 1e-4) == (isif == "4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structures = Xdatcar(folder / "XDATCAR").structures
        gc.collect()  # pymatgen leaves the file open
    assert len(structures) == 3  # CONTCAR is the one that would come next
    assert structures[0].lattice.volume == pytest.approx(before.volume, rel=1e-5)


def test_a_mesh_that_breaks_the_symmetry_keeps_its_own_group_and_says_so(
    job: Job, run_engine: Engine, kbr: str
) -> None:
    """2x2x1 on a cubic lattice: 12 of the 48 operations are left, and OUTCAR and vasprun.xml tell it."""
    import numpy as np

    from kalloy.parsers.result import read_result

    folder = job({"NSW": "0", "ENCUT": "100", "EDIFF": "1", "NELM": "2"}, "m\n0\nGamma\n2 2 1\n")
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    note = "the k-mesh breaks 40 of the crystal's operations"
    assert note in _text(folder, "OUTCAR")
    assert "8 operations of crystal and k-points are used" in _text(folder, "OUTCAR")
    vasprun = read_result(folder).vasprun
    assert vasprun is not None
    assert any(note in difference for difference in vasprun.header.differences)
    assert vasprun.kpoints is not None
    np.testing.assert_allclose(sorted(vasprun.kpoints.weights), [0.25, 0.25, 0.5])


def test_too_few_bands_are_refused(job: Job, run_engine: Engine) -> None:
    folder = job({"NSW": "0", "NBANDS": "7"})
    run = run_engine(folder)
    assert run.returncode == 2
    assert "NBANDS = 7 holds 14 electrons, and the cell has 16" in run.stderr
    assert not (folder / "vasprun.xml").exists()
