"""Campaigns for tests: the home case's primitive cell with the stand-in engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows.campaign import Campaign
from tests.specs import ONE_K

SPEC = (
    ONE_K
    + """

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
)


@pytest.fixture(scope="session")
def make_campaign(standin: str) -> Callable[[Path], Campaign]:
    """Makes a campaign folder with one K on the primitive cell's eight Cs."""

    def make(folder: Path) -> Campaign:
        folder.mkdir(parents=True)
        (folder / "kalloy.toml").write_text(SPEC.format(engine=standin, preset="laptop"))
        return Campaign(folder)

    return make


@pytest.fixture
def campaign(tmp_path: Path, make_campaign: Callable[[Path], Campaign]) -> Campaign:
    return make_campaign(tmp_path / "c")
