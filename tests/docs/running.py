"""Blocks of pages, done: commands in an empty folder, tables as specs, scripts by this Python."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from kalloy.cli import VERBS, cli
from kalloy.workflows.inputs.preset import load_preset
from kalloy.workflows.spec import Spec, parse_spec
from tests.docs.blocks import MARKS, Block, commands, fits

SPEC = """
[host]
structure = "Cs4PbBr6"

[[substitution]]
replace = "Cs"
with = "K"
count = [3]

[calculation]
preset = "paper-gamma"

[[step]]
stages = ["relax", "static"]
on = "all"
"""


class Reader:
    """Somebody who does in one folder what a page says, block after block."""

    def __init__(self, folder: Path, kalloy: str, engine: str | None) -> None:
        """``engine``: what is called kalloy-gpaw; None for the free engine itself."""
        self.folder, self.said, self.true_engine = folder, "", engine is None
        outside = folder.parent / "outside"
        (outside / "bin").mkdir(parents=True)
        for name, command in {"kalloy": kalloy, "kalloy-gpaw": engine, "python": sys.executable}.items():
            if command:
                (outside / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
                (outside / "bin" / name).chmod(0o755)
        path = f"{outside / 'bin'}:{Path(kalloy).parent}:/usr/local/bin:/usr/bin:/bin"
        kept = {k: v for k, v in os.environ.items() if not re.match("PMG_|XDG_|KALLOY_|SLURM_|STANDIN_", k)}
        self.environment = {**kept, "PATH": path, "HOME": str(outside), "COLUMNS": "80", "OMP_NUM_THREADS": "1"}

    def do(self, block: Block) -> None:
        """Do one block as its mark says, or as its language does."""
        assert not block.mark or MARKS.fullmatch(block.mark), f"{block.place}: no mark '{block.mark}'"
        if block.marked("quoted") is not None or block.language.startswith("{"):
            return
        if block.marked("named") is not None:
            named(block)
            return
        if (name := block.marked("file")) is not None:
            (self.folder / name).write_text(block.text)
        if block.language in ("", "bash", "console"):
            if block.marked("file") is None:
                self._type(block)
        elif block.language == "text":
            assert self._unlike(block) or fits(block.text, self.said), f"{block.place}: it says\n{self.said}"
        elif block.language == "toml":
            load_fragment(block.text, block.place)
        elif block.language == "yaml":
            load_preset_fragment(block.text, self.folder.parent / "outside" / "fragment.yaml")
        else:
            assert block.language == "python", f"{block.place}: nobody knows how to check '{block.language}'"
            self._run([sys.executable, "-W", "error:::kalloy", "-c", block.text], block, 0)

    def _type(self, block: Block) -> None:
        code = int(block.marked("exit") or 0)
        for command, below in commands(block.text):
            self._run(["bash", "-eo", "pipefail", "-c", command], block, code)
            assert not below.strip() or self._unlike(block) or fits(below, self.said), (
                f"{block.place}: `{command}` says\n{self.said}"
            )

    def _unlike(self, block: Block) -> bool:
        """Whether its figures are the free engine's, and another one runs."""
        return block.mark == "engine" and not self.true_engine

    def _run(self, words: list[str], block: Block, code: int) -> None:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said = done.stdout
        assert done.returncode == code, f"{block.place}: exit code {done.returncode}, expected {code}:\n{self.said}"


def named(block: Block) -> None:
    """The verbs and options of a block that cannot be run here exist."""
    for line in re.findall(r"^\$? ?(kalloy [a-z].*)$", block.text, re.MULTILINE):
        words = shlex.split(line, comments=True)
        assert words[1] in VERBS, line
        known = CliRunner().invoke(cli, [words[1], "--help"]).output
        for word in words[2:]:
            assert not word.startswith("-") or re.search(rf"(^|\s){re.escape(word.split('=')[0])}\b", known), line


def load_fragment(text: str, where: str) -> Spec:
    """A kalloy.toml, or tables of one that are put into a small one of K on Cs."""
    shown, base = tomllib.loads(text), tomllib.loads(SPEC)
    merged: dict[str, Any] = shown if "host" in shown else {**base, **shown}
    if "host" not in shown:
        merged["calculation"] = {**base["calculation"], **shown.get("calculation", {})}
        begins = any("relax" in step["stages"] for step in shown.get("step", []))
        merged["step"] = ([] if begins else base["step"]) + shown.get("step", [])
    site = merged["calculation"].get("site", "local")
    if site != "local" and site not in merged.get("site", {}):
        merged = {**merged, "site": {**merged.get("site", {}), site: {}}}  # a page shows the table elsewhere
    return parse_spec(merged, where)


def load_preset_fragment(text: str, path: Path) -> None:
    """A preset, or keys of one that are put into a small one."""
    shown = yaml.safe_load(text)
    path.write_text(yaml.safe_dump({"dated": "2026-11-24", "parent": "paper-gamma", "summary": "shown", **shown}))
    load_preset(str(path))
