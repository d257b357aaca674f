"""Campaigns for tests: the home case's primitive cell with the stand-in engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalloy.workflows.campaign import Campaign

SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "primitive"

[[substitution]]
replace = "Cs"
with = "K"
count = [1]

[calculation]
preset = "{preset}"
engine = "gpaw"

[[step]]
stages = ["relax", "static"]
on = "all"

[[step]]
stages = ["dos", "bands"]
on = {{ host = true, lowest = 1 }}

[site.local]
jobs = 2
commands = {{ gpaw = "{engine}" }}
"""


def make_campaign(folder: Path, engine: str, preset: str = "laptop") -> Campaign:
    """A campaign folder with one K on the primitive cell's eight Cs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kalloy.toml").write_text(SPEC.format(engine=engine, preset=preset))
    return Campaign(folder)


@pytest.fixture
def campaign(tmp_path: Path, standin: str) -> Campaign:
    return make_campaign(tmp_path / "c", standin)
