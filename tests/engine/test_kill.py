"""A kill at any moment leaves what VASP's kill leaves: whole steps that can be read, and nothing that looks done."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import ParseError
from kalloy.parsers.result import read_result

pytestmark = pytest.mark.engine
TAGS = {"ENCUT": "100", "EDIFF": "1E-4", "IBRION": "2", "ISIF": "2", "NSW": "60", "EDIFFG": "-1E-7"}
"""An endless relaxation whose steps are quick."""


def _killed_at(folder: Path, steps: int, dice: random.Random) -> list[dict[str, bytes]]:
    """Run, take what is in the files at random moments, and kill after some ionic steps and a random while more.

    What stands in a file at a moment is what a kill then would leave: nothing that is not yet written survives one.
    """
    seen: list[dict[str, bytes]] = []
    with (folder / "vasp.out").open("wb") as out:
        command = [sys.executable, "-m", "kalloy.workflows.gpaw_engine.main"]
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
    while process.poll() is None and (folder / "vasp.out").read_bytes().count(b" F= ") < steps:
        time.sleep(dice.uniform(0.01, 0.1))
        now = {n: (folder / n).read_bytes() for n in ("vasprun.xml", "OUTCAR", "OSZICAR") if (folder / n).is_file()}
        if len(now) == 3 and (not seen or now["vasprun.xml"] != seen[-1]["vasprun.xml"]):
            seen.append(now)
    time.sleep(dice.uniform(0.0, 0.5))
    process.kill()
    assert process.wait() == -9, (folder / "vasp.out").read_text()
    return [*seen, {n: (folder / n).read_bytes() for n in ("vasprun.xml", "OUTCAR", "OSZICAR")}]


def test_what_a_kill_leaves(job: Callable[..., Path], kbr: str, tmp_path: Path) -> None:
    folder = job(TAGS, "mesh\n0\nGamma\n1 1 1\n", kbr.replace("0.5 0.5 0.5", "0.46 0.47 0.48"))
    moments = _killed_at(folder, 5, random.Random(7))
    assert len(moments) >= 10
    energies = _energies(moments[-1]["OSZICAR"])
    assert len(energies) >= 5
    for number, files in enumerate(moments):
        here = tmp_path / f"moment{number}"
        here.mkdir()
        for name, content in files.items():
            (here / name).write_bytes(content)
        _looks_killed(here, energies)
    assert (folder / "CONTCAR").is_file()
    assert not (folder / "gpaw.gpw").exists()


def _energies(oszicar: bytes) -> list[float]:
    return [float(line.split()[2]) for line in oszicar.decode().splitlines() if " F= " in line]


def _looks_killed(folder: Path, energies: list[float]) -> None:
    from pymatgen.io.vasp.outputs import Vasprun

    text = (folder / "vasprun.xml").read_text()
    whole = text.count("</calculation>")
    try:
        row = read_result(folder)
    except ParseError:
        assert not whole
        return
    said = row.to_json()
    assert said["complete"] is False
    assert not said["electronic_converged"]
    assert not said["ionic_converged"]
    assert row.vasprun is not None
    closed = [step for step in row.vasprun.steps if step.closed]
    assert len(closed) == whole
    assert [step.energy_free for step in closed] == pytest.approx(energies[:whole], abs=1e-6)
    assert all(step.forces is not None and np.isfinite(step.forces).all() for step in closed)
    if whole:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            partial = Vasprun(folder / "vasprun.xml", parse_potcar_file=False, exception_on_bad_xml=False)
            with pytest.raises(Exception, match=r"no element found|unclosed token|not well-formed|Premature"):
                Vasprun(folder / "vasprun.xml", parse_potcar_file=False)
        assert len(partial.ionic_steps) >= whole
        assert [s["e_fr_energy"] for s in partial.ionic_steps[:whole]] == pytest.approx(energies[:whole], abs=1e-6)
