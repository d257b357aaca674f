"""k-points one after another: where a walk begins and which way it goes changes nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.engine

FULL, CONVERGED = 8, 10

Walks = tuple[dict[str, NDArray[np.float64]], str]


@pytest.fixture(scope="module")
def walks(
    static: Path, tmp_path_factory: pytest.TempPathFactory, run_engine: Callable[..., CompletedProcess[str]]
) -> Walks:
    """Eigenvalues along Γ-X and back, shape (kpoints, bands)."""
    from pymatgen.io.vasp.outputs import Eigenval

    found, said = {}, ""
    for way, ends in {"there": ("0 0 0", "0.5 0 0.5"), "back": ("0.5 0 0.5", "0 0 0")}.items():
        folder = tmp_path_factory.mktemp("walk") / way
        shutil.copytree(static, folder)
        (folder / "INCAR").write_text((static / "INCAR").read_text() + "ICHARG = 11\nNBANDS = 12\n")
        (folder / "KPOINTS").write_text(f"path\n5\nLine_mode\nReciprocal\n{ends[0]} A\n{ends[1]} B\n")
        run = run_engine(folder)
        assert run.returncode == 0, run.stderr
        said = run.stdout
        (values,) = Eigenval(folder / "EIGENVAL").eigenvalues.values()
        found[way] = values[:, :, 0]
    return found, said


def test_the_way_changes_nothing(walks: Walks) -> None:
    """Bands of another irreducible representation come down between Γ and X; a walk finds them from either end."""
    there, back = walks[0]["there"], walks[0]["back"][::-1]
    np.testing.assert_allclose(there[:, :FULL], back[:, :FULL], atol=1e-4)
    np.testing.assert_allclose(there[:, :CONVERGED], back[:, :CONVERGED], atol=2e-3)


def test_progress_is_told_point_by_point(walks: Walks) -> None:
    """Each iteration that does not yet suffice (two are made at least), and then how many did."""
    lines = [line for line in walks[1].splitlines() if line.startswith(" k-point ")]
    for point in range(1, 6):
        ours = [line for line in lines if line.startswith(f" k-point {point} of 5")]
        assert ours[-1] == f" k-point {point} of 5: {len(ours)} iterations"
        pattern = re.compile(r".*, iteration (\d+): residuals (\S+) of (\S+) eV\^2/electron")
        told = [pattern.fullmatch(line) for line in ours[:-1]]
        assert [int(t[1]) for t in told if t] == list(range(1, len(ours)))
        assert all(float(t[2]) >= float(t[3]) or int(t[1]) == 1 for t in told if t)
    assert len({line.split(",")[0].split(":")[0] for line in lines}) == 5


def test_periodic_parts_are_carried_whole() -> None:
    """To the same k-point: the same bands. To a near one and back: what both spheres of plane waves hold."""
    from gpaw.core import PWDesc

    from kalloy.workflows.gpaw_engine.kpoint_walk import NOISE, add_noise, carried

    grid = (24, 24, 24)
    here = PWDesc(ecut=6.0, cell=[8.0, 8.0, 8.0], kpt=[0.0, 0.0, 0.1], dtype=complex)
    near = here.new(kpt=[0.0, 0.2, 0.1])
    bands = here.zeros(4)
    bands.randomize(seed=1)
    np.testing.assert_array_equal(carried(bands, here, grid).data, bands.data)
    there_and_back = carried(carried(bands, near, grid), here, grid)
    inside = {tuple(g) for g in near.indices_cG.T}
    kept = np.array([tuple(g) in inside for g in here.indices_cG.T])
    assert 0.8 < kept.mean() < 1
    np.testing.assert_array_equal(there_and_back.data, bands.data * kept)
    noisy = bands.new(data=bands.data.copy())
    add_noise(noisy, first=3, seed=2)
    np.testing.assert_array_equal(noisy.data[:3], bands.data[:3])
    noisy.data -= bands.data
    assert np.sqrt(noisy.norm2()[3]) == pytest.approx(NOISE)
