"""``kalloy collect``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import campaign_argument, emit_json, json_option


@click.command()
@campaign_argument
@json_option
def command(campaign: str, as_json: bool) -> None:
    """Parse what has ended in CAMPAIGN into its index. Harmless to repeat."""
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.elsewhere import Elsewhere
    from kalloy.workflows.index import Index
    from kalloy.workflows.lock import driver_lock

    opened = Campaign(Path(campaign))
    if (place := Elsewhere.of(opened)) is not None:
        with driver_lock(opened.root):
            place.pull()
    index = Index(opened)
    new = index.collect()
    results = index.results()
    if as_json:
        emit_json([{"schema": 1, **result.to_json()} for result in results.values()])
        return
    click.echo(f"{new} results parsed, {len(results)} in the index")
    for result in results.values():
        for warning in (result.parsed or {}).get("warnings", []):
            click.echo(f"{result.folder}: {warning}", err=True)
