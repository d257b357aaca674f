"""Folders and files with names that shells, schedulers and formats stumble over; a locale that knows no letters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.board import all_standings

if TYPE_CHECKING:
    from tests.robustness.conftest import Typed

Copy = Callable[[str, Path], Campaign]
NAMES = [
    'ä 中 K₃ 😀  it\'s "quoted" $HOME `x` %j \\n {d} #;&|',
    os.fsdecode(b"caf\xe9"),  # bytes that are no UTF-8
    "-rf",
    "a\nb",
    "-",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_campaign_is_made_and_read_under_any_name(
    tmp_path: Path, copy_of: Copy, typed: Typed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    host = Path(f"{name}.vasp")
    copy_of("new", tmp_path / "plain").host.crystal.to_pymatgen().to_file(str(tmp_path / "x.vasp"), fmt="poscar")
    (tmp_path / "x.vasp").rename(tmp_path / host)
    made = typed("new", f"--host={host}", "--replace", "Cs=K:1", "--preset", "smoke", "--", name)
    if not name.isprintable():  # a file that kalloy.toml cannot name
        assert (made.code, "rename the file" in made.err) == (2, True)
        made = typed("new", "--host=Cs4PbBr6", "--cell=primitive", "--replace", "Cs=K:1", "--", name)
    assert made.code == 0, made
    assert typed("write", "--", name).code == 0
    listed = typed("members", "--json", "--", name)
    assert [m["member"] for m in json.loads(listed.out)] == ["host", "K1/c1", "K1/c2"]
    for words in (["status"], ["check"]):
        assert typed(*words, "--", name).is_clear
    done = copy_of("done", tmp_path / f"{name}.done").root.name
    assert json.loads(typed("rank", "--json", "--", done).out)
    assert typed("report", "--", done).code == 0
    assert typed("export", "-o", f"./{name}.out", "--", done).code == 0


@pytest.mark.parametrize("name", [name for name in NAMES if "\udce9" not in name])
def test_what_is_to_be_typed_next_can_be_typed(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The hint is a line of shell: the folder in it is the one that was made."""
    monkeypatch.chdir(tmp_path)
    said = typed("new", "--host", "Cs4PbBr6", "--replace", "Cs=K:1", "--", name)
    hint = said.out.split("`kalloy run ", 1)[1].rsplit("`", 1)[0]
    script = f'f() {{ [ "$1" = -- ] && shift; cd -- "./$1" && ls; }}; f {hint}'
    listed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert listed.stdout == "kalloy.toml\n", (said, listed)


@pytest.mark.parametrize("name", NAMES)
def test_a_local_batch_runs_under_any_name(tmp_path: Path, copy_of: Copy, kalloy: str, name: str) -> None:
    from kalloy.workflows.submission.batch import new_batch

    campaign = copy_of("written", tmp_path / name)
    ready = [s.attempt for s in all_standings(campaign) if s.attempt][:1]
    batch = new_batch(campaign, [ready], campaign.spec.machine.for_stage(campaign.spec.stages[0]))
    done = subprocess.run(["bash", str(batch.script), "0"], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done
    assert ready[0].state == "done"


LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "LANG": "xx_YY"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "no_SUCH.locale"},
]


@pytest.mark.parametrize(
    "environment",
    [LOCALES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in LOCALES[1:-1]), LOCALES[-1]],
    ids=lambda e: " ".join(e.values()),
)
def test_any_locale_will_do(tmp_path: Path, kalloy: str, states: dict[str, Path], environment: dict[str, str]) -> None:
    campaign = shutil.copytree(states["done"], tmp_path / "größe")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))} | environment

    def run(*words: str) -> bytes:
        done = subprocess.run([kalloy, *words, str(campaign)], env=env, capture_output=True, check=False)
        assert done.returncode == 0, done
        return done.stdout

    told = json.loads(run("rank", "--json").decode("ascii" if "PYTHONIOENCODING" in env else "utf-8"))
    assert told[0]["member"] == "host"
    assert b"meV" in run("rank")
    run("report")
    assert "Å" in (campaign / "report" / "index.html").read_text(encoding="utf-8")
