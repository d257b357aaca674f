"""The table of docs/study.md is what its results say."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def test_the_table_is_that_of_the_results() -> None:
    text = (REPOSITORY / "docs/study.md").read_text()
    rows = {r["member"]: r for r in json.loads((REPOSITORY / "examples/cs4pbbr6-400eV/results.json").read_text())}
    host, alloy, other = rows["host"], rows["K1/c2"], rows["K1/c1"]
    change = {axis: 100 * (alloy[axis] / host[axis] - 1) for axis in ("a_A", "c_A")}
    for said in (
        f"{host['gap_eV']:.3f} eV, indirect by {host['indirect_margin_meV']:.0f} meV ({host['character']})",
        f"{alloy['gap_eV']:.3f} eV, {alloy['character']} by {alloy['indirect_margin_meV']:.0f} meV",
        f"{alloy['gap_shift_eV']:+.3f} eV",
        f"{alloy['volume_change_percent']:.2f} %".replace("-", "−"),
        f"{other['relative_meV_per_formula_unit']:.1f} meV per formula unit",
        f"{change['a_A']:+.2f} %, {change['c_A']:.2f} %".replace("-", "−"),
        f"a = {host['a_A']:.3f}, c = {host['c_A']:.3f} Å",
    ):
        assert said in text, said


def test_the_order_is_that_of_the_results() -> None:
    text = (REPOSITORY / "docs/study.md").read_text()
    rows = json.loads((REPOSITORY / "examples/cs4pbbr6-order/results.json").read_text())
    models = json.loads((REPOSITORY / "examples/cs4pbbr6-screen/chgnet.json").read_text())["members"]
    model = {m["member"]: m["relative_meV"] for m in models}
    computed = [row for row in rows if row["rank"]]
    assert len(computed) == 5
    for row in computed:
        said = f"| {row['member']} | {row['space_group']} | {row['sites']} | {model[row['member']]:.0f} | "
        said += f"{row['relative_meV_per_cell']:.0f} | {row['gap_shift_eV']:+.3f} |"
        assert said.replace("-", "−") in text


def test_the_spectra_of_the_66_atoms_are_those_of_the_results() -> None:
    text = (REPOSITORY / "docs/study.md").read_text()
    rows = {r["member"]: r for r in json.loads((REPOSITORY / "examples/cs4pbbr6-winner/results.json").read_text())}
    host, winner = rows["host"], rows["K03/c41"]
    assert host["gap_source"] == winner["gap_source"] == "static mesh + dos mesh + bands path"
    assert winner["space_group"] == "P321"
    for row in (host, winner):
        margin = "" if row["character"] == "direct" else f" by {row['indirect_margin_meV']:.0f} meV"
        assert f"| {row['gap_eV']:.3f} eV, {row['character']}{margin} |" in text
    assert f"| {winner['gap_shift_eV']:+.3f} eV |" in text


def test_the_optical_spectra_are_those_of_the_results() -> None:
    text = " ".join((REPOSITORY / "docs/study.md").read_text().split())
    with (REPOSITORY / "examples/cs4pbbr6-winner/absorption.csv").open() as file:
        rows = list(csv.DictReader(file))
    maxima, static = {}, {}
    for member in ("host", "K03/c41"):
        curve = [r for r in rows if r["member"] == member]
        rise = [float(b["epsilon2"]) - float(a["epsilon2"]) for a, b in pairwise(curve)]
        tops = (float(r["energy_eV"]) for r, up, down in zip(curve[1:], rise, rise[1:], strict=False) if up > 0 >= down)
        maxima[member], static[member] = (next(tops), next(tops)), float(curve[0]["epsilon1"])
    host, alloy = maxima["host"], maxima["K03/c41"]
    assert f"from {host[0]:.2f} and {host[1]:.2f} eV to {alloy[0]:.2f} and {alloy[1]:.2f}" in text
    assert f"({static['host']:.2f} and {static['K03/c41']:.2f})" in text
