"""Members beyond host and configurations: duplicates, rattled relaxations, variants, references, end members."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kalloy.errors import CampaignError, InputError, SpecError
from kalloy.structures.images import images, operations_of
from kalloy.workflows.attempt import Outcome, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.derivation import derive
from kalloy.workflows.execution.completion import complete
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.files import read_json, write_json
from kalloy.workflows.inputs.stage import Stage, Takes
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.members import Kind, Parent
from kalloy.workflows.recipes import duplicate, meshes_keep_symmetry
from kalloy.workflows.steps import select
from kalloy.workflows.submission.board import standings
from kalloy.workflows.submission.driver import remaining, write_step
from tests.specs import ONE_K

PAPER = """
[host]
structure = "Cs4PbBr6"

[[substitution]]
replace = "Cs"
with = "K"
count = [{count}]

[calculation]
preset = "{preset}"

[[step]]
stages = ["relax", "static"]
"""


def hexagonal(folder: Path, preset: str, count: int, more: str = "") -> Campaign:
    folder.mkdir()
    (folder / "kalloy.toml").write_text(PAPER.format(preset=preset, count=count) + more)
    return Campaign(folder)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return hexagonal(tmp_path_factory.mktemp("paper") / "c", "paper", 2)


def points(divisions: tuple[int, ...]) -> set[tuple[int, ...]]:
    """The 4x4x3 Monkhorst–Pack mesh on the grid of halves, by its definition."""
    axes = [[(2 * i + (n % 2 == 0)) % (2 * n) for i in range(n)] for n in divisions]
    return {(a, b, c) for a in axes[0] for b in axes[1] for c in axes[2]}


def keeps_the_mesh(rotation: np.ndarray, divisions: tuple[int, ...] = (4, 4, 3)) -> bool:
    mesh = points(divisions)
    doubled = 2 * np.array(divisions)
    turned = (np.array(sorted(mesh)) / doubled) @ np.linalg.inv(rotation) * doubled
    rounded = np.rint(turned).astype(int)
    return bool(np.abs(turned - rounded).max() < 1e-6) and {tuple(p) for p in rounded % doubled} == mesh


def test_a_duplicate_is_the_same_crystal_that_the_mesh_meets_differently(paper: Campaign) -> None:
    """No operation that makes the duplicate of its configuration maps the mesh on itself, so energies may differ."""
    assert not meshes_keep_symmetry(paper)
    preserving = [o for o in operations_of(paper.space) if keeps_the_mesh(o.rotation)]
    assert 0 < len(preserving) < 36
    for member in paper.configurations:
        assert member.configuration
        recipe = duplicate(paper, member)
        orbit = images(paper.space, member.configuration)
        alike = {o for o, ops in orbit.items() if any(keeps_the_mesh(op.rotation) for op in ops)}
        if recipe is None:
            assert alike == set(orbit), member.label
            continue
        made = derive(recipe, paper.members)
        assert made.configuration
        assert made.configuration.occupation in set(orbit) - alike
        assert made.space_group == member.space_group
        assert made.crystal.composition == member.crystal.composition
        assert made.identity != member.identity
        assert (made.label, made.kind, made.of) == (f"{member.label}~dup1", Kind.DUPLICATE, member.label)


def test_gamma_centred_meshes_need_no_duplicate(tmp_path: Path) -> None:
    gamma = hexagonal(tmp_path / "c", "paper-gamma", 1)
    assert meshes_keep_symmetry(gamma)
    assert [duplicate(gamma, m) for m in gamma.configurations] == [None, None]


def test_a_rattled_member_is_the_same_everywhere_and_not_symmetric(paper: Campaign) -> None:
    of = paper.configurations[0]
    recipe = {"label": "x", "kind": "rattled", "of": of.label, "amplitude_A": 0.03, "seed": 1}
    made = derive(recipe, paper.members)
    moved = (made.crystal.positions - of.crystal.positions) @ of.crystal.lattice
    assert np.std(moved) == pytest.approx(0.03, rel=0.15)
    # The first draws of numpy's frozen generator, which no machine or version changes.
    assert moved[0] == pytest.approx(np.random.RandomState(1).normal(scale=0.03, size=(66, 3))[0], abs=1e-12)
    assert made.space_group == "P1"
    assert np.array_equal(made.crystal.lattice, of.crystal.lattice)
    assert made.identity != derive({**recipe, "seed": 2}, paper.members).identity != of.identity
    assert derive(recipe, paper.members) == made


def test_a_variant_has_parents_in_two_members(paper: Campaign) -> None:
    label = paper.configurations[3].label
    recipe = {"label": "v", "kind": "variant", "of": "host", "cell_of": label}
    made = derive(recipe, paper.members)
    assert made.crystal == paper.member("host").crystal
    assert made.parents(Stage.STATIC, (Stage.RELAX, Stage.STATIC)) == (
        Parent("host", Stage.RELAX, (Takes.STRUCTURE,)),
        Parent(label, Stage.RELAX, (Takes.CELL,)),
    )


def test_a_variant_waits_for_both_members(campaign: Campaign) -> None:
    """The selection is the record; a new look at the folder knows the member by it."""
    recipe = {"label": "host~cell-of-K1-c2", "kind": "variant", "of": "host", "cell_of": "K1/c2"}
    spec = (campaign.root / "kalloy.toml").read_text()
    (campaign.root / "kalloy.toml").write_text(spec + "\n[variants]\ncells = true\n")
    step = {"step": 3, "stages": ["static"], "rule": {"cells": True}, "inputs": [], "path": None}
    record = {**step, "members": [recipe["label"]], "derived": [recipe]}
    write_json(campaign.root / "selections/03-static.json", record)
    opened = Campaign(campaign.root)
    [standing] = standings(opened, 3)
    assert standing.state is State.BLOCKED
    assert standing.cause == "waits for host relax, K1/c2 relax"
    attempt = write_attempt(opened, opened.member(recipe["label"]), Stage.STATIC)
    assert attempt.written["parents"] == [
        {"member": "host", "stage": "relax", "takes": ["structure"]},
        {"member": "K1/c2", "stage": "relax", "takes": ["cell"]},
    ]
    assert not (attempt.folder / "POSCAR").exists()
    with pytest.raises(CampaignError, match=r"parent 'host/relax' is not done"):
        complete(attempt)


def test_a_recipe_whose_member_is_gone_says_so(paper: Campaign) -> None:
    with pytest.raises(CampaignError, match=r"K03/c12, which kalloy.toml no longer asks for"):
        derive({"label": "x", "kind": "variant", "of": "host", "cell_of": "K03/c12"}, paper.members)


def test_end_members_and_references_have_their_own_meshes(tmp_path: Path) -> None:
    more = '[references]\nKBr = "KBr"\nCsBr = { structure = "CsBr", mesh = [9, 9, 9] }\n'
    spec = PAPER.replace("count = [{count}]", "count = [{count}]\nend_member = true")
    (tmp_path / "kalloy.toml").write_text(spec.format(preset="paper", count=1) + more)
    campaign = Campaign(tmp_path)
    assert list(campaign.members) == ["host", "K01/c1", "K01/c2", "K24/c1", "refs/KBr", "refs/CsBr"]
    assert [m.label for m in campaign.configurations] == ["K01/c1", "K01/c2"]
    end = campaign.member("K24/c1")
    assert (end.kind, end.crystal.formula, end.space_group) == (Kind.REFERENCE, "K24Pb6Br36", "R-3c")
    meshes = {}
    for label in ("K24/c1", "refs/KBr", "refs/CsBr"):
        lines = (write_attempt(campaign, campaign.member(label), Stage.STATIC).folder / "KPOINTS").read_text()
        meshes[label] = lines.splitlines()[2:4]
    assert meshes["K24/c1"] == ["Monkhorst", "4 4 3"]
    assert meshes["refs/CsBr"] == ["Gamma", "9 9 9"]
    # The host's finest spacing is 1/(17.43 Å · 3); KBr's shortest reciprocal vectors are √3/6.60 Å.
    assert meshes["refs/KBr"] == ["Gamma", "14 14 14"]


NOISY = (
    ONE_K
    + """

