"""A campaign on stand-ins of PBS, Torque and LSF that check their arguments: our calls, not the real programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FAKE = Path(__file__).with_name("fake_pbs_lsf.py")


@pytest.mark.parametrize("kind", ["pbs", "pbs without history", pytest.param("torque", marks=pytest.mark.slow), "lsf"])
def test_a_campaign_is_done_once(kind: str, tmp_path: Path, make_cluster: Callable[..., Any]) -> None:
    kind, _, forgets = kind.partition(" ")
    (tmp_path / "bin").mkdir()
    (tmp_path / "state").mkdir()
    for name in ("qsub", "qstat", "qdel", "qmgr", "bsub", "bjobs", "bkill", "bparams"):
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\n" + FAKE.read_text())
        path.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "FAKE_SCHEDULER": str(tmp_path / "state"),
        "FAKE_KIND": kind,
        **({"FAKE_NO_HISTORY": "1"} if forgets else {}),
    }
    cluster = make_cluster(kind, environment)
    cluster.options = 'options = { queue = "test", time = "01:00:00" }'
    campaign = cluster.campaign(tmp_path / "c")
    done = cluster.run("run", str(campaign.root))
    assert done.returncode == 0, done
    assert len(cluster.ledger(campaign)) == 6
    assert set(cluster.ledger(campaign).values()) == {1}
