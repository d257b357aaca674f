"""``kalloy parse`` from outside."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kalloy.cli.parse import command
from kalloy.parsers.many import read_rows


@pytest.fixture
def folders(vasprun: Callable[..., bytes], tmp_path: Path) -> list[str]:
    """One insulator, one that reached NELM, one cut, one empty."""
    energies = np.array([[[-1.0, 1.0], [-2.0, 0.5]]])
    made = {
        "good": vasprun(energies, (energies < 0) * 1.0, np.eye(3)[:2] / 2, np.full(2, 0.5), 2),
        "nelm": vasprun(energies, (energies < 0) * 1.0, np.eye(3)[:2] / 2, np.full(2, 0.5), 2, electronic_steps=60),
    }
    made["cut"] = made["good"][:-200]
    for name, text in made.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_bytes(text)
    (tmp_path / "empty").mkdir()
    return [str(tmp_path / name) for name in ("good", "nelm", "cut", "empty")]


def test_json_is_a_list_of_rows_also_of_broken_folders(folders: list[str]) -> None:
    done = CliRunner().invoke(command, [*folders, "--json"])
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["folder"] for row in rows] == folders
    assert len({tuple(row) for row in rows}) == 1
    assert [row["complete"] for row in rows] == [True, True, False, False]
    assert [row["electronic_converged"] for row in rows] == [True, False, None, None]
    assert [row["gap_eV"] for row in rows] == [1.5, 1.5, 1.5, None]
    assert rows[3]["warnings"] == ["cannot be read: it holds no output of VASP (vasprun.xml, OUTCAR, …)"]


def test_csv_has_the_same_rows(folders: list[str]) -> None:
    done = CliRunner().invoke(command, [*folders, "--csv"])
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["gap_eV"] for row in rows] == ["1.5", "1.5", "1.5", ""]
    assert json.loads(rows[0]["vbm_k"]) == [[0.5, 0.0, 0.0]]


def test_the_table_tells_a_person(folders: list[str]) -> None:
    done = CliRunner().invoke(command, folders)
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip().startswith("/")}
    assert "indirect" in done.stdout
    assert "not electronic" in done.stdout
    assert "incomplete" in done.stdout
    assert f"{folders[1]}: NELM = 60 reached in the last ionic step: not self-consistent" in done.stdout
    assert lines


def test_a_path_that_does_not_exist_is_bad_input(folders: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from kalloy.cli import main; main()", "parse", folders[0], "nowhere", "--json"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere: no such file or folder" in done.stderr


def test_several_processes_give_the_same_rows(folders: list[str]) -> None:
    many = folders * 5
    assert list(read_rows(many, processes=2)) == list(read_rows(many, processes=1))


def test_reading_imports_no_pymatgen(folders: list[str]) -> None:
    script = (
        "import sys; from kalloy.parsers.many import read_row; read_row(sys.argv[1]);"
        "print([m for m in ('pymatgen', 'ase', 'spglib', 'scipy', 'matplotlib', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script, folders[0]], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
