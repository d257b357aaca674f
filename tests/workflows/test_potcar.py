"""POTCARs are found in every layout, checked block by block, recorded, and never invented."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import SETTINGS
from pymatgen.io.vasp.inputs import Potcar, PotcarSingle

from kalloy.errors import SpecError, VaspInputError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.creation import new_campaign
from kalloy.workflows.inputs.composer import Composer
from kalloy.workflows.inputs.potcar import PotcarChoice, choose, folder_blocks, has_only_spec, potcars
from kalloy.workflows.inputs.potcar_blocks import electrons, read_block, require_order, split_potcar
from kalloy.workflows.inputs.potcar_library import find_library, folder_names, releases
from kalloy.workflows.inputs.preset import Functional, load_preset
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.valences import PUBLISHED
from kalloy.workflows.inputs.writing import write_attempt

HOME = {"Cs": 21, "K": 3, "Pb": 6, "Br": 36}
HOME_SYMBOLS = ("Cs_sv", "K_sv", "Pb_d", "Br")
NAMES = ["{}/POTCAR", "{}/POTCAR.gz", "POTCAR.{}", "POTCAR.{}.gz"]
FUNCTIONALS = sorted(get_args(Functional))


def test_kalloys_functionals_are_those_of_pymatgens_map_that_are_paw() -> None:
    left_out = {"LDA_US", "PW91_US", "Perdew_Zunger81"}  # ultrasoft, and another name of LDA
    assert set(FUNCTIONALS) == set(PotcarSingle.functional_dir) - left_out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("functional", FUNCTIONALS)
def test_every_layout_is_found(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch, functional: str, name: str
) -> None:
    """Under each name that a release's folder goes by, with the root above it; also where the root is that folder."""
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path))
    one = {"K_sv": standin_potcars.DATASETS["K_sv"]}
    for folder in folder_names(functional):
        standin_potcars.write_library(tmp_path / folder, one, name=name)
        there = releases(tmp_path)
        library = find_library(functional if functional in there else functional.removesuffix("_W_HASH"))
        assert library
        assert library.folder == tmp_path / folder
        assert library.functional.removesuffix("_W_HASH") == functional.removesuffix("_W_HASH")
        assert library.datasets == ("K_sv",)
        assert library.block("K_sv").titel == "PAW_PBE K_sv 01Jan2001"
        (tmp_path / folder).rename(tmp_path / "put aside")
        (tmp_path / "put aside").rename(tmp_path / f"{folder} (seen)")


def test_vasps_own_names_are_among_them() -> None:
    assert {"POT_PAW_PBE_64", "potpaw_PBE.64"} <= set(folder_names("PBE_64"))
    assert folder_names("PBE") == ["POT_GGA_PAW_PBE", "potpaw_PBE"]


def test_the_root_may_be_the_release_itself(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin_potcars.write_library(tmp_path / "potpaw_PBE.64")
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path / "potpaw_PBE.64"))
    library = find_library(None)
    assert library
    assert (library.functional, library.folder) == ("PBE_64", tmp_path / "potpaw_PBE.64")


def test_a_pmgrc_names_library_folders_and_release(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("mine", "potpaw_PBE.64"):
        standin_potcars.write_library(tmp_path / folder)
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(tmp_path))
    monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_SUB_DIRS", {"PBE_54": "mine"})
    monkeypatch.setitem(SETTINGS, "PMG_DEFAULT_FUNCTIONAL", "PBE_54")
    library = find_library(None)
    assert library
    assert (library.functional, library.folder) == ("PBE_54", tmp_path / "mine")
    asked = find_library("PBE_64")  # what is asked for wins over the default
    assert asked
    assert asked.folder == tmp_path / "potpaw_PBE.64"


def test_several_releases_and_none_asked_for_is_named(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path))
    for folder in ("potpaw_PBE.54", "potpaw_PBE.64", "potpaw_LDA.64"):
        standin_potcars.write_library(tmp_path / folder)
    with pytest.raises(VaspInputError, match=r"several releases \(PBE_54, PBE_64\).*potcar_functional = \"PBE_64\""):
        find_library(None)
    with pytest.raises(VaspInputError, match="no PBE_52 in the POTCAR library: it holds PBE_54, PBE_64, LDA_64"):
        find_library("PBE_52")
    assert releases(tmp_path).keys() == {"PBE_54", "PBE_64", "LDA_64"}


