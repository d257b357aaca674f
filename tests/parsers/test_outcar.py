"""OUTCARs that hold more, or something else, than one run of ab-initio steps: the free engine's, edited."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from kalloy.parsers.endings import find_ending
from kalloy.parsers.outcar import read_outcar
from kalloy.parsers.result import read_result

KBR = Path(__file__).parent / "data" / "KBr"
REAL = Path(__file__).parents[3] / "shared" / "vasp"
OUTCAR = {stage: gzip.decompress((KBR / stage / "OUTCAR.gz").read_bytes()).decode() for stage in ("relax", "static")}
CUT = OUTCAR["relax"].index("aborting loop")
"""In the first ionic step of the relaxation."""


def _written(folder: Path, *parts: str) -> Path:
    (folder / "OUTCAR").write_text("".join(parts))
    return folder / "OUTCAR"


@pytest.mark.parametrize("after", ["relax", "static"])
@pytest.mark.parametrize("before", ["relax", "static", "cut"])
def test_the_last_of_several_runs_is_told_of(tmp_path: Path, before: str, after: str) -> None:
    first = OUTCAR["relax"][:CUT] + "\n" if before == "cut" else OUTCAR[before]
    both, alone = read_result(_written(tmp_path, first, OUTCAR[after])), read_result(KBR / after / "OUTCAR.gz")
    one, other = both.to_json(), alone.to_json()
    assert one.pop("warnings") == [*other.pop("warnings"), "OUTCAR holds 1 earlier run: the last one is told of"]
    assert one | {"folder": ""} == other | {"folder": ""}
    assert both.vasprun.parameters == alone.vasprun.parameters
    assert [s.electronic_steps for s in both.vasprun.steps] == [s.electronic_steps for s in alone.vasprun.steps]


def test_a_run_that_was_killed_is_not_saved_by_the_ones_before_it(tmp_path: Path) -> None:
    result = read_result(_written(tmp_path, OUTCAR["relax"], OUTCAR["static"], OUTCAR["relax"][:CUT]))
    assert not result.complete
    assert result.convergence.electronic is None
    assert result.convergence.ionic is False
    assert result.vasprun.earlier_runs == 2
    assert result.energy is None


def test_a_long_cell_is_read_by_its_columns(tmp_path: Path) -> None:
    """Fields of 13 characters: from 100 Å on no blank is left between two of them."""
    rows = np.array([[0.0, 0.0, 120.0], [-4.0, 100.5, 0.0], [5.0, 0.0, -101.25]])
    text, long = OUTCAR["static"].splitlines(), "".join
    for at, line in enumerate(text):
        if "direct lattice vectors" in line:
            for n, row in enumerate(rows):
                text[at + 1 + n] = "   " + long(f"{x:13.9f}" for x in row) + long(f"{0.1:13.9f}" for _ in row)
    run = read_outcar(_written(tmp_path, "\n".join(text) + "\n"))
    assert run.complete
    assert run.crystal is not None
    assert np.array_equal(run.crystal.lattice, rows)


def test_frozen_atoms_may_feel_forces(tmp_path: Path) -> None:
    """OUTCAR prints the forces on atoms that selective dynamics holds; POSCAR says which those are."""
    text = OUTCAR["relax"].splitlines()
    heads = [at for at, line in enumerate(text) if "TOTAL-FORCE" in line]
    text[heads[-1] + 2] = text[heads[-1] + 2][:40] + "      0.300000      0.000000      0.000000"
    accuracy = next(line for line in text if "reached required accuracy" in line)
    silent = "\n".join(line for line in text if line != accuracy) + "\n"
    assert read_result(_written(tmp_path, silent)).convergence.ionic is False
    poscar = (KBR / "relax" / "CONTCAR").read_text().splitlines()
    poscar[7:7] = ["Selective dynamics"]
    poscar[9], poscar[10] = f"{poscar[9]}  F .FALSE. T", f"{poscar[10]} T T T"
    (tmp_path / "POSCAR").write_text("\n".join(poscar) + "\n")
    result = read_result(tmp_path)
    assert result.convergence.ionic is True
    assert result.convergence.max_force == pytest.approx(0, abs=1e-3)
    assert result.vasprun.mobile is not None
    assert result.vasprun.mobile.tolist() == [[False, False, True], [True, True, True]]


def test_what_the_optimiser_says_of_itself_is_believed(tmp_path: Path) -> None:
    text = OUTCAR["relax"].splitlines()
    heads = [at for at, line in enumerate(text) if "TOTAL-FORCE" in line]
    text[heads[-1] + 2] = text[heads[-1] + 2][:40] + "      0.300000      0.000000      0.000000"
    assert read_result(_written(tmp_path, "\n".join(text) + "\n")).convergence.ionic is True


def test_steps_of_a_learned_force_field_are_no_dft(tmp_path: Path) -> None:
    """As VASP 6.4 spells them with ML_LMLFF."""
    at = OUTCAR["relax"].rindex("  free  energy   TOTEN")
    learned = OUTCAR["relax"][at:].replace("free  energy   TOTEN", "free  energy ML TOTEN", 1)
    learned = learned.replace("energy  without", "ML energy  without", 1).replace("energy(sigma", "ML energy(sigma", 1)
    result = read_result(_written(tmp_path, OUTCAR["relax"][:at], learned))
    assert [step.learned for step in result.vasprun.steps] == [False, True]
    assert result.energy == pytest.approx(-5.61302866)
    assert result.convergence.electronic is None
    assert any("machine-learned force field" in warning for warning in result.convergence.warnings)


SOUND = "  Subroutine PRICEL returns:\n  Original cell was already a primitive cell.\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("signal 9 (Killed)", "a signal from outside (SIGKILL: most often lack of memory)"),
        ("PRICELV: current lattice and primitive lattice are incommensurate", "VASP: symmetry"),
        ("internal error in subroutine PRICEL (probably precision problem, try to change SYMPREC", "VASP: symmetry"),
        ("", None),
    ],
)
def test_what_every_outcar_says_is_no_cause(tmp_path: Path, said: str, words: str | None) -> None:
    _written(tmp_path, OUTCAR["static"][:500], SOUND)
    (tmp_path / "vasp.out").write_text(said + "\n")
    ending = find_ending(tmp_path)
    assert (ending.words if ending else None) == words


@pytest.mark.skipif(not REAL.is_dir(), reason="the real calculations are not beside this checkout (../shared/vasp)")
def test_sound_real_outcars_name_no_cause(tmp_path: Path) -> None:
    cases = json.loads((REAL / "manifest.json").read_text())
    sound = [c["case"] for c in cases if c["truth"].get("outcar", {}).get("timing_block")]
    assert len(sound) >= 5
    for case in sound:
        file = next((REAL / case).glob("OUTCAR*"))
        (tmp_path / file.name).write_bytes(file.read_bytes())
        assert find_ending(tmp_path) is None, case
        (tmp_path / file.name).unlink()
