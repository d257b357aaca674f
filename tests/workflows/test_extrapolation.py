"""Extrapolation against Hamiltonians whose energies are known everywhere, and against CHGNet's 70 of the home case."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kalloy.cli import cli
from kalloy.errors import CampaignError, InputError
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.geometry import Geometry
from kalloy.structures.host import load_host
from kalloy.structures.substitution import parse_replacement
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.prescreen.clusters import Clusters
from kalloy.workflows.prescreen.extrapolation import Method, Source, extrapolate
from kalloy.workflows.prescreen.fitting import ridge, ridge_of
from kalloy.workflows.prescreen.relaxation import Relaxed
from kalloy.workflows.prescreen.store import prescreened_members, store_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cs4pbbr6-screen" / "chgnet.json"
SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "primitive"
[[substitution]]
replace = "Cs"
with = "K"
count = {counts}
[prescreen]
model = "toy"
calculator = "ase.calculators.emt:EMT"
[calculation]
preset = "laptop"
engine = "gpaw"
[[step]]
stages = ["static"]
on = {{ prescreened = true }}
"""
Hamiltonian = Callable[[Geometry, tuple[str, ...]], float]


@pytest.fixture(scope="module")
def space() -> ConfigurationSpace:
    return ConfigurationSpace(load_host("Cs4PbBr6", "primitive"), [parse_replacement("Cs=K:0-8")])


def ising(geometry: Geometry, occupation: tuple[str, ...]) -> float:
    """Fields by Wyckoff position and pair energies that fall off with distance, written without any orbit."""
    space = geometry.space
    there = [i for i, species in enumerate(occupation) if species == "K"]
    letters = [space.host.wyckoff[space.site_indices[i]][0] for i in there]
    pairs = sum(0.3 * np.cos(geometry.distances[i, j]) / geometry.distances[i, j] for i, j in combinations(there, 2))
    return float(-70.0 + sum({"6a": -0.35, "18e": -0.16}[letter] for letter in letters) + pairs)


def ising_with_triplets(geometry: Geometry, occupation: tuple[str, ...]) -> float:
    there = [i for i, species in enumerate(occupation) if species == "K"]
    d = geometry.distances
    three = sum(np.exp(-(d[i, j] + d[j, k] + d[i, k]) / 6) for i, j, k in combinations(there, 3))
    return ising(geometry, occupation) + 0.5 * float(three)


def computed(folder: Path, counts: list[int], hamiltonian: Hamiltonian, leave: int = 0) -> Campaign:
    """A campaign whose prescreen found a Hamiltonian's energies."""
    folder.mkdir(exist_ok=True)
    (folder / "kalloy.toml").write_text(SPEC.format(counts=counts))
    campaign = Campaign(folder)
    store, geometry = store_of(campaign), Geometry(campaign.space)
    store.write_model(campaign.spec.prescreen)
    hosts = tuple("Cs" for _ in range(8))
    for member in prescreened_members(campaign):
        occupation = member.configuration.occupation if member.configuration else hosts
        energy = hamiltonian(geometry, occupation)
        store.save(member.label, member.identity, Relaxed(member.crystal, energy, 0.0, 0.0, 1, True, 0.0, 0.0))
    return campaign


def truth(campaign: Campaign, content: int, hamiltonian: Hamiltonian) -> dict[str, float]:
    space = ConfigurationSpace(campaign.space.host, [parse_replacement(f"Cs=K:{content}")])
    geometry = Geometry(space)
    return {c.label: hamiltonian(geometry, c.occupation) for c in space.configurations(space.contents[0])}


# -- clusters ----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["primitive", "given"])
def test_orbits_are_as_many_as_burnside_counts(cell: str) -> None:
    """A cluster of n sites and an occupation with n substituted ones are the same thing."""
    space = ConfigurationSpace(load_host("Cs4PbBr6", cell), [parse_replacement("Cs=K:1-3")])
    sizes = Clusters(space, triplets=100.0).sizes
    assert [sizes.count(n) for n in (1, 2, 3)] == [space.count(content) for content in space.contents]


def test_two_species_have_clusters_of_both() -> None:
    space = ConfigurationSpace(
        load_host("Cs4PbBr6", "primitive"), [parse_replacement("Cs=K:0-2"), parse_replacement("Cs=Rb:0-2")]
    )
    sizes = Clusters(space).sizes
    counts = {content.counts: space.count(content) for content in space.contents}
    assert sizes.count(1) == counts[1, 0] + counts[0, 1]
    assert sizes.count(2) == counts[2, 0] + counts[0, 2] + counts[1, 1]


