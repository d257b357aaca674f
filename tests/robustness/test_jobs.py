"""Jobs of this machine that somebody kills before they have begun: started again a few times, not for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.board import all_standings
from kalloy.workflows.submission.unbegun import MOST

if TYPE_CHECKING:
    from tests.robustness.conftest import Typed

Copy = Callable[[str, Path], Campaign]
KILLED = """#!/bin/bash
echo started >> {{{{ manifest }}}}.starts
[ "$(wc -l < {{{{ manifest }}}}.starts)" -gt {times} ] || kill -KILL $$
exec {{{{ kalloy }}}} execute --manifest {{{{ manifest }}}} --index "$1"
"""


@pytest.mark.parametrize("times", [MOST, MOST + 1])
def test_a_job_that_is_killed_before_it_begins_is_started_again(
    tmp_path: Path, copy_of: Copy, typed: Typed, times: int
) -> None:
    campaign = copy_of("new", tmp_path / "c")
    spec = campaign.root / "kalloy.toml"
    head, tail = spec.read_text().split("[[step]]", 1)[0], spec.read_text().split("[site.local]", 1)[1]
    spec.write_text(f'{head}[[step]]\nstages = ["static"]\non = {{ members = ["host"] }}\n\n[site.local]{tail}')
    (campaign.root / "hpc_templates").mkdir()
    (campaign.root / "hpc_templates" / "local.sh.j2").write_text(KILLED.format(times=times))
    said = typed("run", campaign.root)
    (starts,) = campaign.batches.glob("*/manifest.json.starts")
    assert len(starts.read_text().splitlines()) == MOST + 1
    found = all_standings(Campaign(campaign.root))
    assert [s.tries for s in found] == [1]
    if times == MOST:
        assert said.code == 0, said
        assert found[0].state is State.DONE
    else:
        assert said.code == 1
        assert "ended before it began" in said.err
        assert found[0].state is State.READY
    assert json.loads((campaign.root / "selections" / "01-static.json").read_text())["members"] == ["host"]
