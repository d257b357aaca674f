"""SOD's files: read back as its Fortran reads them, and its published sums done anew in high precision."""

from __future__ import annotations

from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import InputError
from kalloy.workflows.screening import sod
from tests.screening.conftest import Toy

KB = Decimal("8.61734E-5")
"""The constant that SOD's statistics have."""


def read(folder: Path) -> tuple[list[int], list[list[int]], list[Decimal], list[list[Decimal]]]:
    """List-directed, as ``read(11,*)`` does: leading items of each line, the rest ignored."""
    lines = (folder / "OUTSOD").read_text().splitlines()
    subs, count = int(lines[0].split()[0]), int(lines[1].split()[0])
    rows = [list(map(int, line.split())) for line in lines[2 : 2 + count]]
    assert [r[0] for r in rows] == list(range(1, count + 1))
    assert all(len(r) == 2 + subs for r in rows)
    energies = [Decimal(line) for line in (folder / "ENERGIES").read_text().split()]
    head, *data = (folder / "DATA").read_text().splitlines()
    columns = [[Decimal(v) for v in line.split()] for line in data]
    assert {len(c) for c in columns} == {int(head)}
    return [r[1] for r in rows], [r[2:] for r in rows], energies, columns


def test_sods_own_sums_give_our_figures(toy: Toy, tmp_path: Path) -> None:
    ensemble, orbits = toy.ensemble(3), toy.orbits(3)
    volumes = np.linspace(930, 980, len(orbits))
    sod.write_sod(
        tmp_path / "K3",
        {
            "OUTSOD": sod.outsod(ensemble, 8, [s for s, _ in orbits]),
            "ENERGIES": sod.energies(ensemble),
            "TEMPERATURES": sod.temperatures([0, 300, 900, np.inf]),
            "DATA": sod.data({"volume": volumes, "square": volumes**2}),
        },
    )
    omega, sites, energies, data = read(tmp_path / "K3")
    assert sum(omega) == 56
    assert [tuple(s - 1 for s in row) for row in sites] == [s for s, _ in orbits]
    temperatures = [Decimal(t) for t in (tmp_path / "K3" / "TEMPERATURES").read_text().split()]
    assert temperatures == [300, 900]
    getcontext().prec = 40
    lowest = min(energies)
    for kelvin in temperatures:
        z = [g * (-(e - lowest) / (KB * kelvin)).exp() for g, e in zip(omega, energies, strict=True)]
        p = [w / sum(z) for w in z]
        energy = sum(w * e for w, e in zip(p, energies, strict=True))
        free = lowest - KB * kelvin * sum(z, Decimal(0)).ln()
        # Its Boltzmann constant has six digits.
        assert ensemble.energy(float(kelvin)) == pytest.approx(float(energy), rel=1e-5, abs=1e-6)
        assert ensemble.free_energy(float(kelvin)) == pytest.approx(float(free), rel=1e-5, abs=1e-6)
        assert ensemble.entropy(float(kelvin)) == pytest.approx(float((energy - free) / kelvin), rel=1e-5, abs=1e-6)
        mean = float(sum(w * row[0] for w, row in zip(p, data, strict=True)))
        assert ensemble.average(volumes, float(kelvin)).value == pytest.approx(mean, rel=1e-6)


def test_spectra_have_a_grid_beside_them() -> None:
    text, grid = sod.spectra([0.0, 0.5, 1.0], [[1, 2, 3], [4, 5, 6]])
    head, *rows = text.splitlines()
    assert int(head) == 3
    assert [[float(v) for v in row.split()] for row in rows] == [[1, 2, 3], [4, 5, 6]]
    assert [float(v) for v in grid.split()] == [0, 0.5, 1]


def test_what_sod_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="800 points"):
        sod.spectra(np.zeros(801), np.zeros((2, 801)))
    with pytest.raises(InputError, match="10 columns"):
        sod.data({str(i): [1.0] for i in range(11)})
    with pytest.raises(InputError, match="50 temperatures"):
        sod.temperatures(list(range(1, 60)))
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        sod.write_sod(tmp_path, {"OUTSOD": "x"})
    assert (tmp_path / "mine").read_text() == "x"
