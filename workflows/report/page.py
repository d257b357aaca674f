"""The report: one page that opens anywhere, with everything on it inside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import write_text
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.figures import draw_energies, draw_spectra, element_colours, write_bands
from kalloy.workflows.report.spectra import spectra_of
from kalloy.workflows.screening.ranking import Ranking, rank
from kalloy.workflows.screening.tables import COLUMNS, as_csv, doubts, reference_rows, table_row

if TYPE_CHECKING:
    from kalloy.workflows.results import CampaignResult


def write_report(campaign: Campaign) -> Path:
    """Write the page, its figures and its tables into the campaign's ``report`` folder.

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
    ranking = rank(campaign, results)
    folder = campaign.report
    figures = list(_figures(campaign, ranking, folder / "figures"))
    write_text(folder / "tables" / "ranking.csv", as_csv(ranking))
    rows = [{"schema": 1, **r.to_json()} for r in ranking.rows]
    write_text(folder / "tables" / "ranking.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    page = _render(
        title=f"{campaign.host.name}: {_substitutions(campaign)}",
        facts=_facts(campaign, results),
        columns=COLUMNS,
        rows=[(row.rank == 1, table_row(row)) for row in ranking.rows],
        reference=reference_rows(campaign),
        reference_note=campaign.spec.reference.note if campaign.spec.reference else "",
        figures=figures,
        doubts=doubts(campaign, ranking, results),
        settings=_settings(campaign),
        calculations=[
            {
                "member": r.member,
                "stage": r.stage,
                "outcome": r.outcome,
                "folder": r.folder,
                "energy": r.energy_eV,
                "force": r.largest_force_eV_A,
                "seconds": r.cpu_seconds,
            }
            for r in results.values()
        ],
    )
    write_text(folder / "index.html", page)
    return folder / "index.html"


def _figures(campaign: Campaign, ranking: Ranking, folder: Path) -> Iterator[dict[str, str]]:
    shown = spectra_of(campaign, ranking)
    colours = element_colours(shown)
    for spectra in shown:
        name = "spectra-" + spectra.member.replace("/", "-")
        svg = draw_spectra(spectra, folder, name, colours)
        write_bands(spectra, folder, f"bands-{spectra.member.replace('/', '-')}")
        caption = f"{spectra.title}: bands along the set's path, density of states by element per formula unit"
        yield {"svg": _inline(svg), "caption": caption, "name": name}
    if (svg_ := draw_energies(ranking, folder, "energies")) is not None:
        yield {"svg": _inline(svg_), "caption": "energies of the configurations", "name": "energies"}


def _inline(svg: Path) -> str:
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
    return [
        ("host", f"{host.name}, {campaign.formula}, {host.space_group.symbol}; {host.source}"),
        ("cell", f"{host.cell}: {len(host.crystal)} atoms, {campaign.space.sites} sites to substitute"),
        ("configurations", f"{len(campaign.configurations)} symmetry-distinct"),
        ("calculations", f"{done} of {len(results)} done and converged by their own criteria"),
        ("engine", ", ".join(engines)),
        ("preset", f"{campaign.spec.calculation.preset} ({campaign.preset.dated}): {campaign.preset.summary}"),
        ("kalloy", __version__),
    ]


def _settings(campaign: Campaign) -> list[tuple[str, str, str]]:
    """Stage, k-points and INCAR tags, as asked for."""
    rows = []
    for stage in campaign.spec.stages:
        kpoints = campaign.preset.kpoints[stage]
        where = (
            f"{kpoints.style.replace('-', '–')} {'x'.join(map(str, kpoints.mesh))}"
            if isinstance(kpoints, MeshSettings)
            else f"lines, {kpoints.line_points} points a segment"
        )
        tags = campaign.preset.tags[stage] | campaign.spec.calculation.incar
        rows.append((stage.value, where, ", ".join(f"{k}={v}" for k, v in tags.items())))
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