[calculation]
preset = "skew.yaml"
engine = "gpaw"

[[step]]
stages = ["relax", "static"]

[noise]
duplicate = true
rattle = 2

[variants]
cells = true

[references]
KBr = "KBr"

[site.local]
jobs = 2
commands = {{ gpaw = "{engine}" }}
"""
)


def compute(campaign: Campaign) -> None:
    """Every step, each attempt in this process."""
    for step in range(1, len(campaign.spec.step) + 1):
        selection = select(campaign, step)
        write_step(campaign, selection)
        for standing in standings(campaign, step):
            assert standing.attempt
            assert execute(standing.attempt.folder) is Outcome.DONE, standing.label


def test_noise_strain_and_references_of_a_whole_campaign(tmp_path: Path, standin: str) -> None:
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.noise import noise_floor
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.screening.strain import strains

    (tmp_path / "kalloy.toml").write_text(NOISY.format(engine=standin))
    mesh = "{mesh: [2, 3, 2], style: Gamma}"
    (tmp_path / "skew.yaml").write_text(
        f'dated: "2026-11-24"\nparent: laptop\nsummary: skew\nkpoints:\n  relax: {mesh}\n  static: {mesh}\n'
    )
    campaign = Campaign(tmp_path)
    compute(campaign)
    assert not remaining(campaign)
    first, noise, variants = (read_json(p) for p in sorted(campaign.selections.iterdir()))
    assert first["members"] == ["host", "K1/c1", "K1/c2", "refs/KBr"]
    Index(campaign).collect()
    results = Index(campaign).results()
    ranking = rank(campaign, results)
    assert [r.member for r in ranking.rows if r.rank] == sorted(["K1/c1", "K1/c2"], key=lambda m: energy(results, m))
    winner, runner_up = (r.member for r in ranking.rows if r.rank)
    assert set(noise["members"]) == {"K1/c1~dup1", f"{winner}~rattled1", f"{runner_up}~rattled1"}
    assert variants["members"] == [f"host~cell-of-{winner.replace('/', '-')}", f"{winner}~cell-of-host"]
    # The stand-in knows no k-mesh: two orientations have one energy, to the digits of its files.
    floor = noise_floor(campaign, results)
    assert floor.mesh_meV == pytest.approx(0, abs=1e-3)
    assert floor.relaxation_meV
    assert floor.relaxation_meV_fu == floor.relaxation_meV / 2
    assert {r.member for r in floor.rattled} == {winner, runner_up}
    [strain] = strains(campaign, results)
    assert strain.chemistry_eV + strain.strain_eV == pytest.approx(strain.total_eV)
    assert strain.chemistry_at_host_cell_eV + strain.strain_of_alloy_eV == pytest.approx(strain.total_eV)
    check_variant(campaign, winner)
    # A new look at the folder finds the same members, from the records alone.
    assert list(Campaign(tmp_path).members) == list(campaign.members)


def energy(results: object, member: str) -> float:
    value = results[member, Stage.STATIC].energy_eV  # type: ignore[index]
    assert value is not None
    return float(value)


def check_variant(campaign: Campaign, winner: str) -> None:
    """Own fractional coordinates, the other's lattice, and both on record."""
    from pymatgen.core import Structure

    [attempt] = attempts(campaign.calculation(f"{winner}~cell-of-host", Stage.STATIC))
    own, other = (
        Structure.from_file(attempts(campaign.calculation(m, Stage.RELAX))[-1].folder / "CONTCAR")
        for m in (winner, "host")
    )
    found = Structure.from_file(attempt.folder / "POSCAR")
    assert found.lattice.matrix == pytest.approx(other.lattice.matrix)
    assert found.frac_coords == pytest.approx(own.frac_coords)
    assert found.species == own.species
    taken = json.loads((attempt.folder / "taken.json").read_text())["taken"]
    assert [(t["what"], t["from"]) for t in taken] == [
        ("structure", f"{winner}/relax/a01"),
        ("cell", "host/relax/a01"),
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[noise]\nduplicat = true\n", "did you mean 'duplicate'?"),
        ("[noise]\nrattle = -1\n", "noise.rattle"),
        ('[noise]\nduplicate = ["K1/c7"]\n', "no member 'K1/c7'"),
        ('[noise]\nduplicate = ["host"]\n', "'host' is no configuration"),
        ('[references]\n"../x" = "KBr"\n', "references"),
        ('[references]\nKBr = "KBrr"\n', "KBrr"),
        ("[variants]\ncells = 1\n", None),
    ],
)
def test_what_is_asked_wrongly_is_named(tmp_path: Path, more: str, words: str | None) -> None:
    if words is None:
        hexagonal(tmp_path / "c", "paper", 1, more)
        return
    with pytest.raises(InputError) as caught:
        _ = hexagonal(tmp_path / "c", "paper", 1, more).members
    assert words in str(caught.value)
    assert isinstance(caught.value, SpecError | InputError)