def test_one_pbe_release_beside_others_is_no_ambiguity(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path))
    for folder in ("potpaw_LDA.54", "POT_GGA_PAW_PBE_54"):
        standin_potcars.write_library(tmp_path / folder)
    library = find_library(None)
    assert library
    assert library.functional == "PBE_54"


def test_no_library_and_a_library_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_library("PBE_54") is None
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path / "gone"))
    with pytest.raises(VaspInputError, match="is no folder"):
        find_library(None)
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path))
    with pytest.raises(VaspInputError, match=r"no release that kalloy knows.*potpaw_PBE"):
        find_library(None)


def test_a_missing_dataset_names_element_dataset_folder_and_the_nearest(potcar_library: Path) -> None:
    choice = PotcarChoice(("Cs_sv", "Pb_dd"), ("Cs", "Pb"))
    with pytest.raises(VaspInputError) as caught:
        potcars(choice)
    for word in ("POTCAR of Pb", "'Pb_dd'", str(potcar_library / "potpaw_PBE.54"), "Pb, Pb_d"):
        assert word in str(caught.value)


# -- blocks ------------------------------------------------------------------------


def test_k_and_cs_exchanged_are_refused_though_nelect_cannot_see_it(
    potcar_library: Path, standin_potcars: ModuleType
) -> None:
    """In the choice, in the library's own folder, and in a file that somebody put together by hand."""
    good = potcars(PotcarChoice(HOME_SYMBOLS, tuple(HOME)))
    assert good.electrons(HOME) == 552
    swapped = [good.blocks[i] for i in (1, 0, 2, 3)]
    assert electrons({b.element: b.zval for b in swapped}, HOME) == 552
    with pytest.raises(VaspInputError, match=r"block 1 of POTCAR is 'PAW_PBE K_sv 01Jan2001' where POSCAR has Cs"):
        require_order(swapped, tuple(HOME))
    with pytest.raises(VaspInputError, match="where POSCAR has Cs"):
        potcars(PotcarChoice(("K_sv", "Cs_sv", "Pb_d", "Br"), tuple(HOME)))
    folder = potcar_library / "potpaw_PBE.54"
    (folder / "K_sv/POTCAR").write_text(standin_potcars.potcar("Cs_sv", "Cs", 9, 211.0))
    with pytest.raises(VaspInputError, match=r"block 2 .* where POSCAR has K"):
        potcars(PotcarChoice(HOME_SYMBOLS, tuple(HOME)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(4)))
def test_every_wrong_order_is_refused(standin_potcars: ModuleType, order: list[int]) -> None:
    texts = [standin_potcars.potcar(s, *standin_potcars.DATASETS[s]) for s in HOME_SYMBOLS]
    blocks = split_potcar("".join(texts[i] for i in order))
    assert [b.symbol for b in blocks] == [HOME_SYMBOLS[i] for i in order]
    if order == [0, 1, 2, 3]:
        require_order(blocks, tuple(HOME))
    else:
        with pytest.raises(VaspInputError, match="where POSCAR has"):
            require_order(blocks, tuple(HOME))


def test_a_block_too_few_or_too_many_is_refused(standin_potcars: ModuleType) -> None:
    blocks = [read_block(standin_potcars.potcar(s, *standin_potcars.DATASETS[s])) for s in HOME_SYMBOLS]
    for wrong in (blocks[:3], [*blocks, blocks[3]]):
        with pytest.raises(VaspInputError, match=f"has {len(wrong)} datasets where POSCAR has 4"):
            require_order(wrong, tuple(HOME))


def test_title_and_vrhfin_must_agree(standin_potcars: ModuleType) -> None:
    text = standin_potcars.potcar("K_sv", "Cs", 9, 222.0)
    with pytest.raises(VaspInputError, match=r"'PAW_PBE K_sv 01Jan2001' is made for Cs"):
        read_block(text)
    odd = standin_potcars.potcar("Xe", "X", 8, 100.0)  # VASP's own way
    assert read_block(odd).element == "Xe"


@pytest.mark.parametrize("text", ["", "a POTCAR\n", "  PAW_PBE K_sv 06Sep2000\n End of Dataset\n"])
def test_what_is_no_potcar_is_refused(text: str) -> None:
    with pytest.raises(VaspInputError):
        split_potcar(text)


def test_a_potcar_that_was_cut_off_is_refused(standin_potcars: ModuleType, tmp_path: Path) -> None:
    whole = "".join(standin_potcars.potcar(s, *standin_potcars.DATASETS[s]) for s in ("K_sv", "Br"))
    (tmp_path / "POTCAR").write_text(whole[:-40])
    with pytest.raises(VaspInputError, match="ends within a dataset"):
        folder_blocks(tmp_path)


