"""DOSCARs made from numbers, as VASP's format statements write them (2F16.8, I5, 2F16.8)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import ParseError
from kalloy.parsers.doscar import read_doscar

EFERMI = 5.12345678


def _written(
    path: Path, energies: np.ndarray, total: np.ndarray, ions: np.ndarray | None = None, count: str = ""
) -> Path:
    """Total of shape (n, 2); ions of shape (ion, n, column)."""
    head = f"{energies[-1]:16.8f}{energies[0]:16.8f}{count or format(len(energies), '5d')}{EFERMI:16.8f}{1:16.8f}\n"
    blocks = [] if ions is None else list(ions)
    lines = ["   2   2   1   0\n", "  1.0  1.0  1.0  1.0  1.0\n", "  1E-4\n", "  CAR\n", " unknown system\n"]
    for block in (total, *blocks):
        lines.append(head)
        for energy, row in zip(energies, block, strict=True):
            lines.append(f"{energy:11.3f}" + "".join(f"{x:12.4E}" for x in row) + "\n")
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize(("points", "count"), [(301, ""), (10001, ""), (10001, "*****")])
def test_however_many_energies(tmp_path: Path, points: int, count: str) -> None:
    """From 10,000 on the number touches the one before it; from 100,000 on it does not fit its field."""
    energies = np.linspace(-8, 12, points)
    total = np.stack([np.exp(-(energies**2)), np.cumsum(np.exp(-(energies**2)))], axis=1)
    ions = np.stack([np.tile(total[:, :1] * w, 9) for w in (0.5, 0.25)])
    dos = read_doscar(_written(tmp_path / "DOSCAR", energies, total, ions, count), ("K", "Br"))
    assert dos.energies.shape == (points,)
    assert dos.efermi == EFERMI
    assert dos.projected is not None
    assert dos.projected.shape == (2, 1, 9, points)
    np.testing.assert_allclose(dos.projected[1, 0, 3], total[:, 0] / 4, rtol=1e-3)


def test_half_a_number_of_energies_is_none(tmp_path: Path) -> None:
    energies = np.linspace(-8, 12, 5)
    with pytest.raises(ParseError, match="no number of energies"):
        read_doscar(_written(tmp_path / "DOSCAR", energies, np.ones((5, 2)), count="  5.5"))


def test_shells_with_moments_are_told_from_sixteen_orbitals(tmp_path: Path) -> None:
    """s, p, d, f with three moments each have as many columns as s … f by orbital (LORBIT = 10 and 11)."""
    energies, chance = np.linspace(-8, 12, 40), np.random.default_rng(7)
    densities = chance.random((2, 40, 4))
    directions = chance.normal(size=(2, 40, 4, 3))
    moments = directions / np.linalg.norm(directions, axis=3, keepdims=True) * densities[..., None] * 0.7
    shells = np.concatenate([densities[..., None], moments], axis=3).reshape(2, 40, 16)
    total = np.stack([densities.sum(axis=(0, 2)), np.arange(40.0)], axis=1)
    dos = read_doscar(_written(tmp_path / "shells", energies, total, shells))
    assert dos.noncollinear
    assert dos.orbitals == ("s", "p", "d", "f")
    np.testing.assert_allclose(dos.projected[:, 0], densities.transpose(0, 2, 1), rtol=1e-3)  # type: ignore[index]
    orbitals = chance.random((2, 40, 16))
    plain = read_doscar(_written(tmp_path / "orbitals", energies, total, orbitals))
    assert not plain.noncollinear
    assert len(plain.orbitals) == 16