def test_six_of_seventy_have_no_telling_image_on_the_papers_mesh(tmp_path: Path) -> None:
    """Their own symmetry and the inversion hold all of the lattice's: every image is met alike (docs/members.md)."""
    campaign = hexagonal(tmp_path / "c", "paper", 3)
    without = [m.space_group for m in campaign.configurations if duplicate(campaign, m) is None]
    assert len(campaign.configurations) == 70
    assert sorted(without) == ["P3", "P321", "P321", "P3_121", "P3_221", "R32"]


def test_the_space_group_is_looked_for_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """status and collect of thousands of members must not pay for it."""
    from kalloy.structures.configuration import Configuration

    def forbidden(_: Configuration) -> None:
        raise AssertionError("somebody asked")

    monkeypatch.setattr(Configuration, "space_group", property(forbidden))
    (tmp_path / "kalloy.toml").write_text(
        '[host]\nstructure = "Cs4PbBr6"\n[[substitution]]\nreplace = "Cs"\nwith = "K"\ncount = 2\n'
        '[calculation]\npreset = "paper-gamma"\n[[step]]\nstages = ["static"]\n'
    )
    campaign = Campaign(tmp_path)
    assert len(campaign.members) == 16
    with pytest.raises(AssertionError, match="asked"):
        _ = campaign.member("K02/c01").space_group
