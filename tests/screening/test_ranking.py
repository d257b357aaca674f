"""Rankings of results that nobody computed: order, ties, cells in the host's axes, and who may be compared at all."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kalloy.cli import cli
from kalloy.errors import AgreementError, InputError
from kalloy.structures.host import load_host
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.agreement import mesh_spacing, parse_allowed
from kalloy.workflows.screening.doubts import doubts
from kalloy.workflows.screening.metric import HostMetric, from_metric, parameters, strain
from kalloy.workflows.screening.ranking import Order, rank
from kalloy.workflows.screening.tables import DEFAULT, KNOWN, WIDE, as_csv, columns, table_row
from tests.screening.synthetic import fill, make_campaign, result

UNITS = 2
"""Formula units of the primitive cell."""


def by_label(member: Member) -> float | None:
    """K3/c1 highest, K3/c8 lowest, 20 meV apart; the fifth failed."""
    number = int(member.label.rpartition("c")[2]) if not member.is_host else 0
    return None if number == 5 else -100.0 - 0.02 * number


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    made = make_campaign(tmp_path_factory.mktemp("ranked") / "c")
    stretched = made.host.crystal.scaled([1.02, 1.02, 1.02]).lattice
    fill(made, by_label, {"K3/c8": {"lattice": stretched, "gap": 4.0}})
    return made


def test_order_and_differences(campaign: Campaign) -> None:
    ranking = rank(campaign, Index(campaign).results())
    rows = list(ranking.rows)
    assert [r.member for r in rows] == ["host", *(f"K3/c{i}" for i in (8, 7, 6, 4, 3, 2, 1, 5))]
    assert [r.rank for r in rows] == [None, 1, 2, 3, 4, 5, 6, 7, None]
    assert rows[4].relative_meV == pytest.approx(80)
    assert rows[4].relative_meV_fu == pytest.approx(80 / UNITS)
    assert rows[4].relative_meV_atom == pytest.approx(80 / 3)
    assert rows[1].volume_change_percent == pytest.approx(100 * (1.02**3 - 1))
    assert rows[1].gap_shift_eV == pytest.approx(0.1)
    assert rows[-1].note == "not ranked: relax: told to fail"
    assert ranking.lowest(2) == ["K3/c8", "K3/c7"]
    assert (ranking.ranked, ranking.unranked) == (7, 1)
    assert [r.member for r in ranking.top(2)] == ["host", "K3/c8", "K3/c7"]
    assert ranking.rows == rank(campaign, dict(Index(campaign).results())).rows  # columns or objects: the same


def test_what_nobody_computed_has_no_row_to_show_but_is_counted(campaign: Campaign) -> None:
    results = {k: v for k, v in Index(campaign).results().items() if k[0] not in ("K3/c1", "K3/c2")}
    ranking = rank(campaign, results)
    assert [r.member for r in ranking.shown] == ["host", *(f"K3/c{i}" for i in (8, 7, 6, 4, 3, 5))]
    assert [r.member for r in ranking.rows][-3:] == ["K3/c5", "K3/c1", "K3/c2"]  # in JSON and CSV all the same
    assert (ranking.ranked, ranking.unranked, ranking.uncomputed) == (5, 3, 2)
    lines = doubts(campaign, ranking, results)
    assert "2 of K3 are not computed: left out by a step's choice, or not run yet" in lines
    assert "K3/c5 not ranked: relax: told to fail" in lines
    assert not any("K3/c1" in line for line in lines)


def test_cells_are_in_the_hosts_axes(campaign: Campaign) -> None:
    winner = rank(campaign, Index(campaign).results()).rows[1]
    assert winner.cell == pytest.approx((1.02 * 13.84597, 1.02 * 13.84597, 1.02 * 17.43382, 90, 90, 120))
    assert winner.strain_percent is not None
    assert np.array(winner.strain_percent) == pytest.approx(2 * np.eye(3), abs=1e-9)
    assert winner.sites.startswith("K ")
    assert 4 < winner.nearest_A["K-K"] < 8


def test_ties_are_called_ties(campaign: Campaign) -> None:
    results = Index(campaign).results()
    places = [r.place for r in rank(campaign, results, noise_meV=25).rows]
    assert places == ["", "1=", "1=", "3", "4=", "4=", "6=", "6=", ""]  # 0 20 | 40 | 80 100 | 120 140
    assert [r.place for r in rank(campaign, results, noise_meV=0).rows][1:4] == ["1", "2", "3"]
    assert rank(campaign, results, noise_meV={"K3": 1000}).rows[3].tie == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 300))
def test_a_tie_holds_all_within_the_noise_of_its_lowest(energies: list[float], noise: float) -> None:
    ordered = np.sort(energies)
    count = len(ordered)
    names = tuple(map(str, range(count)))
    order = Order("K3", names, (), ordered, np.ones(count), names, noise)
    ties = order.ties
    assert (np.diff(ties) >= 0).all()
    for i, tie in enumerate(ties):
        assert ties[tie - 1] == tie  # it is the place of its lowest
        assert order.relative_meV[i] - order.relative_meV[tie - 1] <= noise
        if i > 0 and ties[i] != ties[i - 1]:
            assert order.relative_meV[i] - order.relative_meV[ties[i - 1] - 1] > noise


def test_tables_hold_what_rows_know(campaign: Campaign) -> None:
    ranking = rank(campaign, Index(campaign).results())
    rows = list(csv.DictReader(io.StringIO(as_csv(ranking))))
    assert [r["member"] for r in rows] == [r.member for r in ranking.rows]
    assert float(rows[1]["c_A"]) == pytest.approx(1.02 * 17.43382)
    assert float(rows[1]["strain_zz_percent"]) == pytest.approx(2)
    assert len(table_row(ranking.rows[1], WIDE)) == len(WIDE)
    assert [c.name for c in columns(DEFAULT)] == list(DEFAULT)
    with pytest.raises(InputError, match="did you mean 'volume'"):
        columns(["volum"])
    texts = [column.cell(row) for column in KNOWN.values() for row in ranking.rows]
    assert {type(text) for text in texts} <= {str, type(None)}


def test_the_command(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "collect", lambda _: 0)
    root = str(campaign.root)
    out = CliRunner().invoke(cli, ["rank", root, "--top", "2", "--columns", "place,member,dE,c"])
    assert out.exit_code == 0, out.output
    assert "… 6 more" in out.output
    assert "17.78" in out.output
    shown = CliRunner().invoke(cli, ["rank", root]).output.split("\n-")[0]
    assert max(map(len, shown.splitlines())) <= 80
    parsed = json.loads(CliRunner().invoke(cli, ["rank", root, "--json"]).output)
    assert parsed[1]["place"] == 1
    assert parsed[1]["relative_meV_per_cell"] == 0


# -- agreement ------------------------------------------------------------------


def spoilt(tmp_path: Path, **settings: Any) -> Campaign:
    made = make_campaign(tmp_path / "c")
    fill(made, by_label, {"K3/c2": settings})
    return made


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ENCUT (eV)": 500.0}, "ENCUT"),
        ({"EDIFF (eV)": 1e-5}, "EDIFF"),
        ({"GGA": "PS"}, "GGA"),
        ({"k-mesh": "Gamma 3x3x3"}, "k-mesh"),
        ({"ISMEAR": -5}, "ISMEAR"),
        ({"datasets": {"Cs": "another", "Pb": "Pb 1", "Br": "Br 1"}}, "datasets"),
        ({"program": "vasp"}, "program"),
        ({"version": "25"}, "version"),
        ({"NELECT": 180.0}, "NELECT"),
        ({"atoms": 44}, "atoms"),
    ],
)
def test_what_was_made_differently_is_refused_until_it_is_taken_on(
    tmp_path: Path, settings: dict[str, Any], named: str
) -> None:
    campaign = spoilt(tmp_path, **settings)
    results = Index(campaign).results()
    with pytest.raises(AgreementError, match="K3/c2") as caught:
        rank(campaign, results)
    assert f"--allow {named}" in str(caught.value)
    ranking = rank(campaign, results, allowed=[named.lower()])
    assert any("K3/c2" in line and "was allowed" in line for a in ranking.agreement for line in a.doubts())
    other = "ISYM" if named != "ISYM" else "GGA"
    with pytest.raises(AgreementError):
        rank(campaign, results, allowed=[other])


def test_a_difference_is_taken_on_in_the_spec_too(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", more='[agreement]\nallow = ["ENCUT"]\n')
    fill(made, by_label, {"K3/c2": {"ENCUT (eV)": 500.0}})
    assert rank(made, Index(made).results()).agreement[0].taken_on
    with pytest.raises(InputError, match="did you mean 'ENCUT'"):
        parse_allowed(["ENCUTT"])


def test_k_points_are_counted_by_their_density() -> None:
    cell = 10 * np.eye(3)
    assert mesh_spacing({"k-mesh": "Gamma 4x4x4"}, cell) == pytest.approx(2 * np.pi / 40)
    assert mesh_spacing({"k-mesh": "Gamma 2x2x2"}, 2 * cell) == pytest.approx(2 * np.pi / 40)
    assert mesh_spacing({"k-mesh": "generated 64 points (4 0 0, 0 4 0, 0 0 4; shift 0 0 0 halves)"}, cell) == (
        pytest.approx(2 * np.pi / 40)
    )
    assert mesh_spacing({"k-mesh": "10 points"}, cell) is None


# -- the host's metric ---------------------------------------------------------------


@settings(max_examples=40)
@given(arrays(float, (3, 3), elements=st.floats(-0.1, 0.1)), arrays(float, 3, elements=st.floats(-3, 3)))
def test_strain_knows_no_rotation(small: Any, turn: Any) -> None:
    from scipy.spatial.transform import Rotation

    lattice = np.array([[7.0, 0, 0], [-3.5, 6.1, 0], [0, 0.3, 9.0]])
    symmetric = (small + small.T) / 2
    moved = lattice @ (np.eye(3) + symmetric) @ Rotation.from_rotvec(turn).as_matrix().T
    assert strain(moved, lattice) == pytest.approx(symmetric, abs=1e-9)


@pytest.mark.parametrize("cell", ["given", "primitive", "1 1 2"])
def test_every_cell_is_read_in_the_same_axes(cell: str) -> None:
    host = load_host("Cs4PbBr6", cell)
    metric = HostMetric(host)
    deformed = host.crystal.lattice @ np.diag([1.003, 1.003, 0.97])
    a, b, c, *angles = metric.parameters(deformed)
    assert (a, b, c) == pytest.approx((13.84597 * 1.003, 13.84597 * 1.003, 17.43382 * 0.97))
    assert angles == pytest.approx([90, 90, 120])
    sheared = host.crystal.lattice @ (np.eye(3) + np.array([[0, 0.01, 0.02], [0, 0, -0.01], [0, 0, 0]]))
    again = metric.conventional(from_metric(metric.symmetrised(sheared @ sheared.T)))
    assert parameters(again)[[3, 4, 5]] == pytest.approx([90, 90, 120], abs=1e-6)


def test_columns_are_what_the_results_say(campaign: Campaign) -> None:
    results = Index(campaign).results()
    statics = results.columns(Stage.STATIC)
    for i, member in enumerate(statics.members):
        found: CampaignResult = results[member, Stage.STATIC]
        assert bool(statics.usable[i]) is found.is_usable
        if found.is_usable:
            assert statics.figures["energy_eV"][i] == found.energy_eV
            assert statics.lattices[i].tolist() == found.lattice_A
            assert statics.distinct[statics.settings[i]] == found.settings
            assert found == result(campaign.member(member), Stage.STATIC, found.energy_eV, **_given(campaign, member))
    assert len(results) == len(list(results)) == 18


def _given(campaign: Campaign, member: str) -> dict[str, Any]:
    if member != "K3/c8":
        return {}
    return {"lattice": campaign.host.crystal.scaled([1.02, 1.02, 1.02]).lattice, "gap": 4.0}
