"""Who goes on: each rule against its definition, on record, and refused where an earlier step may not have had them."""

from __future__ import annotations

import json
import tomllib
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kalloy.errors import SpecError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index
from kalloy.workflows.screening.choice import chosen, covering, remarks
from kalloy.workflows.screening.ranking import Order, rank
from kalloy.workflows.screening.thermodynamics import BOLTZMANN
from kalloy.workflows.spec import On, _left_out, parse_spec
from kalloy.workflows.steps import select, selection_file
from tests.screening.synthetic import SPEC, fill, make_campaign


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Two contents; energies 0, 20, 40, … meV per cell above K?/c1."""
    made = make_campaign(tmp_path_factory.mktemp("chosen") / "c", count="[2, 3]")
    fill(made, lambda m: -100.0 if m.is_host else -101.0 + 0.02 * int(m.label.rpartition("c")[2]))
    return made


def names(campaign: Campaign, **rule: Any) -> list[str]:
    return chosen(rank(campaign, Index(campaign).results()), On(**rule))


def test_each_rule_in_each_content(campaign: Campaign) -> None:
    assert names(campaign, lowest=2) == ["K2/c1", "K2/c2", "K3/c1", "K3/c2"]
    # Two formula units a cell: 20 meV/f.u. are 40 meV per cell.
    assert names(campaign, within_meV=20) == [f"K{n}/c{i}" for n in (2, 3) for i in (1, 2, 3)]
    assert names(campaign, within_meV=0) == ["K2/c1", "K3/c1"]
    assert names(campaign, within_meV=20, lowest=4) == [f"K{n}/c{i}" for n in (2, 3) for i in (1, 2, 3, 4)]
    assert len(names(campaign, weight=1.0, temperature=300)) == 6 + 8
    assert names(campaign, host=True) == []


def test_the_fewest_that_carry_the_weight(campaign: Campaign) -> None:
    order = rank(campaign, Index(campaign).results()).orders[1]
    for weight in (0.1, 0.5, 0.9, 0.95, 0.999):
        for kelvin in (50.0, 300.0, 5000.0):
            energies = order.relative_meV / 1000
            plain = [g * exp(-e / (BOLTZMANN * kelvin)) for g, e in zip(order.degeneracies, energies, strict=True)]
            taken = covering(order, weight, kelvin)
            carried = sorted((plain[i] / sum(plain) for i in taken), reverse=True)
            assert sum(carried) >= weight - 1e-9
            assert sum(carried[:-1]) < weight
            assert min(carried) >= max([p / sum(plain) for i, p in enumerate(plain) if i not in taken], default=0)


def test_who_is_left_out_by_a_tie_is_said(campaign: Campaign) -> None:
    ranking = rank(campaign, Index(campaign).results(), noise_meV=25)
    assert remarks(ranking, On(lowest=1)) == [
        "K2/c2: within the noise of K2/c1, the last of the 1 lowest",
        "K3/c2: within the noise of K3/c1, the last of the 1 lowest",
    ]
    assert remarks(ranking, On(lowest=2)) == []


def test_nobody_ranked_is_nobody_chosen() -> None:
    empty = Order("K3", (), ("K3/c1",), np.zeros(0), np.zeros(0), (), None)
    assert empty.ties.tolist() == []
    assert empty.relative_meV.tolist() == []


def test_the_record_holds_rule_and_inputs_and_outlives_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = '[[step]]\nstages = ["dos"]\non = { weight = 0.95, temperature = 300 }\n'
    campaign = make_campaign(tmp_path / "c", more=more)
    fill(campaign, lambda m: -100.0 if m.is_host else -101.0 + 0.02 * int(m.label.rpartition("c")[2]))
    monkeypatch.setattr(Index, "collect", lambda _: 0)
    select(campaign, 1)
    made = select(campaign, 2, allow_missing=True)
    record = json.loads(selection_file(campaign, 2).read_text())
    assert record["rule"]["weight"] == 0.95
    assert [r["member"] for r in record["inputs"]][:2] == ["K3/c1", "K3/c2"]
    assert record["inputs"][0]["attempt"] == "K3/c1/static/a01"
    assert set(made.members) == set(names(campaign, weight=0.95, temperature=300))
    del record["rule"]["within_meV"]  # as a kalloy wrote it that did not know the key
    selection_file(campaign, 2).write_text(json.dumps(record))
    assert select(campaign, 2).members == made.members


@pytest.mark.parametrize(
    ("earlier", "later", "complaint"),
    [
        ({"lowest": 2}, {"within_meV": 5}, "all within 5 meV"),
        ({"within_meV": 5}, {"within_meV": 6}, "all within 6 meV"),
        ({"within_meV": 5}, {"lowest": 2}, "the 2 lowest"),
        ({"weight": 0.9, "temperature": 300}, {"lowest": 1}, "the 1 lowest"),
        ({"weight": 0.9, "temperature": 300}, {"weight": 0.9, "temperature": 400}, "0.9 of the Boltzmann weight"),
        ({"within_meV": 5}, {"lowest": 1}, None),
        ({"within_meV": 5}, {"within_meV": 5}, None),
        ({"lowest": 3}, {"lowest": 2}, None),
        ({"weight": 0.9, "temperature": 300}, {"weight": 0.8, "temperature": 300}, None),
        ({"lowest": 1}, {"weight": 0.8}, "weight and temperature go together"),
    ],
)
def test_steps_follow_from_earlier_ones(earlier: dict[str, Any], later: dict[str, Any], complaint: str | None) -> None:
    if complaint is None:
        assert _left_out(On(**later), On(**earlier)) is None
    elif "together" in complaint:
        with pytest.raises(ValueError, match=complaint):
            On(**later)
    else:
        assert _left_out(On(**later), On(**earlier)) == complaint


def test_a_window_needs_energies_first() -> None:
    raw = tomllib.loads(SPEC.format(cell="primitive", count="[3]", more=""))
    raw["step"] = [{"stages": ["relax"], "on": {"within_meV": 10}}]
    with pytest.raises(SpecError, match="nothing has a static energy yet"):
        parse_spec(raw, "kalloy.toml")
