"""sumo's own programs draw the free engine's densities of states and bands; what they draw is what we read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from math import pi
from pathlib import Path

import numpy as np
import pytest

from kalloy.parsers.result import Result, read_result

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.xdist_group("interoperability")]
Sumo = Callable[[Path, str], Path]


@pytest.fixture
def sumo(python_of: Callable[[str], Path], tmp_path: Path) -> Sumo:
    """Run one of its programs in a copy of a calculation; the folder."""

    def run(folder: Path, program: str) -> Path:
        copy = Path(shutil.copytree(folder, tmp_path / folder.name))
        command = [str(python_of("sumo").with_name(program)), "--format", "png", "--dpi", "50"]
        done = subprocess.run(
            command, cwd=copy, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "agg"}, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(list(copy.glob("*.png"))) == 1
        return copy

    return run


def _read(folder: Path) -> tuple[Result, float]:
    """What we read, and the valence band maximum, which is sumo's zero of energy."""
    result = read_result(folder)
    assert result.gap.vbm is not None
    return result, result.gap.vbm.energy


def test_dosplot(moved: Path, sumo: Sumo) -> None:
    result, top = _read(moved)
    assert result.dos is not None
    folder = sumo(moved, "sumo-dosplot")
    energies, total = np.loadtxt(folder / "total_dos.dat", unpack=True)
    np.testing.assert_allclose(energies, result.dos.energies - top, atol=1e-6)
    np.testing.assert_allclose(total, result.dos.total[0], atol=1e-8)
    for element in ("K", "Br"):
        columns = np.loadtxt(folder / f"{element}_dos.dat", unpack=True)[1:]
        ours = [result.dos.of_element(element, shell)[0] for shell in ("s", "p", "d")]
        np.testing.assert_allclose(columns, ours, atol=1e-8)


def test_bandplot(bands: Path, sumo: Sumo) -> None:
    result, top = _read(bands)
    assert result.path is not None
    rows = np.loadtxt(sumo(bands, "sumo-bandplot") / "band.dat")
    table = rows.reshape(-1, len(result.path.kpoints), 2)
    for distances in table[:, :, 0]:
        np.testing.assert_allclose(distances, 2 * pi * result.path.distances(), atol=1e-5)
    np.testing.assert_allclose(table[:, :, 1], result.path.eigenvalues[0].T - top, atol=1e-6)
