"""The report: one page that opens anywhere, with everything on it inside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import write_text
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.alloy import alloy_blocks, draw_alloy, reflection_block
from kalloy.workflows.report.beside import model_block, strain_block
from kalloy.workflows.report.block import Block
from kalloy.workflows.report.drawing import Drawn
from kalloy.workflows.report.gallery import draw_all
from kalloy.workflows.report.methods import citations, datasets, methods, software
from kalloy.workflows.report.tables import write_tables
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.ranking import Ranking, rank
from kalloy.workflows.screening.tables import COLUMNS, doubts, reference_rows, table_row

if TYPE_CHECKING:
    from kalloy.workflows.results import CampaignResult
    from kalloy.workflows.screening.columns import Results

LEGEND = (
    "g: degeneracy. ΔE: above the lowest configuration of the same content. Margin: direct gap less fundamental gap. "
    "Δgap, ΔV: against the host, computed alike."
)


def write_report(campaign: Campaign, allowed: Iterable[str] = ()) -> Path:
    """Write the page, its figures and its tables into the campaign's ``report`` folder.

    Parameters
    ----------
    allowed : settings whose difference the user takes on; the page carries them as doubts.

    Returns
    -------
    The page.

    Raises
    ------
    AgreementError
        Where nothing can be ranked.
    """
    index = Index(campaign)
    index.collect()
    results = index.results()
    ranking = rank(campaign, results, allowed=allowed)
    alloy = Alloy(campaign, ranking, results, allowed)
    folder = campaign.report
    figures = [*draw_all(campaign, ranking, folder / "figures"), *draw_alloy(alloy, results, folder / "figures")]
    tables = write_tables(ranking, folder / "tables")
    write_text(folder / "index.html", _page(campaign, ranking, results, list(_blocks(alloy, results)), figures, tables))
    return folder / "index.html"


def _page(
    campaign: Campaign,
    ranking: Ranking,
    results: Mapping[tuple[str, Stage], CampaignResult],
    blocks: list[Block],
    figures: Iterable[Drawn],
    tables: list[str],
) -> str:
    from kalloy import __version__

    drawn = [{"name": f.name, "caption": f.caption, "svg": inline(f.svg)} for f in figures]
    return _render(
        title=f"{campaign.host.name}: {_substitutions(campaign)}",
        headline=headline(campaign, ranking),
        sections=_sections(blocks, bool(drawn)),
        facts=_facts(campaign, results),
        columns=COLUMNS,
        rows=[(row.rank == 1, table_row(row)) for row in ranking.shown],
        legend=LEGEND,
        reference=reference_rows(campaign),
        reference_note=campaign.spec.reference.note if campaign.spec.reference else "",
        tables=tables,
        doubts=doubts(campaign, ranking, results),
        blocks=blocks,
        figures=drawn,
        methods=methods(campaign, results),
        datasets=datasets(campaign, results),
        citations=citations(campaign, results),
        software=software(results),
        settings=_settings(campaign),
        calculations=[_calculation(r) for r in results.values()],
        version=__version__,
    )


def _blocks(alloy: Alloy, results: Results) -> Iterator[Block]:
    yield from alloy_blocks(alloy)
    for block in (reflection_block(alloy, results), strain_block(alloy.campaign, results), model_block(alloy)):
        if block is not None:
            yield block


def _sections(blocks: Iterable[Block], figures: bool) -> list[tuple[str, str]]:
    pairs = [("asked", "What was asked"), ("ranking", "Ranking"), ("trust", "How far to trust it")]
    pairs += [(b.id, b.title) for b in blocks]
    pairs += [("figures", "Figures")] if figures else []
    return [*pairs, ("methods", "Methods"), ("calculations", "Calculations")]


def headline(campaign: Campaign, ranking: Ranking) -> str:
    """The answer in a sentence: the lowest configuration, its gap beside the host's, its volume."""
    winner = next((r for r in ranking.shown if r.rank == 1), None)
    if winner is None:
        return ""
    parts = [f"Lowest in energy: {winner.member} ({winner.space_group} before relaxation)"]
    host = ranking.host
    if winner.gap and not winner.gap.metal:
        before = f"{host.gap.gap_eV:.2f} → " if host and host.gap and not host.gap.metal else ""
        parts.append(f"gap {before}{winner.gap.gap_eV:.2f} eV, {winner.gap.character}")
    if winner.volume_change_percent is not None:
        parts.append(f"volume {winner.volume_change_percent:+.1f} % against the host")
    return "; ".join(parts) + "."


def _calculation(result: CampaignResult) -> dict[str, Any]:
    return {
        "member": result.member,
        "stage": result.stage.value,
        "outcome": result.outcome,
        "folder": result.folder,
        "link": "../" + quote(result.folder) + "/",
        "energy": result.energy_eV,
        "force": result.largest_force_eV_A,
        "seconds": result.cpu_seconds,
    }


def inline(svg: Path) -> str:
    """An SVG as part of a page: without its prologue, its ids made its own so that figures do not share them."""
    text = svg.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    stem = re.sub(r"\W", "-", svg.stem)
    text = re.sub(r'\bid="', f'id="{stem}-', text)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{stem}-", text)


def _substitutions(campaign: Campaign) -> str:
    return ", ".join(f"{t.with_} on {t.replace}" for t in campaign.spec.substitution)


def _facts(campaign: Campaign, results: Mapping[tuple[str, Stage], CampaignResult]) -> list[tuple[str, str]]:
    from kalloy import __version__

    host = campaign.host
    engines = sorted({f"{r.settings['program']} {r.settings['version']}" for r in results.values() if r.settings})
    done = sum(r.is_usable for r in results.values())
    computed = {r.member for r in results.values() if r.is_usable} & {m.label for m in campaign.configurations}
    return [
        ("host", f"{host.name}, {campaign.formula}, {host.space_group.symbol}; {host.source}"),
        ("cell", f"{host.cell}: {len(host.crystal)} atoms, {campaign.space.sites} sites to substitute"),
        ("configurations", f"{len(campaign.configurations):,} symmetry-distinct, {len(computed):,} of them computed"),
        ("calculations", f"{done:,} of {len(results):,} done and converged by their own criteria"),
        ("engine", ", ".join(engines)),
        *(("otherwise than in VASP", note) for note in _differences(results)),
        ("preset", f"{campaign.spec.calculation.preset} ({campaign.preset.dated}): {campaign.preset.summary}"),
        ("kalloy", __version__),
    ]


def _differences(results: Mapping[tuple[str, Stage], CampaignResult]) -> list[str]:
    """What the engine did otherwise than VASP, and in how many of the calculations where not in all."""
    counts = Counter(note for result in results.values() for note in result.differences)
    return [
        note if count == len(results) else f"{note} ({count} of {len(results)} calculations)"
        for note, count in counts.items()
    ]


def _settings(campaign: Campaign) -> list[tuple[str, str, str]]:
    """Stage, k-points and INCAR tags, as asked for."""
    rows = []
    for stage in campaign.spec.stages:
        kpoints = campaign.preset.kpoints[stage]
        tags = campaign.preset.tags[stage] | campaign.spec.calculation.own_tags(stage)
        rows.append((stage.value, kpoints.words, ", ".join(f"{k}={v}" for k, v in tags.items())))
    return rows


def _render(**content: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Names come from the user's files: everything is escaped but our own SVG.
    environment = Environment(
        loader=PackageLoader("kalloy.workflows.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(content)
