"""kalloy.toml is validated whole; what is wrong is named with its place and its mend."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.errors import SpecError
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.spec import On, load_spec, parse_spec

GOOD = """\
[host]
structure = "Cs4PbBr6"

[[substitution]]
replace = "Cs"
with = "K"
count = 3

[calculation]
preset = "paper"
site = "big"

[[step]]
stages = ["relax", "static"]

[[step]]
stages = ["dos", "bands"]
on = { host = true, lowest = 2 }

[site.big]
jobs = 4
incar = { NCORE = 4 }
"""


def refuse(tmp_path: Path, text: str) -> str:
    path = tmp_path / "kalloy.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_whole_spec(tmp_path: Path) -> None:
    path = tmp_path / "kalloy.toml"
    path.write_text(GOOD)
    spec = load_spec(path)
    assert spec.stages == [Stage.RELAX, Stage.STATIC, Stage.DOS, Stage.BANDS]
    assert spec.step[1].on == On(host=True, lowest=2)
    assert spec.machine.side_by_side == 4
    assert spec.machine.incar == {"NCORE": 4}
    assert spec.substitution[0].with_ == "K"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("structure =", "strukture =", ["kalloy.toml:2", "'host.strukture'", "did you mean 'structure'?"]),
        ("jobs =", "job =", ["kalloy.toml:21", "did you mean 'jobs'?"]),
        ("[calculation]", "[calculations]", ["did you mean 'calculation'?"]),
        ('"relax", "static"', '"relax", "statik"', ["stages"]),
        ('stages = ["relax", "static"]', 'stages = ["relax"]', ["'dos' before its parent 'static'"]),
        ('stages = ["dos", "bands"]', 'stages = ["static", "dos"]', ["'static' twice"]),
        ('site = "big"', 'site = "small"', ["no table [site.small]"]),
        ("count = 3", "count = 3\nfraction = 0.5", ["exclude each other"]),
        ("lowest = 2", "lowest = -2", ["lowest"]),
        ('preset = "paper"', "", ["'calculation.preset' is missing"]),
        ("[host]", "[host", ["not valid TOML", "line 1"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in GOOD
    message = refuse(tmp_path, GOOD.replace(old, new, 1))
    for word in words:
        assert word in message
    assert "\n" not in message


def test_the_first_step_cannot_choose_the_lowest(tmp_path: Path) -> None:
    text = GOOD.replace('["relax", "static"]', '["relax", "static"]\non = { lowest = 1 }')
    assert "nothing has a static energy yet" in refuse(tmp_path, text)


@pytest.mark.parametrize(
    ("members", "taken"),
    [
        ('["K3/c01", "K3/c02"]', True),
        ('["K3/c01"]', False),
        ('["K3/c01", "K3/c02", "K2/c1"]', False),
        ('["host"]', False),
    ],
)
def test_the_lowest_of_members_named_earlier(tmp_path: Path, members: str, taken: bool) -> None:
    """The two lowest of each content exist where an earlier step names two members of each."""
    text = GOOD.replace('["relax", "static"]', f'["relax", "static"]\non = {{ host = true, members = {members} }}')
    if taken:
        (tmp_path / "kalloy.toml").write_text(text)
        assert load_spec(tmp_path / "kalloy.toml").step[1].on == On(host=True, lowest=2)
    else:
        assert "the 2 lowest, which no earlier step takes through 'static'" in refuse(tmp_path, text)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12), st.integers(0, 4))
def test_no_unknown_key_passes_in_silence(key: str, table: int) -> None:
    raw = tomllib.loads(GOOD)
    place = [raw, raw["host"], raw["substitution"][0], raw["calculation"], raw["step"][1]["on"]][table]
    known = {"structure", "cell", "replace", "with", "with_", "count", "fraction", "preset", "engine", "site", "incar"}
    known |= {"host", "substitution", "calculation", "step", "reference", "lowest", "members"}
    if key in known:
        return
    place[key] = 1
    with pytest.raises(SpecError, match=f"{key}'"):
        parse_spec(raw, "kalloy.toml")
