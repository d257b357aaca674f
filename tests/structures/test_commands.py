"""``kalloy count`` and ``kalloy enumerate`` as a user types them: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kalloy.cli import cli
from kalloy.errors import KalloyError


def kalloy(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, list(arguments))
    if result.exception and not isinstance(result.exception, (KalloyError, SystemExit)):
        raise result.exception
    return result


def output(*arguments: str) -> str:
    result = kalloy(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments: str) -> str:
    """The one sentence with which bad input is met; its exit code is 2."""
    error = kalloy(*arguments).exception
    assert isinstance(error, KalloyError)
    assert error.exit_code == 2
    assert "\n" not in str(error)
    return str(error)


def test_count_as_json() -> None:
    assert json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K:3", "--json")) == {
        "schema": 1,
        "host": "Cs4PbBr6",
        "cell": "given",
        "sites": 24,
        "operations": 36,
        "counts": [{"count": 3, "fraction": 0.125, "distinct": 70, "total": 2024}],
    }


def test_count_of_all_contents() -> None:
    document = json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K", "--cell", "primitive", "--json"))
    assert [entry["distinct"] for entry in document["counts"]] == [1, 2, 6, 8, 12, 8, 6, 2, 1]
    assert (document["cell"], document["sites"], document["operations"]) == ("primitive", 8, 12)
    document = json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K", "--json"))
    assert [entry["count"] for entry in document["counts"]] == list(range(25))
    assert sum(entry["distinct"] for entry in document["counts"]) == 471096


def test_totals_are_exact_integers_however_large() -> None:
    from math import comb

    document = json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K:96", "--cell", "2 2 2", "--json"))
    assert document["counts"][0]["total"] == comb(192, 96)


def test_count_of_several_substitutions() -> None:
    document = json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K:3", "--replace", "Br=Cl:0-1", "--json"))
    assert document["substitutions"] == ["Cs=K", "Br=Cl"]
    assert [entry["count"] for entry in document["counts"]] == [[3, 0], [3, 1]]
    assert document["counts"][0]["distinct"] == 70


def test_the_table_says_what_it_costs_and_what_to_do() -> None:
    table = output("count", "Cs4PbBr6", "--replace", "Cs=K:3-12", "--limit", "5000", "--hours", "60")
    assert "R-3c (167) within 0.01 Å: 24 sites, 36 operations" in table
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line.strip().startswith("K")}
    assert rows["K03"] == ["K03", "0.125", "70", "2,024", "287", "kB", "4,200", "full"]
    assert rows["K08"][-1] == "sampled"
    assert rows["K12"][-1] == "primitive"


def test_the_cost_in_json() -> None:
    [entry] = json.loads(output("count", "Cs4PbBr6", "--replace", "Cs=K:12", "--hours", "2", "--json"))["counts"]
    assert entry["distinct"] == 75790
    assert entry["core_hours"] == 151580
    assert entry["bytes"] == 75790 * 4096
    assert entry["proposal"] == "primitive"


def test_enumerate_writes_the_seventy(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert output("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", "-o", str(out)).startswith("70 configurations")
    assert len(list((out / "K03").glob("c*.vasp"))) == 70
    assert json.loads((out / "enumeration.json").read_text())["replace"] == ["Cs=K:3"]
    assert "nothing is overwritten" in refusal("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", "-o", str(out))


def test_enumerate_as_json_lines() -> None:
    lines = output("enumerate", "Cs4PbBr6", "--cell", "primitive", "--replace", "Cs=K:1-2", "--json").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["label"] for record in records] == ["K1/c1", "K1/c2", *[f"K2/c{i}" for i in range(1, 7)]]
    assert set(records[0]) == {"label", "degeneracy", "occupation", "identity"}
    assert [sum(r["degeneracy"] for r in records if r["label"].startswith(c)) for c in ("K1", "K2")] == [8, 28]


def test_enumerate_as_a_table() -> None:
    table = output("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", "--space-group", "P321", "--table")
    rows = [line.split() for line in table.splitlines() if line.strip().startswith("K03")]
    assert rows == [
        ["K03/c41", "6", "P321", "(150)", "K", "3×6a", "8.51", "8.51", "9.88"],
        ["K03/c70", "6", "P321", "(150)", "K", "3×18e", "7.54", "7.54", "7.54"],
    ]


def test_enumerate_samples_and_quasirandom_structures(tmp_path: Path) -> None:
    large = ("enumerate", "Cs4PbBr6", "--cell", "2 2 1", "--replace", "Cs=K:12")
    one, other = (output(*large, "--sample", "5", "--seed", "7", "--json") for _ in range(2))
    assert one == other
    assert [json.loads(line)["label"] for line in one.splitlines()] == [f"K12/s000{i}" for i in range(1, 6)]
    small = ("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3")
    best = [json.loads(line) for line in output(*small, "--quasirandom", "2", "--json").splitlines()]
    assert best[0]["mismatch"] <= best[1]["mismatch"]
    assert all(record["exhaustive"] for record in best)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = output("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", "-o", str(out), "--dry-run")
    assert said == f"would write 70 configurations of 1 contents to {out}\n"
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Cs4PbBr6", "--replace", "Na=K:3"), "has no Na"),
        (("Cs4PbBr6", "--replace", "Cs=K:25"), "25 is more than the 24 sites"),
        (("Cs4PbBr6", "--replace", "Cs=K:0.1"), "nearest are"),
        (("Cs4PbBr6", "--replace", "Cs=Qq:1"), "no element"),
        (("Cs4PbBr6", "--replace", "Cs:K"), "no replacement"),
        (("Cs4PbBr6",), "nothing is substituted"),
        (("Cs4PbBr7", "--replace", "Cs=K:3"), "did you mean 'Cs4PbBr6'"),
        (("Cs4PbBr6", "--replace", "Cs=K:3", "--cell", "2 2"), "no cell"),
        (("Cs4PbBr6", "--replace", "Cs=K:3", "--tolerance", "0"), "no tolerance"),
        (("UNREADABLE", "--replace", "Cs=K:3"), "cannot be read"),
    ],
)
@pytest.mark.parametrize("verb", ["count", "enumerate"])
def test_bad_input_is_one_sentence_and_writes_nothing(
    verb: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.cif"
    bad.write_text("loop_\n_cell_length_a\n")
    given = [str(bad) if argument == "UNREADABLE" else argument for argument in arguments]
    extra = ["-o", str(tmp_path / "out")] if verb == "enumerate" else []
    assert words in refusal(verb, *given, *extra)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.cif"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no folder"),
        (("--json", "--table"), "exclude each other"),
        (("--sample", "3", "--quasirandom", "3", "--json"), "exclude each other"),
        (("--archive", "--format", "extxyz", "-o", "new"), "one file a content"),
        (("--space-group", "P999", "--json"), "no space group"),
        (("--min-distance", "K:3", "--json"), "no minimum distance"),
        (("--min-distance", "Pb-K:3", "--json"), "not on a substituted sublattice"),
    ],
)
def test_options_that_contradict_are_refused(arguments: tuple[str, ...], words: str) -> None:
    assert words in refusal("enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", *arguments)


def test_a_doubtful_symmetry_is_mentioned_on_stderr(tmp_path: Path) -> None:
    from pymatgen.core import Lattice, Structure

    path = tmp_path / "nearly.cif"
    Structure(Lattice.orthorhombic(4.20, 4.20, 4.22), ["Cs", "Br"], [[0, 0, 0], [0.5, 0.5, 0.5]]).to(str(path))
    result = kalloy("count", str(path), "--replace", "Cs=K", "--json")
    assert json.loads(result.stdout)["sites"] == 1
    assert "Pm-3m (221), with 48 operations" in result.stderr
