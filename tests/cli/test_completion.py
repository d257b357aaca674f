"""Completion, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kalloy.cli import VERBS
from kalloy.cli.completion import SHELLS

TAB = "\t"
PATIENCE = 60.0
"""Seconds until a shell has answered, however busy the machine is."""


@pytest.fixture
def environment(kalloy: str, tmp_path: Path) -> dict[str, str]:
    path = f"{Path(kalloy).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "% ", "PROMPT_EOL_MARK": ""}


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    folder = tmp_path / "my campaign"
    (folder / "selections").mkdir(parents=True)
    (folder / "kalloy.toml").write_text("")
    (folder / "selections/01-all.json").write_text('{"members": ["host", "K1/c1", "K1/c2"]}')
    (folder / "selections/02-dos.json").write_text("{")  # no reason to say anything at a tab
    return folder


def ask(kalloy: str, environment: dict[str, str], *words: str, cwd: Path | None = None) -> list[str]:
    """What click answers to bash for the last of these words."""
    asked = {"COMP_WORDS": "\n".join(["kalloy", *words]).replace("\n", " "), "COMP_CWORD": str(len(words))}
    env = {**environment, **asked, "_KALLOY_COMPLETE": "bash_complete"}
    done = subprocess.run([kalloy], env=env, cwd=cwd, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def type_in(shell: list[str], environment: dict[str, str], cwd: Path, lines: list[tuple[str, str]]) -> str:
    """Type into an interactive shell, each line until the shell has shown what is awaited.

    Parameters
    ----------
    lines : what is typed, and what must come on the screen after it.
    """
    child, screen = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execvpe(shell[0], shell, environment)
    shown = ""
    try:
        for typed, awaited in lines:
            before = len(shown)
            os.write(screen, typed.encode())
            deadline = time.monotonic() + PATIENCE
            while awaited not in shown[before:]:
                assert time.monotonic() < deadline, f"no {awaited!r} in {shown[before:]!r}"
                if select.select([screen], [], [], 0.2)[0]:
                    shown += os.read(screen, 65536).decode(errors="replace")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(screen)
    return shown


def test_bash(environment: dict[str, str], campaign: Path) -> None:
    lines = [
        ('eval "$(kalloy completion bash)"; echo re"ady"\n', "ready"),
        (f"kalloy sta{TAB}", "kalloy status "),
        (f"\x15kalloy new --preset acc{TAB}", "accurate "),
        (f"\x15kalloy cancel --member K1/{TAB}{TAB}{TAB}", "K1/c2"),
    ]
    type_in(["bash", "--norc", "--noprofile", "-i"], environment, campaign, lines)


def test_zsh(environment: dict[str, str], campaign: Path) -> None:
    if not shutil.which("zsh"):
        pytest.skip("no zsh (Debian: apt-get install zsh)")
    lines = [
        ('autoload -U compinit; compinit -u -D; eval "$(kalloy completion zsh)"; echo re"ady"\n', "ready"),
        (f"kalloy sta{TAB}", "kalloy status "),
        (f"\x15kalloy new --preset acc{TAB}", "accurate "),
        (f"\x15kalloy cancel --member K1/{TAB}{TAB}", "K1/c2"),
    ]
    type_in(["zsh", "-f", "-i"], environment, campaign, lines)


def test_fish(environment: dict[str, str], campaign: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("no fish (Debian: apt-get install fish)")
    asked = ("kalloy sta", "kalloy new --preset acc", "kalloy cancel --member K1/")
    script = "kalloy completion fish | source\n" + "\n".join(f"complete --do-complete '{line}'" for line in asked)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environment, cwd=campaign, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"status\t{VERBS['status']}", "accurate", "K1/c1", "K1/c2"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["retry", "report"]),
        (["new", "--host", "Cs"], ["Cs4PbBr6", "Cs4PbBr6-measured", "CsBr", "CsPbBr3"]),
        (["count", "K"], ["KBr"]),
        (["new", "--preset", ""], ["accurate", "laptop", "paper", "paper-gamma", "smoke"]),
        (["write", "--diff", "paper"], ["paper", "paper-gamma"]),
        (["new", "--cell", "p"], ["primitive"]),
        (["new", "--engine", ""], ["gpaw", "vasp"]),
        (["adopt", "--stage", ""], ["relax", "static", "dos", "bands", "optics", "soc", "hse"]),
        (["retry", "--state", "c"], ["cancelled"]),
        (["retry", "--cause", "w"], ["walltime"]),
        (["completion", ""], list(SHELLS)),
        (["doctor", "--j"], ["--json"]),
        (["--v"], ["--version"]),
        (["nonsense", "--"], ["--version", "--debug", "--help"]),  # a wrong verb is no reason for an error at a tab
    ],
)
def test_what_is_offered(words: list[str], expected: list[str], kalloy: str, environment: dict[str, str]) -> None:
    assert sorted(ask(kalloy, environment, *words)) == sorted(expected)


def test_members_of_the_campaign_that_is_named(kalloy: str, environment: dict[str, str], campaign: Path) -> None:
    (campaign.parent / "other").symlink_to(campaign)
    named = ask(kalloy, environment, "cancel", "other", "--member", "", cwd=campaign.parent)
    inside = ask(kalloy, environment, "retry", "--member", "", cwd=campaign)
    assert named == inside == ["host", "K1/c1", "K1/c2"]
    assert ask(kalloy, environment, "retry", "--member", "", cwd=campaign.parent) == ["host"]


def test_a_tab_imports_nothing_heavy() -> None:
    code = (
        "import os, sys\nfrom kalloy.cli import cli\n"
        "os.environ |= {'COMP_WORDS': 'kalloy new --host ', 'COMP_CWORD': '3', '_KALLOY_COMPLETE': 'bash_complete'}\n"
        "try: cli.main([], prog_name='kalloy')\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & "
        "{'numpy', 'pymatgen', 'ase', 'spglib', 'matplotlib', 'gpaw', 'custodian', 'rich', 'pydantic'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Cs4PbBr6" in out
    assert out.splitlines()[-1] == "[]"
