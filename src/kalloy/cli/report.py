"""``kalloy report``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import allow_option, campaign_argument


@click.command()
@campaign_argument
@allow_option
def command(campaign: str, allow: tuple[str, ...]) -> None:
    """Write CAMPAIGN's report: one page to open, its figures (svg, pdf, png) and tables (csv, json)."""
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.report.page import write_report

    click.echo(write_report(Campaign(Path(campaign)), allow))
