"""How long a campaign takes: from measured costs alone, and what has none is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.estimate import Estimate, estimate
from tests.specs import ONE_K

SPEC = (
    ONE_K
    + """
[calculation]
preset = "own.yaml"
engine = "gpaw"

[[step]]
stages = ["static", "dos"]
on = "all"

[site.local]
jobs = 2
"""
)


def _campaign(folder: Path, seconds: str) -> Campaign:
    (folder / "kalloy.toml").write_text(SPEC)
    cost = f"cost:\n  gpaw: {{atoms: 22, cpu_seconds: {{{seconds}}}}}\n" if seconds else ""
    (folder / "own.yaml").write_text(f'dated: "2026-11-30"\nparent: accurate\nsummary: a trial\n{cost}')
    return Campaign(folder)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("static: 100, dos: 60", Estimate(4.0, ())),  # three of each, two at a time
        ("static: 100", Estimate(2.5, ("dos",))),
        ("relax: 100", None),
        ("", None),
    ],
)
def test_what_was_never_measured_is_not_counted_as_nothing(
    tmp_path: Path, seconds: str, expected: Estimate | None
) -> None:
    assert estimate(_campaign(tmp_path, seconds)) == expected


def test_stages_without_a_cost_are_named(tmp_path: Path, kalloy: str) -> None:
    _campaign(tmp_path, "static: 100")
    (tmp_path / "kalloy.toml").write_text(SPEC + 'commands = { gpaw = "false" }\n')
    done = subprocess.run([kalloy, "run", tmp_path], env=os.environ, capture_output=True, text=True, check=False)
    assert "about 2 min with free cores, without dos\n" in done.stdout
