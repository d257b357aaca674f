"""``kalloy rank``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import allow_option, campaign_argument, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign

SHOWN = 30
"""Rows on a terminal unless asked for otherwise."""


@click.command()
@campaign_argument
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, units in the column names.")
@click.option("--columns", "asked", metavar="NAMES", help="Which columns, comma-separated; a wrong one lists them all.")
@click.option("--wide", is_flag=True, help="Sites, distances, relaxed space group and cell as well.")
@click.option("--top", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="Rows of each content.")
@allow_option
def command(
    campaign: str, as_json: bool, as_csv: bool, asked: str | None, wide: bool, top: int, allow: tuple[str, ...]
) -> None:
    """Order the configurations of CAMPAIGN by energy, with gap, character and volume beside the host's.

    Refused, with a table of who differs, where the calculations were not made alike. JSON and CSV hold
    every row and every figure.
    """
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.screening.tables import DEFAULT, WIDE
    from kalloy.workflows.screening.tables import as_csv as csv_text

    opened = Campaign(Path(campaign))
    if not (as_json or as_csv):
        names = [name.strip() for name in asked.split(",")] if asked else WIDE if wide else DEFAULT
        print_ranking(opened, names, top, allow)
        return
    index = Index(opened)
    index.collect()
    ranking = rank(opened, index.results(), allowed=allow)
    if as_csv:
        click.echo(csv_text(ranking), nl=False)
    else:
        emit_json([{"schema": 1, **row.to_json()} for row in ranking.rows])


def print_ranking(
    campaign: Campaign, names: Sequence[str] | None = None, top: int = SHOWN, allow: Sequence[str] = ()
) -> None:
    """The table on a terminal, the reference values under it, then what limits the figures."""
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.doubts import doubts
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.screening.tables import DEFAULT, columns, reference_rows, table_row

    shown = columns(names or DEFAULT)
    chosen = [c.name for c in shown]
    index = Index(campaign)
    index.collect()
    results = index.results()
    ranking = rank(campaign, results, allowed=allow)
    rows = ranking.top(top)
    lines = [table_row(row, chosen) for row in rows] + reference_rows(campaign, chosen)
    emit_table([c.head for c in shown], lines, left=3)
    if (more := len(ranking.rows) - ranking.uncomputed - len(rows)) > 0:
        click.echo(f"… {more:,} more: --top, --csv")
    for line in doubts(campaign, ranking, results, rows):
        click.echo(f"- {line}")
