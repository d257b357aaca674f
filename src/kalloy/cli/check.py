"""``kalloy check``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import campaign_argument, emit_json, json_option


@click.command()
@campaign_argument
@json_option
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
def command(campaign: str, as_json: bool, strict: bool) -> int:
    """Check all inputs of CAMPAIGN, those written and those that would be; writes nothing.

    Errors keep `kalloy run` from starting; warnings are what an expert would not sign without a reason.
    The exit code is 1 where there are errors.
    """
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.checks.campaign import check_campaign
    from kalloy.workflows.inputs.checks.finding import Severity

    opened = Campaign(Path(campaign))
    found = check_campaign(opened)
    bad = [f for f in found if f.severity is Severity.ERROR or (strict and f.severity is Severity.WARNING)]
    if as_json:
        emit_json([{"schema": 1, **finding.to_json()} for finding in found])
    else:
        for finding in found:
            click.echo(finding.line)
        counts = {s: sum(f.severity is s for f in found) for s in Severity}
        click.echo(", ".join(f"{n} {s}{'s' if n != 1 else ''}" for s, n in counts.items()))
    return 1 if bad else 0
