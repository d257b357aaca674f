"""The page: complete, self-contained, safe; and alive in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kalloy.workflows.campaign import Campaign

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.xdist_group("report")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Outline(HTMLParser):
    """Ids, links, pictures and the headings' levels of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []
        self.pictures: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.loaded += [v or "" for k, v in attrs if k == "src" or (tag == "link" and k == "href")]
        self.headings += [int(tag[1])] if re.fullmatch(r"h\d", tag) else []
        self.pictures += [found.get("aria-label")] if found.get("role") == "img" else []


@pytest.fixture(scope="module")
def outline(page: Path) -> Outline:
    return Outline(page.read_text())


def test_it_needs_nothing_but_itself(outline: Outline, page: Path) -> None:
    assert outline.loaded == []
    assert "@import" not in page.read_text()
    assert not re.search(r"url\((?!#)", page.read_text())


def test_every_link_leads_somewhere(outline: Outline, page: Path) -> None:
    from urllib.parse import unquote

    for link in outline.links:
        if link.startswith("#"):
            assert link[1:] in outline.ids
        else:
            assert (page.parent / unquote(link)).exists(), link


def test_ids_are_unique_and_headings_descend_one_by_one(outline: Outline) -> None:
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(outline.headings, outline.headings[1:], strict=False))


def test_every_picture_is_told_in_words(outline: Outline, page: Path) -> None:
    assert len(outline.pictures) == page.read_text().count("<figure") == 7
    assert all(caption and len(caption) > 40 for caption in outline.pictures)


def test_names_cannot_become_markup(page: Path) -> None:
    text = page.read_text()
    assert "a &lt;script&gt;alert(1)&lt;/script&gt; paper: host" in text
    assert text.count("<script>") == 1  # our own


def test_every_figure_has_every_format_and_its_data(computed: Campaign, page: Path) -> None:
    figures = sorted((computed.report / "figures").glob("*.svg"))
    assert [f.stem for f in figures] == [
        *("averages-K1", "bands-K1-c2", "bands-host", "diffraction", "dos-host-K1-c2", "energies", "structures")
    ]
    for figure in figures:
        assert {figure.with_suffix(s).exists() for s in (".pdf", ".png", ".csv")} == {True}


def test_the_methods_name_what_was_effective(page: Path) -> None:
    text = page.read_text()
    assert "standin 1" in text
    assert "plane-wave cut-off of 200 eV" in text
    assert "8 arrangements of K on Cs" in text


def test_the_same_results_give_the_same_page(computed: Campaign, page: Path) -> None:
    from kalloy.workflows.report.page import write_report

    before = page.read_bytes()
    assert write_report(computed).read_bytes() == before


def test_tables_say_the_same_as_the_page(computed: Campaign, page: Path) -> None:
    rows = json.loads((computed.report / "tables" / "ranking.json").read_text())
    assert [r["rank"] for r in rows] == [None, 1, 2]
    assert f"Lowest in energy: {rows[1]['member']}" in page.read_text()


