"""A campaign computed by the stand-in engine in this process, and its report."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.index import Index
from kalloy.workflows.report.page import write_report
from kalloy.workflows.steps import select
from kalloy.workflows.submission.board import standings
from kalloy.workflows.submission.driver import write_step
from tests.specs import ONE_K

SPEC = (
    ONE_K
    + """

[calculation]
preset = "laptop"
engine = "gpaw"

[[step]]
stages = ["relax", "static"]
on = "all"

[[step]]
stages = ["dos", "bands"]
on = {{ host = true, lowest = 1 }}

[reference]
name = "a <script>alert(1)</script> paper"
host = {{ gap_eV = 3.91, direct = false }}
lowest = {{ gap_eV = 3.96, direct = false, volume_change_percent = -2.2 }}
peak_shifts = {{ "006" = 0.47, "20-24" = 0.23, "110" = -0.03 }}

[site.local]
commands = {{ gpaw = "{engine}" }}
"""
)


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory, standin: str) -> Campaign:
    """One K on the primitive cell's eight Cs: everything asked for is done."""
    folder = tmp_path_factory.mktemp("report") / "my campaign"
    folder.mkdir()
    (folder / "kalloy.toml").write_text(SPEC.format(engine=standin))
    campaign = Campaign(folder)
    for step in (1, 2):
        selection = select(campaign, step)
        write_step(campaign, selection)
        for standing in standings(campaign, step):
            assert standing.attempt is not None
            assert execute(standing.attempt.folder) is Outcome.DONE
        Index(campaign).collect()
    return campaign


@pytest.fixture(scope="session")
def page(computed: Campaign) -> Path:
    """Its report's page."""
    return write_report(computed)