def test_datasets_of_two_functionals_are_refused(potcar_library: Path, standin_potcars: ModuleType) -> None:
    one = {"Br": standin_potcars.DATASETS["Br"]}
    standin_potcars.write_library(potcar_library / "potpaw_PBE.54", one, lexch="CA")
    with pytest.raises(VaspInputError, match=r"2 functionals.*K_sv PE, Br CA"):
        potcars(PotcarChoice(("K_sv", "Br"), ("K", "Br")))


# -- the number of electrons -------------------------------------------------------


def test_nelect_of_the_home_case_with_and_without_a_library(
    potcar_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_library = potcars(PotcarChoice(HOME_SYMBOLS, tuple(HOME)))
    assert with_library.electrons(HOME) == 552
    assert potcars(PotcarChoice(("Cs_sv", "K_sv", "Pb", "Br"), tuple(HOME))).electrons(HOME) == 492
    monkeypatch.delenv("PMG_VASP_PSP_DIR")
    named = potcars(PotcarChoice(HOME_SYMBOLS, tuple(HOME)))
    assert named.blocks == ()
    assert named.electrons(HOME) == 552
    assert [row["zval_from"] for row in named.to_json()] == ["published list"] * 4
    assert potcars(PotcarChoice(("Cs_sv", "Pb_unheard"), ("Cs", "Pb"))).electrons({"Cs": 1, "Pb": 1}) is None


def test_published_valences_are_those_of_real_calculations(shared: Path) -> None:
    """vasprun.xml names each dataset with its valence: an independent truth for the list."""
    import gzip
    import re

    seen: dict[str, float] = {}
    for path in sorted((shared / "vasp").glob("*/vasprun.xml.gz")):
        with gzip.open(path, "rt", errors="replace") as file:
            head = file.read(400_000)
        for table in re.findall(r'<array name="atomtypes".*?</array>', head, re.DOTALL):
            for row in re.findall(r"<rc>(.*?)</rc>", table):
                cells = re.findall(r"<c>(.*?)</c>", row)
                seen[cells[4].split()[1] if len(cells[4].split()) > 1 else ""] = float(cells[3])
    both = seen.keys() & PUBLISHED.keys()
    assert len(both) >= 35
    assert {d: seen[d] for d in both} == {d: float(PUBLISHED[d]) for d in both}


# -- what is written ---------------------------------------------------------------


def make(folder: Path, extra: str = "") -> Campaign:
    new_campaign(folder, "Cs4PbBr6", ["Cs=K:1"], cell="primitive", preset="paper-gamma", engine="vasp")
    spec = folder / "kalloy.toml"
    spec.write_text(spec.read_text().replace('engine = "vasp"\n', f'engine = "vasp"\n{extra}'))
    return Campaign(folder)


def test_an_attempt_records_titles_hashes_valences_and_where_they_are_from(
    tmp_path: Path, potcar_library: Path
) -> None:
    campaign = make(tmp_path / "c")
    attempt = write_attempt(campaign, campaign.member("K1/c2"), Stage.RELAX)
    text = (attempt.folder / "POTCAR").read_text()
    source = potcar_library / "potpaw_PBE.54"
    assert text == "".join((source / d / "POTCAR").read_text() for d in HOME_SYMBOLS)
    assert attempt.written["datasets"][1] == {
        "dataset": "K_sv",
        "element": "K",
        "titel": "PAW_PBE K_sv 01Jan2001",
        "sha256": sha256((source / "K_sv/POTCAR").read_bytes()).hexdigest(),
        "zval": 9.0,
        "zval_from": "POTCAR",
        "enmax_eV": 222.0,
    }
    assert attempt.written["potcar"] == {
        "functional": "PBE_54",
        "library": str(source),
        "chosen_by_the_user": [],
        "chosen_by_default": [],
        "nelect": 184.0,
    }
    # pymatgen reads the same four datasets from what was written.
    assert [single.TITEL for single in Potcar.from_file(attempt.folder / "POTCAR")] == [
        f"PAW_PBE {d} 01Jan2001" for d in HOME_SYMBOLS
    ]


def test_nelect_is_the_same_over_every_content(tmp_path: Path, potcar_library: Path) -> None:
    new_campaign(tmp_path / "c", "Cs4PbBr6", ["Cs=K"], cell="primitive", preset="paper-gamma", engine="vasp")
    campaign = Campaign(tmp_path / "c")
    assert {Composer(campaign).potcars(m).electrons(m.crystal.composition) for m in campaign.members.values()} == {
        184.0
    }


def test_the_users_own_choice_wins_and_is_listed(tmp_path: Path, potcar_library: Path) -> None:
    campaign = make(tmp_path / "c", 'potcar_functional = "PBE_54"\n[calculation.potcar]\nPb = "Pb"\n')
    before = Composer(make(tmp_path / "other")).asked(campaign.member("host"), Stage.RELAX, None)
    assert Composer(campaign).asked(campaign.member("host"), Stage.RELAX, None) != before
    written = write_attempt(campaign, campaign.member("host"), Stage.RELAX).written
    assert [row["dataset"] for row in written["datasets"]] == ["Cs_sv", "Pb", "Br"]
    assert written["potcar"]["chosen_by_the_user"] == ["Pb"]
    assert written["potcar"]["nelect"] == 164.0


def test_what_no_preset_names_takes_pymatgens_choice_and_is_listed() -> None:
    choice = choose(load_preset("paper"), ["Rb", "Pb", "Cl"])
    assert choice.symbols == ("Rb_sv", "Pb_d", "Cl")
    assert choice.usual == ("Rb", "Cl")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('[calculation.potcar]\nXx = "Xx"\n', "no element 'Xx'"),
        ('[calculation.potcar]\nPb = "K_sv"\n', "'K_sv' is no dataset of Pb"),
        ('[calculation.potcar]\nC = "Cs_sv"\n', "'Cs_sv' is no dataset of C"),
        ('[calculation.potcar]\nPb = "Pb/../../x"\n', "is no dataset of Pb"),
        ('potcar_functional = "PBE_53"\n', "potcar_functional"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_spec(tmp_path: Path, extra: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        make(tmp_path / "c", extra)


def test_a_missing_element_leaves_nothing_behind(tmp_path: Path, potcar_library: Path) -> None:
    campaign = make(tmp_path / "c")
    (potcar_library / "potpaw_PBE.54/K_sv/POTCAR").unlink()
    before = sorted(p for p in (tmp_path / "c").rglob("*"))
    with pytest.raises(VaspInputError, match=r"POTCAR of K: no dataset 'K_sv'.*K_pv"):
        write_attempt(campaign, campaign.member("K1/c1"), Stage.RELAX)
    assert sorted(p for p in (tmp_path / "c").rglob("*")) == before


def test_without_a_library_there_is_a_spec(tmp_path: Path) -> None:
    campaign = make(tmp_path / "c")
    attempt = write_attempt(campaign, campaign.member("K1/c1"), Stage.RELAX)
    assert has_only_spec(attempt.folder)
    assert (attempt.folder / "POTCAR.spec").read_text() == "Cs_sv\nK_sv\nPb_d\nBr\n"
    assert attempt.written["potcar"]["library"] is None


def test_a_library_that_comes_later_gives_what_never_started_its_potcar(
    tmp_path: Path, standin_potcars: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from kalloy.cli import cli

    make(tmp_path / "c")
    first = CliRunner().invoke(cli, ["write", str(tmp_path / "c")])
    assert first.exit_code == 0
    assert "VASP cannot start before" in first.stderr
    assert (tmp_path / "c/K1/c1/relax/a01/POTCAR.spec").is_file()
    standin_potcars.write_library(tmp_path / "library/potpaw_PBE.64", name="{}/POTCAR.gz")
    monkeypatch.setenv("PMG_VASP_PSP_DIR", str(tmp_path / "library"))
    again = CliRunner().invoke(cli, ["write", str(tmp_path / "c")])
    assert "no library" not in again.stderr
    assert (tmp_path / "c/K1/c1/relax/a02/POTCAR").is_file()
    assert (tmp_path / "c/K1/c1/relax/a01/POTCAR.spec").is_file()
    CliRunner().invoke(cli, ["write", str(tmp_path / "c")])
    assert not (tmp_path / "c/K1/c1/relax/a03").exists()


def test_no_licensed_file_is_in_the_repository() -> None:
    """Stand-ins say what they are; nothing here has the body of a dataset."""
    root = Path(__file__).resolve().parents[2]
    folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "campaigns"]
    assert not [p for folder in folders for p in folder.rglob("POTCAR*") if not p.name.endswith(".spec")]