@settings(max_examples=30)
@given(chosen=st.sets(st.integers(0, 7)), which=st.integers(0, 10_000))
def test_correlations_are_symmetric_and_complete(space: ConfigurationSpace, chosen: set[int], which: int) -> None:
    clusters = Clusters(space, triplets=100.0)
    permutation = space.permutations[which % len(space.permutations)]
    first = tuple("K" if i in chosen else "Cs" for i in range(8))
    image = tuple("K" if i in {permutation[j] for j in chosen} else "Cs" for i in range(8))
    one, other = clusters.correlations([first, image])
    assert (one == other).all()
    sizes = np.array(clusters.sizes)
    assert [one[sizes == n].sum() for n in (1, 2, 3)] == [comb(len(chosen), n) for n in (1, 2, 3)]


# -- the fit -----------------------------------------------------------------------------


@settings(max_examples=30)
@given(arrays(float, (9, 4), elements=st.floats(-3, 3)), arrays(float, 9, elements=st.floats(-1, 1)))
def test_the_closed_leave_one_out_error_is_the_one_by_hand(rows: np.ndarray, values: np.ndarray) -> None:
    strength = 0.1
    fit = ridge_of(rows, values, strength)
    largest = np.linalg.svd(rows - rows.mean(axis=0))[1][0]
    damping = strength * (largest**2 / 4 if largest > 1e-11 else 1.0)
    for i in range(9):
        others = np.arange(9) != i
        x, y = rows[others], values[others]
        away = x - x.mean(axis=0)
        # The same penalty on the same rows; without row i the mean is another one.
        weights = np.linalg.solve(away.T @ away + damping * np.eye(4), away.T @ (y - y.mean()))
        by_hand = values[i] - (y.mean() + (rows[i] - x.mean(axis=0)) @ weights)
        assert fit.residuals[i] == pytest.approx(by_hand, abs=1e-7)


def test_a_prediction_far_away_is_less_sure() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(30, 3)) * [1, 1, 0]  # the last column was never seen
    values = rows @ [1.0, 2.0, 0.0] + random.normal(scale=0.1, size=30)
    fit = ridge(rows, values)
    near, far, unseen = fit.uncertainty(np.array([[0.0, 0, 0], [30.0, 0, 0], [0.0, 0, 1]]))
    assert 0.05 < near < 0.2
    assert far > 3 * near
    assert unseen > far


def test_nothing_is_said_of_a_fit_without_an_error() -> None:
    with pytest.raises(CampaignError, match="too few"):
        ridge(np.array([[1.0]]), np.array([1.0]))


# -- extrapolating -----------------------------------------------------------------------


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("content", [4, 6])
def test_pair_hamiltonians_are_found_exactly(tmp_path: Path, method: Method, content: int) -> None:
    campaign = computed(tmp_path / "c", [1, 2, 3], ising)
    found = extrapolate(campaign, (content,), source=Source.PRESCREEN, method=method)
    assert found.error_meV < 1e-3
    assert found.spread_meV > 10
    expected = truth(campaign, content, ising)
    assert {p.label: p.energy_eV for p in found.configurations} == pytest.approx(expected, abs=1e-6)
    assert [p.energy_eV for p in found.configurations] == sorted(p.energy_eV for p in found.configurations)
    assert all(p.computed_eV is None for p in found.configurations)


@pytest.mark.parametrize("method", list(Method))
def test_where_triplets_count_the_error_says_so(tmp_path: Path, method: Method) -> None:
    campaign = computed(tmp_path / "c", [1, 2, 3], ising_with_triplets)
    found = extrapolate(campaign, (4,), source=Source.PRESCREEN, method=method)
    expected = truth(campaign, 4, ising_with_triplets)
    off = 1000 * np.sqrt(np.mean([(p.energy_eV - expected[p.label]) ** 2 for p in found.configurations]))
    assert found.error_meV > 1
    assert off < 10 * found.error_meV  # four sites hold four times the triplets of three
    assert all(p.error_eV >= found.error_meV / 1000 * 0.999 for p in found.configurations)


