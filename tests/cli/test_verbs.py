"""The command line: every verb says what it does, is quick to say hello, and refuses bad input in one sentence."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kalloy.cli import VERBS, cli

REPOSITORY = Path(__file__).resolve().parents[2]


def run(kalloy: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kalloy, *words], capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    command = cli.get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    assert command.help
    assert all(getattr(p, "help", None) for p in command.params if p.param_type_name == "option"), (
        "an option says nothing"
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from kalloy.cli import cli\n"
        "try: cli.main(['--help'], standalone_mode=True)\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'pymatgen', 'ase', 'spglib', 'matplotlib', 'gpaw', 'custodian', 'rich', 'pydantic'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_parse_imports_no_pymatgen(shared: Path) -> None:
    case = next(p for p in sorted((shared / "vasp").iterdir()) if (p / "vasprun.xml.gz").is_file())
    code = (
        f"import sys; from kalloy.cli import cli; cli.main(['parse', {str(case)!r}, '--json'], standalone_mode=False)\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pymatgen', 'ase', 'custodian'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_version(kalloy: str) -> None:
    assert re.fullmatch(r"kalloy \d+\.\d+\.\d+\n", run(kalloy, "--version").stdout)


BAD = {
    "species": (["new", "c", "--host", "Cs4PbBr6", "--replace", "Rb=K:1"], "no Rb"),
    "count": (["new", "c", "--host", "Cs4PbBr6", "--replace", "Cs=K:99"], "24 sites"),
    "host": (["new", "c", "--host", "Cs4PbBr", "--replace", "Cs=K:1"], "Cs4PbBr6"),
    "cif": (["new", "c", "--host", "broken.cif", "--replace", "Cs=K:1"], "broken.cif"),
    "count verb": (["count", "broken.cif", "--replace", "Cs=K"], "broken.cif"),
    "enumerate verb": (["enumerate", "Cs4PbBr6", "--replace", "Cs=K:99", "-o", "c"], "24 sites"),
    "cell": (["new", "c", "--host", "Cs4PbBr6", "--replace", "Cs=K:1", "--cell", "2 2"], "2 2"),
    "absurd cell": (["count", "Cs4PbBr6", "--replace", "Cs=K:1", "--cell", "1000 1000 1000"], "100,000 atoms"),
    "preset": (
        ["new", "c", "--host", "Cs4PbBr6", "--replace", "Cs=K:1", "--preset", "papper"],
        "did you mean 'paper'?",
    ),
    "no replacement": (["new", "c", "--host", "Cs4PbBr6"], "nothing is substituted; say what: --replace Cs=K:1"),
    "verb": (["statsu"], "did you mean 'status'?"),
    "campaign": (["run", "nowhere"], "no kalloy.toml"),
    "key": (["run", "misspelt"], "did you mean 'structure'?"),
    "engine": (["run", "noengine"], "'no-such-engine' is not on PATH"),
    "folder": (["parse", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence_and_writes_nothing(case: str, kalloy: str, tmp_path: Path) -> None:
    words, offender = BAD[case]
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a oops\n")
    (tmp_path / "misspelt").mkdir()
    (tmp_path / "misspelt/kalloy.toml").write_text('[host]\nstrukture = "Cs4PbBr6"\n')
    good = run(
        kalloy, "new", "noengine", "--host", "Cs4PbBr6", "--cell", "primitive", "--replace", "Cs=K:1", cwd=tmp_path
    )
    assert good.returncode == 0, good.stderr
    spec = tmp_path / "noengine/kalloy.toml"
    spec.write_text(spec.read_text() + '\n[site.local]\ncommands = { gpaw = "no-such-engine" }\n')
    before = sorted(tmp_path.rglob("*"))
    done = run(kalloy, *words, cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert offender in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_debug_shows_the_traceback(kalloy: str) -> None:
    assert "Traceback" in run(kalloy, "--debug", "run", "nowhere").stderr


def test_a_campaign_by_hand(kalloy: str, tmp_path: Path) -> None:
    """The verbs one by one, as `kalloy run` does them."""
    words = ["new", "c", "--host", "Cs4PbBr6", "--cell", "primitive", "--replace", "Cs=K:1", "--preset", "paper"]
    new = run(kalloy, *words, cwd=tmp_path)
    assert new.returncode == 0
    assert "2 symmetry-distinct configurations" in new.stdout
    assert "holds no Γ" in new.stderr
    assert run(kalloy, *words, cwd=tmp_path).returncode == 2  # never over an old one
    members = json.loads(run(kalloy, "members", "c", "--json", cwd=tmp_path).stdout)
    assert [(m["member"], m["degeneracy"]) for m in members] == [("host", 1), ("K1/c1", 6), ("K1/c2", 2)]
    dry = run(kalloy, "write", "c", "--dry-run", cwd=tmp_path)
    assert "not selected yet" in dry.stdout
    assert not (tmp_path / "c/selections").exists()
    chosen = json.loads(run(kalloy, "select", "c", "--json", cwd=tmp_path).stdout)
    assert chosen["members"] == ["host", "K1/c1", "K1/c2"]
    assert "6 written" in run(kalloy, "write", "c", cwd=tmp_path).stdout
    assert "0 written" in run(kalloy, "write", "c", cwd=tmp_path).stdout
    status = run(kalloy, "status", "c", "--json", cwd=tmp_path)
    assert status.returncode == 3
    states = {(s["member"], s["stage"]): s["state"] for s in json.loads(status.stdout)}
    assert states["K1/c2", "relax"] == "ready"
    assert states["K1/c2", "static"] == "blocked"
    assert run(kalloy, "rank", "c", cwd=tmp_path).returncode == 1
    assert run(kalloy, "select", "c", "--step", "3", cwd=tmp_path).returncode == 2


def test_readme_and_help_name_the_same_verbs() -> None:
    text = (REPOSITORY / "README.md").read_text()
    table = set(re.findall(r"^\| `kalloy (\w+)", text, re.MULTILINE))
    assert table == set(VERBS)
