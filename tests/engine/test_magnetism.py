"""A real magnet, bcc iron, from its eigenvalues to what others read of it."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.parsers.result import read_result

pytestmark = pytest.mark.engine

IRON = "Fe\n2.83\n-0.5 0.5 0.5\n0.5 -0.5 0.5\n0.5 0.5 -0.5\nFe\n1\nDirect\n0 0 0\n"
PUBLISHED = 2.20
"""Bohr magnetons; PBE with PAW, G. Kresse and D. Joubert, Phys. Rev. B 59, 1758 (1999), table V."""


@pytest.fixture(scope="module")
def iron(
    tmp_path_factory: pytest.TempPathFactory,
    run_engine: Callable[..., subprocess.CompletedProcess[str]],
    write: Callable[..., Path],
) -> Path:
    tags = {"ISPIN": "2", "MAGMOM": "2.5", "ISMEAR": "1", "SIGMA": "0.2", "ENCUT": "250", "NSW": "0", "LORBIT": "11"}
    folder = write(tmp_path_factory.mktemp("iron") / "static", tags, "m\n0\nGamma\n6 6 6\n", IRON)
    run = run_engine(folder)
    assert run.returncode == 0, run.stderr
    return folder


def _vasprun(folder: Path) -> Any:
    from pymatgen.io.vasp.outputs import Vasprun

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Vasprun(folder / "vasprun.xml", parse_potcar_file=False)


def test_the_moment_is_the_published_one(iron: Path) -> None:
    """On a mesh of 16 points; from the difference of the channels' electrons, and as OSZICAR and OUTCAR say it."""
    from pymatgen.electronic_structure.core import Spin
    from pymatgen.io.vasp.outputs import Oszicar, Outcar

    run = _vasprun(iron)
    weights = np.array(run.actual_kpoints_weights)
    up, down = (np.einsum("k,kn->", weights, run.eigenvalues[s][..., 1]) for s in (Spin.up, Spin.down))
    assert up + down == pytest.approx(run.parameters["NELECT"], abs=1e-4)
    moment = up - down
    assert moment == pytest.approx(PUBLISHED, abs=0.1)
    assert Oszicar(iron / "OSZICAR").ionic_steps[-1]["mag"] == pytest.approx(moment, abs=2e-3)
    outcar = Outcar(iron / "OUTCAR")
    assert outcar.total_mag == pytest.approx(moment, abs=2e-3)
    (atom,) = outcar.magnetization
    assert atom["d"] == pytest.approx(moment, abs=0.25)  # nearly all of it lies in d, inside the sphere
    assert atom["tot"] == pytest.approx(atom["s"] + atom["p"] + atom["d"], abs=2e-3)


def test_both_channels_are_read(iron: Path) -> None:
    result = read_result(iron)
    assert result.mesh is not None
    assert result.mesh.eigenvalues.shape[0] == 2
    assert result.gap.metal is True
    assert result.dos is not None
    assert result.dos.total.shape[0] == 2
    assert result.convergence.electronic is True
    run = _vasprun(iron)
    assert run.is_spin
    for ours, theirs in zip(result.dos.total, run.tdos.densities.values(), strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_iron_is_bound_by_exchange(iron: Path) -> None:
    """The d states of the majority lie about 2 eV below the others: band by band, averaged over the zone."""
    result = read_result(iron)
    assert result.mesh is not None
    up, down = result.mesh.sorted()
    split = float((down[:, 1:6] - up[:, 1:6]).mean())
    assert 1.2 < split < 2.8
