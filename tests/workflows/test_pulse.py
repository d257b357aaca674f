"""What a running calculation's OSZICAR tells of its progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalloy.workflows.submission.pulse import pulse

VASP = "DAV:   1     0.1E+02    0.1E+02   -0.2E+03  1000   0.1E+02\n"
OURS = "PCG:   4  -2.005801375902E+02   -2.65739E-02   -5.66110E+00    9.306E-01    9.817E+00\n"
IONS = "   1 F= -.19994431E+03 E0= -.19994431E+03  d E =0.000000E+00\n"
POINTS = " k-point 1 of 42: 9 iterations\n k-point 2 of 42: 4 iterations\n"
ITERATION = " k-point 3 of 42, iteration 1: residuals 2.7E-01 of 1.0E-04 eV^2/electron\n"


@pytest.mark.parametrize(
    ("oszicar", "words"),
    [
        (None, ""),
        ("", ""),
        (VASP, "electronic step 1"),
        (OURS, "electronic step 4"),
        (OURS + IONS, "ionic step 1"),
        (OURS + IONS + VASP, "ionic step 2, electronic step 1"),
        (POINTS, "k-point 2 of 42"),
        (POINTS + ITERATION, "k-point 3 of 42, iteration 1"),
        (POINTS + ITERATION + OURS, "electronic step 4"),
        (POINTS + OURS + IONS, "ionic step 1"),
    ],
)
def test_progress_in_words(tmp_path: Path, oszicar: str | None, words: str) -> None:
    if oszicar is not None:
        (tmp_path / "OSZICAR").write_text(oszicar)
    assert pulse(tmp_path) == words
