"""The scale of a POSCAR: VASP's manual has one factor, one an axis, or a volume; Cartesian positions follow it."""

from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import ParseError
from kalloy.parsers.poscar import read_poscar

TEXT = "two\n{scale}\n2 0 0\n0 3 0\n0.5 0 4\nK Br\n1 1\n{style}\n0 0 0\n{x}\n"
LATTICE = np.array([[2, 0, 0], [0, 3, 0], [0.5, 0, 4]])


@pytest.mark.parametrize(
    ("scale", "factors"),
    [("1.5", (1.5, 1.5, 1.5)), ("1.5 of it", (1.5, 1.5, 1.5)), ("-192", (2, 2, 2)), ("1 1.5 2", (1, 1.5, 2))],
)
@pytest.mark.parametrize(("style", "x"), [("Direct", "0.25 0.5 0.75"), ("Cartesian", "0.875 1.5 3")])
def test_scales(tmp_path: Path, scale: str, factors: tuple[float, ...], style: str, x: str) -> None:
    (tmp_path / "POSCAR").write_text(TEXT.format(scale=scale, style=style, x=x))
    crystal = read_poscar(tmp_path / "POSCAR")
    np.testing.assert_allclose(crystal.lattice, LATTICE * factors)
    np.testing.assert_allclose(crystal.positions[1], [0.25, 0.5, 0.75])


@pytest.mark.parametrize("scale", ["", "of it", "1 -1 1"])
def test_what_is_no_scale_is_said(tmp_path: Path, scale: str) -> None:
    (tmp_path / "POSCAR").write_text(TEXT.format(scale=scale, style="Direct", x="0 0 0"))
    with pytest.raises(ParseError, match="no scale"):
        read_poscar(tmp_path / "POSCAR")


@pytest.mark.parametrize("x", ["nan 0 0", "0 1e400 0"])
def test_numbers_are_finite(tmp_path: Path, x: str) -> None:
    (tmp_path / "POSCAR").write_text(TEXT.format(scale="1", style="Direct", x=x))
    with pytest.raises(ParseError, match="not finite"):
        read_poscar(tmp_path / "POSCAR")
