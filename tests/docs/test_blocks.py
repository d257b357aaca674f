"""What the pages show is done: a block without a mark is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalloy.errors import KalloyError
from tests.docs.blocks import Block, blocks_of, commands, fits
from tests.docs.running import Reader, load_fragment, named

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def _follow(page: Path, tmp_path: Path, kalloy: str, engine: str | None) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    reader = Reader(folder, kalloy, engine)
    for block in blocks_of(page):
        reader.do(block)


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow if "howto" in p.parts else ()) for p in PAGES], ids=lambda p: p.name
)
def test_every_block_holds(page: Path, tmp_path: Path, kalloy: str, standin: str) -> None:
    """With the stand-in for the free engine."""
    _follow(page, tmp_path, kalloy, standin)


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b.mark == "engine" for b in blocks_of(p))], ids=lambda p: p.name
)
def test_every_block_holds_with_the_free_engine(page: Path, tmp_path: Path, kalloy: str) -> None:
    _follow(page, tmp_path, kalloy, None)


def test_a_block_without_a_mark_is_run(tmp_path: Path, kalloy: str) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```\nkalloy count nowhere.cif --replace Cs=K\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:3: exit code 2"):
        _follow(page, tmp_path, kalloy, None)


@pytest.mark.parametrize(
    "block",
    [
        Block("p", "toml", "[calculation]\nenigne = 'vasp'\n"),
        Block("p", "python", "1 / 0\n"),
        Block("p", "console", "$ echo 70\n71\n"),
        Block("p", "fortran", "end\n"),
        Block("p", "", "true\n", "unheard of"),
        Block("p", "", "kalloy count --no-such\n", "named: here"),
        Block("p", "yaml", "kpoints: {relax: {mehs: [1, 1, 1]}}\n"),
    ],
    ids=lambda b: b.language or b.mark,
)
def test_what_is_wrong_is_found(block: Block, tmp_path: Path, kalloy: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with pytest.raises((AssertionError, KalloyError)):
        Reader(folder, kalloy, None).do(block)


def test_what_is_shown_is_compared() -> None:
    assert commands("$ a\n1\n2\n$ b\n") == [("a", "1\n2\n"), ("b", "")]
    assert fits(" a …\n…\n z", " a 17 s\n b\n c\n\n z  \n")
    assert not fits("a …", "b 17 s")
    assert not fits("a\n", "a\nb\n")
    assert load_fragment("[noise]\nrattle = 1\n", "p").noise.rattle == 1
    named(Block("p", "", "kalloy run --max-jobs 2 x  # words --not-options\n"))
