"""Docs stay true: links lead somewhere, commands exist, the JSON that is described is the JSON that comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kalloy.parsers.model import Vasprun
from kalloy.parsers.result import Result

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            leads = page.parent / name if name else page
            assert leads.exists(), target
            assert not anchor or anchor in _anchors(leads), target


def _anchors(page: Path) -> set[str]:
    """The anchors that a forge and Sphinx give to a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_json_of_parse_is_the_one_described() -> None:
    table = (REPOSITORY / "docs/reading.md").read_text().split("| key |")[1].split("\n\n")[0]
    described = [key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(described) == sorted(Result("x", Vasprun()).to_json())


def test_the_readmes_spec_is_valid(tmp_path: Path) -> None:
    from kalloy.workflows.spec import load_spec

    text = re.search(r"```toml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert text
    (tmp_path / "kalloy.toml").write_text(text[1])
    assert load_spec(tmp_path / "kalloy.toml").calculation.incar == {"SIGMA": 0.02}


@pytest.mark.parametrize(
    "example", sorted((REPOSITORY / "examples").glob("*/kalloy.toml")), ids=lambda p: p.parent.name
)
def test_examples_can_be_opened(example: Path) -> None:
    from kalloy.workflows.campaign import Campaign

    assert len(Campaign(example.parent).members) > 1
