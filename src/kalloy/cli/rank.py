"""``kalloy rank``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign


@click.command()
@campaign_argument
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, units in the column names.")
def command(campaign: str, as_json: bool, as_csv: bool) -> None:
    """Order the configurations of CAMPAIGN by energy, with gap, character and volume beside the host's.

    Refused, with a table of who differs, where the calculations were not made alike.
    """
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.screening.tables import as_csv as csv_text

    opened = Campaign(Path(campaign))
    if not (as_json or as_csv):
        print_ranking(opened)
        return
    index = Index(opened)
    index.collect()
    ranking = rank(opened, index.results())
    if as_csv:
        click.echo(csv_text(ranking), nl=False)
    else:
        emit_json([{"schema": 1, **row.to_json()} for row in ranking.rows])


def print_ranking(campaign: Campaign) -> None:
    """The table on a terminal, the reference values under it, then what limits the figures."""
    from kalloy.workflows.index import Index
    from kalloy.workflows.screening.ranking import rank
    from kalloy.workflows.screening.tables import COLUMNS, doubts, reference_rows, table_row

    index = Index(campaign)
    index.collect()
    results = index.results()
    ranking = rank(campaign, results)
    rows = [table_row(row) for row in ranking.rows] + reference_rows(campaign)
    emit_table(COLUMNS, rows, left=3)
    for line in doubts(campaign, ranking, results):
        click.echo(f"- {line}")
