"""An alloy from results that nobody computed: averages, mixing, exchange with salts, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from math import exp, fsum, log
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.errors import AgreementError, AverageError, InputError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index, store
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.report.alloy import alloy_blocks
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.averages import averages, mixing_rows, trust
from kalloy.workflows.screening.metric import HostMetric, from_metric
from kalloy.workflows.screening.ranking import rank
from kalloy.workflows.screening.thermodynamics import BOLTZMANN
from tests.screening.synthetic import SPEC, fill, make_campaign, result

REFERENCES = '[references]\nKBr = "KBr"\nCsBr = "CsBr"\n'


def energy(member: Member) -> float:
    """eV per cell: −1 for each K, 0.1 for each pair of them, less what 6a gives; salts by the formula unit."""
    if member.label.startswith("refs/"):
        return (-6.9 if "KBr" in member.label else -6.0) * member.crystal.formula_units
    if member.configuration is None:
        return -100.0
    host = member.configuration.host
    taken = [s for s, o in zip(member.configuration.sites, member.configuration.occupation, strict=True) if o == "K"]
    on_6a = sum(host.wyckoff[s][0] == "6a" for s in taken)
    return -100.0 - len(taken) + 0.1 * len(taken) * (8 - len(taken)) / 8 - 0.03 * on_6a


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    made = make_campaign(tmp_path_factory.mktemp("alloy") / "c", count='"all"', more=REFERENCES)
    # The gap is Vegard's line less 0.4 x (1 − x).
    changed = {}
    for member in made.members.values():
        x = member.crystal.composition.get("K", 0) / 8 if not member.label.startswith("refs/") else 0
        scale = 1 - 0.02 * x
        changed[member.label] = {
            "gap": 3.9 + 0.3 * x - 0.4 * x * (1 - x),
            "lattice": member.crystal.scaled([scale] * 3).lattice,
            "k-mesh": "Gamma 6x6x6" if member.label.startswith("refs/") else "Gamma 2x2x2",
        }
    fill(made, energy, changed)
    return made


@pytest.fixture
def alloy(campaign: Campaign) -> Alloy:
    results = Index(campaign).results()
    return Alloy(campaign, rank(campaign, results, noise_meV=10), results)


def test_every_content_is_whole(alloy: Alloy) -> None:
    assert [e.covered for e in alloy.ensembles.values()] == [1] * 8
    assert {c: e.arrangements for c, e in alloy.ensembles.items()} == {
        f"K{n}": w for n, w in zip(range(1, 9), (8, 28, 56, 70, 56, 28, 8, 1), strict=True)
    }


def test_averages_by_hand(alloy: Alloy) -> None:
    found = {(a.content, a.temperature): a for a in averages(alloy, [0, 300, np.inf], ["gap", "volume", "a"])}
    members = alloy.campaign.configurations
    mine = [(energy(m), m.degeneracy, m) for m in members if m.content == "K3"]
    weights = [g * exp(-(e - min(mine)[0]) / (BOLTZMANN * 300)) for e, g, _ in mine]
    at_300 = found["K3", 300]
    mean = fsum(w * e for w, (e, _, _) in zip(weights, mine, strict=True)) / fsum(weights)
    assert at_300.energy_meV_fu == pytest.approx(1000 * (mean - min(e for e, _, _ in mine)) / 2)
    assert at_300.free_energy_meV_fu == pytest.approx(-1000 * BOLTZMANN * 300 * log(fsum(weights)) / 2, abs=1e-6)
    assert found["K3", np.inf].entropy_kB == pytest.approx(log(56))
    assert found["K3", np.inf].free_energy_meV_fu is None
    assert found["K3", np.inf].entropy_of_ideal == pytest.approx(alloy.finite_cell_factor("K3"))
    assert found["K8", 300].entropy_of_ideal is None
    taken = found["K3", np.inf].occupancies
    assert {w: e.value for w, e in taken.items()} == pytest.approx({("K", "6a"): 3 / 8, ("K", "18e"): 3 / 8})
    for average in found.values():  # occupancies times sites are the content: 2 of 6a and 6 of 18e in this cell
        total = 2 * average.occupancies["K", "6a"].value + 6 * average.occupancies["K", "18e"].value
        assert total == pytest.approx(int(average.content[1:]))
    a = alloy.campaign.host.crystal.lattice
    assert at_300.mean_cell == pytest.approx(alloy.metric.parameters(a * (1 - 0.02 * 3 / 8)))
    assert at_300.quantities["gap"].error == pytest.approx(0, abs=1e-12)  # one gap a content
    assert at_300.occupancies["K", "6a"].error
    assert not any("no error bars" in line for line in trust(alloy, list(found.values())))


def test_mixing_by_hand(alloy: Alloy) -> None:
    rows = mixing_rows(alloy, [300])
    lowest = {n: min(energy(m) for m in alloy.campaign.configurations if m.content == f"K{n}") for n in range(1, 9)}
    lowest[0] = -100.0
    by_hand = [1000 * (lowest[n] - (1 - n / 8) * lowest[0] - n / 8 * lowest[8]) / 2 for n in range(9)]
    assert [r["mixing_meV_per_formula_unit"] for r in rows] == pytest.approx(by_hand, abs=1e-6)
    assert [r["fraction"] for r in rows] == [n / 8 for n in range(9)]
    assert all(r["above_hull_meV_per_formula_unit"] >= 0 for r in rows)


def test_exchange_by_hand(alloy: Alloy) -> None:
    found = {e.content: e for e in alloy.exchanges()}
    three = min(energy(m) for m in alloy.campaign.configurations if m.content == "K3")
    assert found["K3"].energy_eV == pytest.approx(((three + 3 * -6.0) - (-100.0 + 3 * -6.9)) / 3)
    assert (found["K3"].source, found["K3"].product) == ("refs/KBr", "refs/CsBr")
    source, product = alloy.reference_pairs[0]
    x, _ = alloy.solubility(source, product, 500)
    assert x == pytest.approx(alloy.grand().content(-0.9, 500)[0])
    assert alloy.grand().missing == []


def test_a_coarser_mesh_of_a_salt_is_refused(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", count="[1]", more=REFERENCES)
    fill(made, energy, {"refs/KBr": {"k-mesh": "Gamma 2x2x2"}, "refs/CsBr": {"k-mesh": "Gamma 9x9x9"}})
    results = Index(made).results()
    ranking = rank(made, results)
    with pytest.raises(AgreementError, match="k-mesh spacing") as caught:
        Alloy(made, ranking, results).exchanges()
    assert "refs/KBr" in str(caught.value)
    assert len(Alloy(made, ranking, results, ["k-mesh"]).exchanges()) == 1
    with pytest.raises(AverageError, match="fully substituted"):
        Alloy(made, ranking, results).mixing()


def test_salts_of_other_datasets_are_refused(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", count="[1]", more=REFERENCES)
    other = {"k-mesh": "Gamma 9x9x9", "datasets": {"K": "K 1", "Br": "Br with a hard core"}}
    fill(made, energy, {"refs/KBr": other, "refs/CsBr": {"k-mesh": "Gamma 9x9x9"}})
    results = Index(made).results()
    with pytest.raises(AgreementError, match="dataset of Br"):
        Alloy(made, rank(made, results), results).exchanges()


def test_a_set_computed_in_part_says_so(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", count="[3]")
    fill(made, lambda m: None if m.label == "K3/c1" else energy(m))
    results = Index(made).results()
    alloy = Alloy(made, rank(made, results), results)
    missing = made.member("K3/c1").degeneracy / 56
    assert alloy.ensembles["K3"].covered == pytest.approx(1 - missing)
    found = list(averages(alloy, [300], ["gap"]))
    assert found[0].covered == pytest.approx(1 - missing)
    assert any(f"{1 - missing:.1%} of the arrangements" in line for line in trust(alloy, found))
    with pytest.raises(InputError, match="did you mean 'volume'"):
        alloy.values("K3", "volumes")


def test_the_command(campaign: Campaign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Index, "collect", lambda _: 0)
    root, words = str(campaign.root), ["--temperature", "300,inf", "--of", "gap,volume"]
    sod = tmp_path / "sod"
    out = CliRunner().invoke(cli, ["average", root, *words, "--json"])
    assert out.exit_code == 0, out.output
    document = json.loads(out.output)
    assert len(document["averages"]) == 16
    assert document["averages"][1]["temperature_K"] == "inf"
    assert document["bowing"]["gap"]["bowing"] == pytest.approx(0.4)
    assert document["bowing"]["gap"]["largest_residual"] == pytest.approx(0, abs=1e-9)
    assert len(document["exchange"]) == 8
    assert document["notes"] == []
    table = CliRunner().invoke(cli, ["average", root, *words, "--sod", str(sod)])
    assert "host + refs/KBr → K3/" in table.output
    assert "bowing of gap: 0.4 eV" in table.output
    assert sorted(p.name for p in (sod / "K3").iterdir()) == ["DATA", "ENERGIES", "OUTSOD", "TEMPERATURES"]
    omega = [int(line.split()[1]) for line in (sod / "K3" / "OUTSOD").read_text().splitlines()[2:]]
    assert sum(omega) == 56
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(cli, ["average", root, *words, "--csv"]).output)))
    assert float(rows[0]["gap_eV"]) == pytest.approx(3.9 + 0.3 / 8 - 0.4 * 7 / 64)
    bad = CliRunner().invoke(cli, ["average", root, "--temperature", "warm"])
    assert isinstance(bad.exception, InputError)
    none = CliRunner().invoke(cli, ["average", root, "--curve", "absorption"])
    assert isinstance(none.exception, AverageError)


def test_several_substitutions_have_no_pseudo_binary(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", count="[1]")
    text = (tmp_path / "c" / "kalloy.toml").read_text()
    second = '[[substitution]]\nreplace = "Cs"\nwith = "Rb"\ncount = [1]\n\n[calculation]'
    (tmp_path / "c" / "kalloy.toml").write_text(text.replace("[calculation]", second))
    made = Campaign(tmp_path / "c")
    fill(made, lambda m: -100.0)
    results = Index(made).results()
    alloy = Alloy(made, rank(made, results), results)
    with pytest.raises(AverageError, match="one substitution"):
        alloy.mixing()
    only = next(iter(alloy.ensembles))
    assert alloy.ensembles[only].arrangements == 56
    ideal = 8 * (2 * log(8) / 8 + 6 / 8 * log(8 / 6))
    assert alloy.finite_cell_factor(only) == pytest.approx(log(56) / ideal)


def test_a_metal_has_no_gap(tmp_path: Path) -> None:
    made = make_campaign(tmp_path / "c", count="[1]")
    fill(made, energy)
    member = made.configurations[0]
    metal = result(member, Stage.STATIC, -101.0)
    assert metal.parsed is not None
    metal.parsed.update(metal=True, gap_eV=None, direct_gap_eV=None)
    with Index(made).open() as connection:
        store(connection, metal, "synthetic")
    results = Index(made).results()
    alloy = Alloy(made, rank(made, results), results)
    assert 0.0 in alloy.values("K1", "gap").tolist()


def test_a_page_averages_what_every_configuration_has(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "c", count="[1]")
    fill(campaign, lambda _: -100.0, {"K1/c1": {"gap": float("nan")}})
    results = Index(campaign).results()
    averages, *_ = alloy_blocks(Alloy(campaign, rank(campaign, results), results))
    assert averages.columns[2:5] == ("volume Å3", "a Å", "c Å")
    assert averages.note.startswith("gap: not every configuration has it, so it is not averaged here")


def test_lengths_are_those_of_all_arrangements(campaign: Campaign) -> None:
    """Which of an orbit's arrangements was computed changes nothing, and their mean has the host's crystal system."""
    metric = HostMetric(campaign.host)
    chance = np.random.default_rng(11)
    strained = campaign.host.crystal.lattice @ (np.eye(3) + chance.normal(0, 0.01, (3, 3)))
    images = [rotation.T @ strained for rotation in metric.rotations]
    assert np.ptp([metric.parameters(image)[0] for image in images]) > 0.05
    means = np.array([metric.mean_parameters(image) for image in images])
    assert np.allclose(means, means[0], rtol=0, atol=1e-9)
    a, b, _, alpha, beta, _ = means[0]
    assert a == pytest.approx(b, abs=1e-9)
    assert (alpha, beta) == pytest.approx((90, 90), abs=1e-9)
    assert means[0] == pytest.approx(np.mean([metric.parameters(image) for image in images], axis=0), abs=1e-9)
    # To first order in the strain it is the mean cell.
    small = campaign.host.crystal.lattice @ (np.eye(3) + chance.normal(0, 1e-5, (3, 3)))
    mean_cell = metric.parameters(from_metric(metric.symmetrised(small @ small.T)))
    assert metric.mean_parameters(small) == pytest.approx(mean_cell, abs=1e-7)


PNMA = """CsPbBr3
1.0
8.25 0 0
0 11.75 0
0 0 8.20
Cs Pb Br
4 4 12
Direct
"""


def _pnma() -> str:
    def orbit(x: float, y: float, z: float) -> list[tuple[float, ...]]:
        half = [(x, y, z), (0.5 - x, -y, z + 0.5), (-x, y + 0.5, -z), (x + 0.5, 0.5 - y, 0.5 - z)]
        both = [*half, *((-a, -b, -c) for a, b, c in half)]
        return list(dict.fromkeys(tuple(round(v % 1, 9) % 1 for v in site) for site in both))

    sites = [orbit(0.03, 0.25, 0.99), orbit(0, 0, 0.5), orbit(0.5, 0.25, 0.05), orbit(0.2, 0.03, 0.8)]
    assert [len(o) for o in sites] == [4, 4, 4, 8]
    return PNMA + "".join(f"{x:.9f} {y:.9f} {z:.9f}\n" for own in sites for x, y, z in own)


def test_occupancies_of_sublattices_that_share_a_letter(tmp_path: Path) -> None:
    """Cs and one Br of Pnma are both on 4c: each is counted by itself, over the sites that can be taken."""
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "host.vasp").write_text(_pnma())
    text = SPEC.format(cell="given", count="[4]", more="").replace('"Cs4PbBr6"', '"host.vasp"')
    second = '[[substitution]]\nreplace = "Br"\nwith = "Cl"\ncount = [1]\n\n[calculation]'
    (folder / "kalloy.toml").write_text(text.replace("[calculation]", second))
    made = Campaign(folder)
    assert made.host.space_group.symbol == "Pnma"
    fill(made, lambda _: -100.0)
    results = Index(made).results()
    (found,) = averages(Alloy(made, rank(made, results), results), [np.inf], ["gap"])
    values = {where: estimate.value for where, estimate in found.occupancies.items()}
    assert values == pytest.approx({("K", "Cs 4c"): 1.0, ("Cl", "Br 4c"): 1 / 12, ("Cl", "8d"): 1 / 12})


def test_where_nothing_is_computed_nothing_is_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "collect", lambda _: 0)
    made = make_campaign(tmp_path / "c", count="[1]")
    fill(made, lambda member: None if member.configuration else -100.0)
    for words in ([], ["--csv"], ["--curve", "dos"]):
        done = CliRunner().invoke(cli, ["average", str(made.root), *words])
        assert isinstance(done.exception, AverageError)
        assert "no configuration has a static energy yet" in str(done.exception)
    done = CliRunner().invoke(cli, ["average", str(made.root), "--of", "gop"])
    assert isinstance(done.exception, InputError)
    assert "did you mean 'gap'" in str(done.exception)
    done = CliRunner().invoke(cli, ["average", str(made.root), "--curve", "dos", "--json"])
    assert "a curve is printed as CSV" in str(done.exception)
