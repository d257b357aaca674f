"""What leaves the house: nothing licensed, everything needed, readable by others and by kalloy itself."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
from importlib.resources import files
from pathlib import Path

import pytest

from kalloy.errors import CampaignError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.archive import write_archive
from kalloy.workflows.report.export import frames, write_ase_db, write_cifs, write_extxyz
from kalloy.workflows.screening.ranking import Ranking, rank

pytestmark = pytest.mark.xdist_group("report")


@pytest.fixture(scope="module")
def ranking(computed: Campaign) -> Ranking:
    return rank(computed, Index(computed).results())


def test_the_archive_reads_back_as_the_campaign(computed: Campaign, page: Path, tmp_path: Path) -> None:
    write_archive(computed, tmp_path / "c.tar.gz")
    with tarfile.open(tmp_path / "c.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    again = Campaign(tmp_path / computed.root.name)
    index = Index(again)
    assert index.collect() == 10
    assert list(rank(again, index.results()).rows) == list(rank(computed, Index(computed).results()).rows)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=again.root, check=True)
    assert (again.root / "report" / "index.html").read_bytes() == page.read_bytes()


def test_the_archive_is_reproducible_and_leaves_the_heavy_and_the_licensed_at_home(
    computed: Campaign, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(computed.root, tmp_path / "c"))
    for name in ("POTCAR", "WAVECAR", "CHGCAR", "notes.txt"):
        (copy / "host" / "static" / "a01" / name).write_text("   End of Dataset\n")
    for name in ("one", "two"):
        write_archive(Campaign(copy), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as tar:
        names = {Path(n).name for n in tar.getnames()}
    assert not names & {"POTCAR", "WAVECAR", "CHGCAR", "gpaw.gpw", "notes.txt", "kalloy.db"}
    assert {"vasprun.xml", "kalloy-end.json", "kalloy.toml", "member.json", "SHA256SUMS"} <= names


def test_a_potcar_under_another_name_is_not_published(computed: Campaign, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(computed.root, tmp_path / "c"))
    culprit = copy / "host" / "static" / "a01" / "OUTCAR"
    culprit.write_text("x" * (1 << 20) + "\n   parameters from PSCTR are:\n End of Dataset\n")
    with pytest.raises(CampaignError, match="POTCAR") as caught:
        write_archive(Campaign(copy), tmp_path / "c.tar.gz")
    assert str(culprit) in str(caught.value)
    assert not list(tmp_path.glob("*.tar.gz*"))


def test_ase_finds_the_winner(computed: Campaign, ranking: Ranking, tmp_path: Path) -> None:
    from ase.db import connect

    results = Index(computed).results()
    assert write_ase_db(tmp_path / "c.db", frames(computed, ranking, results)) == 3
    with connect(tmp_path / "c.db") as database:
        (row,) = database.select(rank=1)
    assert row.member == ranking.lowest(1)[0]
    static = results[row.member, Stage.STATIC]
    assert row.energy == pytest.approx(static.energy_eV)
    assert row.volume == pytest.approx(static.volume_A3)


def test_extended_xyz_keeps_energies_and_forces(computed: Campaign, ranking: Ranking, tmp_path: Path) -> None:
    from ase.io import read

    results = Index(computed).results()
    write_extxyz(tmp_path / "c.extxyz", frames(computed, ranking, results))
    pictures = read(tmp_path / "c.extxyz", ":")
    assert [p.info["member"] for p in pictures] == [r.member for r in ranking.rows]
    for picture in pictures:
        assert picture.get_potential_energy() == pytest.approx(results[picture.info["member"], Stage.STATIC].energy_eV)
        assert picture.get_forces().shape == (22, 3)


def test_cifs_of_the_best_have_their_symmetry(computed: Campaign, ranking: Ranking, tmp_path: Path) -> None:
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    results = Index(computed).results()
    assert write_cifs(tmp_path, ranking, frames(computed, ranking, results), best=1) == 2  # the host and the winner
    winner = next(r for r in ranking.rows if r.rank == 1)
    structure = Structure.from_file(tmp_path / f"{winner.member.replace('/', '-')}.cif")
    assert SpacegroupAnalyzer(structure, symprec=0.05).get_space_group_symbol() == winner.space_group


def test_the_command_writes_into_an_empty_folder_only(computed: Campaign, kalloy: str, tmp_path: Path) -> None:
    line = [kalloy, "export", str(computed.root), "-o", str(tmp_path / "out"), "--as", "tables", "--as", "cif"]
    done = subprocess.run([*line, "--dry-run"], check=True, capture_output=True, text=True)
    assert "ranking.csv" in done.stdout
    assert not (tmp_path / "out").exists()
    subprocess.run(line, check=True, capture_output=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "cif",
        "ranking.csv",
        "ranking.json",
        "ranking.schema.json",
    ]
    again = subprocess.run(line, check=False, capture_output=True, text=True)
    assert again.returncode == 2
    assert "out" in again.stderr


def test_what_is_compressed_and_what_lies_deeper_goes_along(computed: Campaign, tmp_path: Path) -> None:
    """Host and preset wherever kalloy.toml names them, outputs as plain or as compressed as they are."""
    copy = Path(shutil.copytree(computed.root, tmp_path / "c"))
    for stage in ("relax", "static"):
        file = copy / "host" / stage / "a01" / "vasprun.xml"
        file.with_name("vasprun.xml.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    spec = (copy / "kalloy.toml").read_text()
    host = files("kalloy.structures") / "hosts" / "Cs4PbBr6.cif"
    for folder, name, text in (
        ("structures", "POSCAR-like.cif", host.read_text(encoding="utf-8")),
        ("presets", "mine.yaml", "dated: '2026-11-30'\nparent: presets/under.yaml\nsummary: mine\n"),
        ("presets", "under.yaml", "dated: '2026-11-30'\nparent: laptop\nsummary: under mine\n"),
    ):
        (copy / folder).mkdir(exist_ok=True)
        (copy / folder / name).write_text(text)
    preset = next(line for line in spec.splitlines() if line.startswith("preset"))
    spec = spec.replace('structure = "Cs4PbBr6"', 'structure = "structures/POSCAR-like.cif"')
    (copy / "kalloy.toml").write_text(spec.replace(preset, 'preset = "presets/mine.yaml"'))
    campaign = Campaign(copy)
    write_archive(campaign, tmp_path / "c.tar.gz")
    with tarfile.open(tmp_path / "c.tar.gz") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    again = Campaign(tmp_path / "unpacked" / "c")
    assert again.preset == campaign.preset
    assert again.host.identity == campaign.host.identity
    assert (again.root / "host" / "static" / "a01" / "vasprun.xml.gz").is_file()
    assert Index(again).collect() == 10


def test_a_compressed_potcar_is_not_published_either(computed: Campaign, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(computed.root, tmp_path / "c"))
    culprit = copy / "host" / "static" / "a01" / "OUTCAR.gz"
    culprit.write_bytes(gzip.compress(b" End of Dataset\n"))
    with pytest.raises(CampaignError, match="POTCAR"):
        write_archive(Campaign(copy), tmp_path / "c.tar.gz")


def test_what_lies_outside_the_campaign_is_named(computed: Campaign, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(computed.root, tmp_path / "c"))
    host = files("kalloy.structures") / "hosts" / "Cs4PbBr6.cif"
    (tmp_path / "outside.cif").write_text(host.read_text(encoding="utf-8"))
    spec = copy / "kalloy.toml"
    spec.write_text(spec.read_text().replace('structure = "Cs4PbBr6"', 'structure = "../outside.cif"'))
    with pytest.raises(CampaignError, match=r"'\.\./outside\.cif', which lies outside the campaign"):
        write_archive(Campaign(copy), tmp_path / "c.tar.gz")
    assert not (tmp_path / "c.tar.gz").exists()