def test_pair_sums_err_by_what_they_leave_out(tmp_path: Path) -> None:
    """The error of three sites is exactly the triplet energy that was put in."""
    campaign = computed(tmp_path / "c", [1, 2, 3], ising_with_triplets)
    found = extrapolate(campaign, (3,), source=Source.PRESCREEN, method=Method.PAIR_SUMS)
    full, pairs = truth(campaign, 3, ising_with_triplets), truth(campaign, 3, ising)
    left_out = 1000 * np.sqrt(np.mean([(full[label] - pairs[label]) ** 2 for label in full]))
    assert found.error_meV == pytest.approx(left_out, rel=1e-6)
    assert {p.label: p.computed_eV for p in found.configurations} == pytest.approx(full)


def test_triplets_mend_it(tmp_path: Path) -> None:
    campaign = computed(tmp_path / "c", [1, 2, 3, 4, 5], ising_with_triplets)
    settings_ = {"source": Source.PRESCREEN, "method": Method.CLUSTER_EXPANSION}
    without = extrapolate(campaign, (6,), **settings_)  # type: ignore[arg-type]
    with_ = extrapolate(campaign, (6,), triplets=100.0, **settings_)  # type: ignore[arg-type]
    assert with_.error_meV < without.error_meV / 100


@pytest.mark.parametrize(
    ("counts", "to", "method", "message"),
    [
        ([1, 2], 3, Method.PAIR_SUMS, "nothing with three or more"),
        ([1, 3], 4, Method.PAIR_SUMS, "one and two substituted"),
        ([1, 2], 3, Method.CLUSTER_EXPANSION, "energies of 3 contents"),
    ],
)
def test_nothing_is_predicted_without_an_error(
    tmp_path: Path, counts: list[int], to: int, method: Method, message: str
) -> None:
    campaign = computed(tmp_path / "c", counts, ising)
    with pytest.raises(CampaignError, match=message):
        extrapolate(campaign, (to,), source=Source.PRESCREEN, method=method)


def test_large_contents_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kalloy.workflows.prescreen.extrapolation.ENUMERABLE", 5)
    campaign = computed(tmp_path / "c", [1, 2, 3], ising)
    found = extrapolate(campaign, (4,), source=Source.PRESCREEN, method=Method.CLUSTER_EXPANSION, sample=200)
    assert found.sampled
    assert len(found.configurations) == 12  # every one of the twelve, drawn once or more
    assert {round(p.energy_eV, 6) for p in found.configurations} == {
        round(e, 6) for e in truth(campaign, 4, ising).values()
    }


def test_the_command_shows_the_error(tmp_path: Path) -> None:
    campaign = computed(tmp_path / "c", [1, 2, 3], ising_with_triplets)
    words = ["extrapolate", str(campaign.root), "--to", "4"]
    shown = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "- error " in shown.output
    assert "leaving out each computed content in turn" in shown.output
    read = json.loads(CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False).output)
    assert read["content"] == "K4"
    assert read["error_meV"] > 1
    for wrong in ("four", "9", "1,2"):
        with pytest.raises(InputError):
            CliRunner().invoke(cli, [*words[:3], wrong], catch_exceptions=False, standalone_mode=False)


# -- CHGNet's energies of the home case ------------------------------------------------------


@pytest.fixture(scope="module")
def screen() -> tuple[list[Configuration], np.ndarray]:
    space = ConfigurationSpace(load_host("Cs4PbBr6"), [parse_replacement("Cs=K:3")])
    energies = {m["member"]: m["energy_eV"] for m in json.loads(EXAMPLE.read_text())["members"]}
    configurations = list(space.configurations(space.contents[0]))
    return configurations, np.array([energies[c.label] for c in configurations])


def test_pairs_say_most_of_what_chgnet_says(screen: tuple[list[Configuration], np.ndarray]) -> None:
    from scipy.stats import spearmanr

    configurations, energies = screen
    space = ConfigurationSpace(configurations[0].host, [parse_replacement("Cs=K:3")])
    fit = ridge(Clusters(space).correlations(c.occupation for c in configurations), energies)
    left_out = energies - fit.residuals
    print(f"leave-one-out error {1000 * fit.error:.1f} meV of {1000 * energies.std():.1f} meV")
    assert fit.error < 0.15 * energies.std()
    assert spearmanr(left_out, energies).statistic > 0.95
    assert configurations[int(np.argmin(energies))].space_group.symbol == "P321"
    assert set(np.argsort(left_out)[:3]) == set(np.argsort(energies)[:3])
