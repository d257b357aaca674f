"""The published study's screen by CHGNet, as `make screen` computes it, against what was measured before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import spearmanr

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cs4pbbr6-screen"
MEMBERS = json.loads((EXAMPLE / "chgnet.json").read_text())["members"]


def test_p321_with_all_k_on_6a_wins() -> None:
    host, first, second, third, fourth = MEMBERS[:5]
    assert host["member"] == "host"
    assert (first["space_group"], first["positions"], first["degeneracy"]) == ("P321", "K 3×6a", 6)
    assert {second["space_group"], third["space_group"]} == {"P3", "R32"}
    assert fourth["positions"] == "K 2×6a 1×18e"
    assert len(MEMBERS) == 71
    assert sum(m["degeneracy"] for m in MEMBERS[1:]) == 2024


def test_energies_are_those_that_another_script_measured(shared: Path) -> None:
    """Matched by symmetry, positions and rank; the other script stopped earlier, so its energies lie higher."""
    measured = json.loads((shared / "structures/chgnet_k3cs21pb6br36.json").read_text())["tight"]["configurations"]
    kinds = {"aaa": "K 3×6a", "aae": "K 2×6a 1×18e", "aee": "K 1×6a 2×18e", "eee": "K 3×18e"}
    theirs = sorted((kinds[m["wyckoff"]], m["spacegroup"], m["degeneracy"], m["energy_eV"]) for m in measured)
    ours = sorted((m["positions"], m["space_group"], m["degeneracy"], m["energy_eV"]) for m in MEMBERS[1:])
    assert [o[:3] for o in ours] == [t[:3] for t in theirs]
    lower = [1000 * (t[3] - o[3]) for o, t in zip(ours, theirs, strict=True)]
    assert min(lower) > -1
    assert max(lower) < 20
    assert spearmanr([o[3] for o in ours], [t[3] for t in theirs]).statistic > 0.99
    assert MEMBERS[2]["relative_meV"] == pytest.approx(25, abs=5)
