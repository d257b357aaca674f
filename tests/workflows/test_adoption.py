"""Folders made by hand become attempts: whoever's they are, however they lie, if made as the campaign asks."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kalloy.cli import cli
from kalloy.errors import InputError, SpecError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.attempt import Outcome, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.execution.runner import execute
from kalloy.workflows.files import hash_of, read_json
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.poscar import poscar_text
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.results import parse_attempt
from kalloy.workflows.steps import finished

MESHES = {Stage.RELAX: "Monkhorst\n2 2 2", Stage.STATIC: "Gamma\n2 2 2"}
Maker = Callable[..., Path]


def turned(crystal: Crystal, basis: object = None, *, noise: float = 0.0, order: bool = True) -> Crystal:
    """The same crystal as somebody else might have set it up."""
    random = np.random.default_rng(7)
    matrix = np.eye(3) if basis is None else np.array(basis)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    positions = crystal.positions + random.normal(scale=noise, size=(len(crystal), 3)) @ np.linalg.inv(crystal.lattice)
    # Elements together, as POSCAR has them, but in another order, and so the atoms of each.
    places = sorted(range(len(crystal)), key=lambda i: (crystal.species[i], random.random())) if order else range(22)
    return Crystal(
        matrix @ crystal.lattice @ turn * np.linalg.det(turn),
        tuple(crystal.species[i] for i in places),
        (positions @ np.linalg.inv(matrix) + [0.11, 0.23, 0.37])[list(places)] % 1,
    )


@pytest.fixture
def by_hand(tmp_path: Path, campaign: Campaign, standin: str) -> Maker:
    """Computes a crystal in a folder of its own, with the campaign's INCAR unless told otherwise."""

    def make(name: str, crystal: Crystal, stage: Stage = Stage.STATIC, mesh: str | None = None, **tags: str) -> Path:
        folder = tmp_path / "by" / "hand" / name
        folder.mkdir(parents=True)
        text = Composer(campaign).incar(campaign.member("host"), stage)
        for tag, value in tags.items():
            text = "".join(line for line in text.splitlines(True) if line.split("=")[0].strip() != tag)
            text += f"{tag} = {value}\n"
        (folder / "INCAR").write_text(text)
        (folder / "KPOINTS").write_text(f"mine\n0\n{mesh or MESHES[stage]}\n")
        (folder / "POSCAR").write_text(poscar_text(crystal, "mine"))
        subprocess.run(shlex.split(standin), cwd=folder, check=True, env={"PATH": "/usr/bin"})
        return folder

    return make