def test_the_schema_describes_the_ranking_whole(computed: Campaign, page: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema (test group)")
    tables = computed.report / "tables"
    rows, schema = (json.loads((tables / n).read_text()) for n in ("ranking.json", "ranking.schema.json"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(rows, schema)
    for key in schema["items"]["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([{k: v for k, v in row.items() if k != key} for row in rows], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([rows[0] | {"unknown": 1}], schema)


def test_reflections_stand_beside_the_measured_shifts(computed: Campaign, page: Path) -> None:
    """Bragg's law for the host's own cell: 006 and 110 of the hexagonal axes, found in the primitive cell."""
    import numpy as np

    from kalloy.workflows.index import Index
    from kalloy.workflows.inputs.stage import Stage
    from kalloy.workflows.screening.metric import HostMetric

    lattice = Index(computed).results()["host", Stage.STATIC].lattice_A
    assert lattice is not None
    a, _, c, *_ = HostMetric(computed.host).parameters(lattice)
    text = page.read_text()
    for name, spacing, measured in (("006", c / 6, "+0.47"), ("110", a / 2, "-0.03")):
        angle = 2 * np.degrees(np.arcsin(1.54184 / (2 * spacing)))
        row = re.search(rf"<tr><td>{name}</td><td>([\d.]+)</td><td>[\d.]+</td><td>[^<]*</td><td>([^<]*)</td>", text)
        assert row is not None
        assert float(row[1]) == pytest.approx(angle, abs=0.006)
        assert row[2] == measured


def test_averages_are_those_of_the_command(computed: Campaign, page: Path, kalloy: str) -> None:
    import subprocess

    out = subprocess.run([kalloy, "average", str(computed.root), "--json"], check=True, capture_output=True, text=True)
    (first, *_) = json.loads(out.stdout)["averages"]
    assert f"<td>{first['averages']['gap']['value']:.3f}</td>" in page.read_text()


# -- in a browser --------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(page: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page in headless Chromium, and what its console said."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (development group)")
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium)")
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.extend([request.url] if request.url.startswith("http") else []))
        tab.goto(page.as_uri())
        yield tab, said
        browser.close()


def _column(tab: Any, column: int) -> list[str]:
    return [c.inner_text() for c in tab.query_selector_all(f"#ranks tbody:first-of-type td:nth-child({column})")]


def test_it_opens_without_a_complaint(opened: tuple[Page, list[str]]) -> None:
    tab, said = opened
    assert said == []
    assert tab.title() == "Cs4PbBr6: K on Cs"


def test_every_plot_is_seen(opened: tuple[Page, list[str]]) -> None:
    tab, _ = opened
    boxes = [svg.bounding_box() for svg in tab.query_selector_all("figure svg")]
    assert len(boxes) == 7
    assert all(box and box["width"] > 400 and box["height"] > 100 for box in boxes)


def test_it_sorts_by_the_keyboard_with_missing_figures_last(opened: tuple[Page, list[str]]) -> None:
    tab, _ = opened
    button = tab.query_selector("#ranks th:nth-child(5) button")
    assert button is not None
    assert _column(tab, 5)[0] == "–"  # the host stands first, without a ΔE
    for direction, reverse in (("ascending", False), ("descending", True)):
        button.focus()
        tab.keyboard.press("Enter")
        head = tab.query_selector("#ranks th:nth-child(5)")
        assert head is not None
        assert head.get_attribute("aria-sort") == direction
        values = [float(v) for v in _column(tab, 5)[:-1]]
        assert values == sorted(values, reverse=reverse)
        assert _column(tab, 5)[-1] == "–"


def test_it_filters(opened: tuple[Page, list[str]]) -> None:
    tab, _ = opened
    tab.fill("#filter", "k1/C1 indirect")
    assert tab.inner_text("#shown") == "1 of 3 rows"
    assert [r.is_visible() for r in tab.query_selector_all("#ranks tbody:first-of-type tr")].count(True) == 1
    tab.fill("#filter", "")
    assert [r.is_visible() for r in tab.query_selector_all("#ranks tbody:first-of-type tr")].count(True) == 3


def test_a_phone_shows_it_without_scrolling_sideways(opened: tuple[Page, list[str]]) -> None:
    tab, _ = opened
    tab.set_viewport_size({"width": 360, "height": 700})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.set_viewport_size({"width": 1200, "height": 900})


def test_text_stands_out_from_its_ground(opened: tuple[Page, list[str]]) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3) for every colour of text that the page uses."""
    tab, _ = opened
    pairs = tab.evaluate(
        """() => [...document.querySelectorAll('p, td, th, dt, a, figcaption, li, summary')].map(e => {
            const painted = g => getComputedStyle(g).backgroundColor !== 'rgba(0, 0, 0, 0)';
            let ground = e;
            while (ground && !painted(ground)) ground = ground.parentElement;
            const behind = ground ? getComputedStyle(ground).backgroundColor : 'rgb(255, 255, 255)';
            return [getComputedStyle(e).color, behind];
        })"""
    )
    for colour, ground in {tuple(p) for p in pairs}:
        light, dark = sorted((_luminance(colour), _luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, ground)


def _luminance(colour: str) -> float:
    channels = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