def adopt(campaign: Campaign, *words: object) -> tuple[int, str]:
    line = ["adopt", "--campaign", str(campaign.root), "--allow", "program", *map(str, words)]
    result = CliRunner().invoke(cli, line, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.output


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hash_of(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_turned_relaxation_serves_the_static_stage(campaign: Campaign, by_hand: Maker) -> None:
    """Another orientation, origin, order and basis: the static energy that follows is the one it would have been."""
    member = campaign.member("K1/c1")
    hand = by_hand("old", turned(member.crystal, [[0, 1, 0], [0, 0, 1], [1, 0, 0]]), Stage.RELAX)
    before = tree(hand)
    code, output = adopt(campaign, hand)
    assert code == 0, output
    assert "K1/c1/relax/a01" in output
    assert "CONTCAR is written anew" in output
    assert tree(hand) == before
    [attempt] = attempts(campaign.calculation("K1/c1", Stage.RELAX))
    assert attempt.state is State.DONE
    record = attempt.written["adopted"]
    assert record["from"] == str(hand)
    assert record["rms_A"] < 1e-6
    assert hash_of(attempt.folder / "CONTCAR.adopted") == before["CONTCAR"]
    assert hash_of(attempt.folder / "vasprun.xml") == before["vasprun.xml"]
    write_attempt(campaign, member, Stage.STATIC)
    static = attempts(campaign.calculation("K1/c1", Stage.STATIC))[0]
    assert execute(static.folder) is Outcome.DONE

    other = Campaign(campaign.root.parent / "other")
    for stage in (Stage.RELAX, Stage.STATIC):
        assert execute(write_attempt(other, other.member("K1/c1"), stage).folder) is Outcome.DONE
    ours, theirs = (attempts(c.calculation("K1/c1", Stage.STATIC))[0] for c in (campaign, other))
    assert distances(ours.folder) == distances(theirs.folder)
    assert parse_attempt(ours, campaign.root).settings == parse_attempt(theirs, other.root).settings


def distances(folder: Path) -> list[tuple[str, str, float]]:
    """Between all atoms of what was computed: the same for two crystals that only a motion relates."""
    from pymatgen.core import Structure

    structure = Structure.from_file(folder / "POSCAR")
    names, matrix = [site.specie.symbol for site in structure], structure.distance_matrix
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    return sorted((min(names[i], names[j]), max(names[i], names[j]), round(float(matrix[i, j]), 4)) for i, j in pairs)


@pytest.fixture(autouse=True)
def other(campaign: Campaign) -> None:
    """The same campaign again, beside it."""
    (campaign.root.parent / "other").mkdir()
    shutil.copy(campaign.root / "kalloy.toml", campaign.root.parent / "other")


@pytest.mark.parametrize("label", ["host", "K1/c1", "K1/c2"])
def test_everybody_is_found_in_every_orientation(campaign: Campaign, by_hand: Maker, label: str) -> None:
    """And what is said of directions is said in the campaign's lattice vectors."""
    crystal = campaign.member(label).crystal
    bases = {
        "same": np.eye(3),
        "cyclic": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "skew": [[1, 0, 0], [1, -1, 0], [0, 0, -1]],
    }
    folders = [by_hand(name, turned(crystal, basis, noise=0.05)) for name, basis in bases.items()]
    code, output = adopt(campaign, *folders, "--dry-run", "--json", "--allow", "k-mesh")
    assert code == 1  # they are one calculation: the second and the third are refused
    first = json.loads(output[output.index("[") :][: output.rindex("]") + 1 - output.index("[")])
    assert first[0]["member"] == label
    assert all(f"{label}/static, as another of these folders" in r["refused"] for r in first[1:])
    assert not campaign.calculation(label, Stage.STATIC).exists()
    for folder in folders:
        code, output = adopt(campaign, folder, "--allow", "k-mesh")
        [attempt] = attempts(campaign.calculation(label, Stage.STATIC))
        found = parse_attempt(attempt, campaign.root)
        assert found.lattice_A is not None
        metric = np.array(found.lattice_A) @ np.array(found.lattice_A).T
        assert metric == pytest.approx(crystal.lattice @ crystal.lattice.T, abs=1e-3)
        assert found.energy_eV is not None
        shutil.rmtree(attempt.folder)


def test_a_mesh_is_compared_in_the_campaigns_basis(campaign: Campaign, by_hand: Maker, tmp_path: Path) -> None:
    """1x2x3 in permuted axes is 3x1x2 here, and no image of what was asked."""
    crystal = turned(campaign.member("K1/c1").crystal, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    code, output = adopt(campaign, by_hand("other-mesh", crystal, mesh="Gamma\n1 2 3"))
    assert code == 1
    has, asked = output.split("k-mesh is ")[1].split(";")[0].split(" instead of ")
    # The member's own twofold axis exchanges two of the axes.
    assert has in ("Γ-centred mesh 3x1x2", "Γ-centred mesh 2x1x3")
    assert asked == "Γ-centred mesh 2x2x2"


def refusals(campaign: Campaign, by_hand: Maker) -> dict[str, tuple[Path, list[str], str]]:
    member = campaign.member("K1/c2").crystal
    empty = by_hand("empty", member)
    (empty / "vasprun.xml").unlink()
    cut = by_hand("cut", member)
    text = (cut / "vasprun.xml").read_text()
    (cut / "vasprun.xml").write_text(text[: len(text) // 2])
    species = list(member.species)
    species[species.index("K")] = "Na"
    displaced = member.positions.copy()
    displaced[5] += [0.2, 0, 0]
    return {
        "nothing": (empty, [], "vasprun.xml"),
        "half": (cut, [], "not whole"),
        "composition": (
            by_hand("sodium", Crystal(member.lattice, tuple(species), member.positions)),
            [],
            "nearest is",
        ),
        "strain": (by_hand("swollen", member.scaled(1.1)), [], "strained by 10.0%"),
        "displaced": (
            by_hand("displaced", Crystal(member.lattice, member.species, displaced)),
            [],
            "Å from the nearest",
        ),
        "cut-off": (by_hand("coarse", member, ENCUT="150.0"), [], "ENCUT (eV) is 150 instead of 200"),
        "stage": (by_hand("dos", member), ["--stage", "optics"], "'optics' calculation, which no step"),
        "misspelt stage": (by_hand("bnds", member), ["--stage", "bnds"], "no stage 'bnds'; did you mean 'bands'?"),
        "setting": (by_hand("known", member), ["--allow", "ENCUTT"], "did you mean 'ENCUT'?"),
    }


def test_what_does_not_match_is_refused_with_the_reason(campaign: Campaign, by_hand: Maker) -> None:
    for name, (folder, words, reason) in refusals(campaign, by_hand).items():
        before = inputs(campaign)
        try:
            code, output = adopt(campaign, folder, *words)
        except (InputError, SpecError) as error:  # an option that is wrong ends the command
            code, output = 2, str(error)
        assert code in (1, 2), (name, output)
        assert reason in output, (name, output)
        assert inputs(campaign) == before, name


def inputs(campaign: Campaign) -> dict[str, str]:
    return {name: digest for name, digest in tree(campaign.root).items() if name != "driver.lock"}


def test_a_difference_is_taken_on_by_name_and_stays_on_record(campaign: Campaign, by_hand: Maker) -> None:
    folder = by_hand("coarse", campaign.member("K1/c2").crystal, ENCUT="150.0")
    code, output = adopt(campaign, folder, "--allow", "ENCUT", "--link")
    assert code == 0, output
    assert "[agreement] allow" in output
    attempt = finished(campaign, "K1/c2", Stage.STATIC)
    assert attempt
    assert attempt.written["adopted"]["differences"]["ENCUT (eV)"] == {"asked": "200", "has": "150"}
    assert (attempt.folder / "vasprun.xml").is_symlink()
    assert (attempt.folder / "gpaw.gpw").is_symlink()  # its atoms are in the member's order
    assert not attempt.folder.joinpath("CONTCAR.adopted").exists()
    assert adopt(campaign, folder, "--allow", "ENCUT")[1].count("was adopted before") == 1
    again = by_hand("again", campaign.member("K1/c2").crystal)
    assert "which is done already" in adopt(campaign, again)[1]


def test_an_interrupted_adoption_leaves_nothing_half(
    campaign: Campaign, by_hand: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = by_hand("old", campaign.member("K1/c2").crystal)
    (folder / "WAVECAR").write_text("large")
    real = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if source.name == "vasprun.xml":
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    code, output = adopt(campaign, folder)
    assert code == 1
    assert "No space left on device" in output
    assert attempts(campaign.calculation("K1/c2", Stage.STATIC)) == []
    monkeypatch.undo()
    assert adopt(campaign, folder)[0] == 0
    attempt = finished(campaign, "K1/c2", Stage.STATIC)
    assert attempt
    assert not (attempt.folder / "WAVECAR").exists()
    assert set(tree(attempt.folder)) >= {*tree(folder)} - {"WAVECAR"}


def test_adopted_results_are_ranked_with_the_others(campaign: Campaign, by_hand: Maker) -> None:
    from kalloy.workflows.screening.ranking import rank

    for label in ("host", "K1/c1"):
        for stage in (Stage.RELAX, Stage.STATIC):
            assert execute(write_attempt(campaign, campaign.member(label), stage).folder) is Outcome.DONE
    code, output = adopt(campaign, by_hand("c2", turned(campaign.member("K1/c2").crystal)))
    assert code == 0, output
    index = Index(campaign)
    index.collect()
    ranking = rank(campaign, index.results())
    assert {r.member for r in ranking.rows if r.rank} == {"K1/c1", "K1/c2"}


@pytest.mark.parametrize(("formula", "settled"), [("AgBr", True), ("Cs2AgBr3", False)])
def test_a_real_calculation_of_vasp(shared: Path, tmp_path: Path, formula: str, settled: bool) -> None:
    """A hybrid functional's, adopted as the host of a campaign on its own structure: settings are listed.

    The second took three ionic steps in one run, where the preset wants two at most in the last.
    """
    source = shared / f"vasp/doped_{formula}_hse"
    before = tree(source)
    (tmp_path / "kalloy.toml").write_text(
        f'[host]\nstructure = "{shared}/structures/{formula}_hse_relaxed.cif"\ncell = "primitive"\n'
        '[[substitution]]\nreplace = "Ag"\nwith = "Cu"\ncount = [1]\n[calculation]\n'
        'preset = "paper-gamma"\nengine = "vasp"\n[[step]]\nstages = ["relax", "static"]\n'
    )
    campaign = Campaign(tmp_path)
    code, output = adopt(campaign, source)
    assert code == 1
    assert "is host/relax, but was not made as the campaign asks" in output
    flags = output.split("take the difference on: ")[1].split()
    assert {"LHFCALC", "k-mesh"} < set(flags)
    assert ("restarts" not in flags) == settled
    code, output = adopt(campaign, source, *flags)
    assert code == 0, output
    [attempt] = attempts(campaign.calculation("host", Stage.RELAX))
    found = parse_attempt(attempt, tmp_path)
    truth = next(
        c["truth"] for c in json.loads((shared / "vasp/manifest.json").read_text()) if c["case"] == source.name
    )
    assert found.energy_eV == pytest.approx(truth["energy_e0"], abs=1e-6)
    assert tree(source) == before
    assert read_json(attempt.folder / "kalloy-end.json")["adopted"] == str(source.resolve())
