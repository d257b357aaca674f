"""``kalloy members``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option


@click.command()
@campaign_argument
@json_option
def command(campaign: str, as_json: bool) -> None:
    """List the structures that CAMPAIGN computes: the host and every configuration."""
    from kalloy.workflows.campaign import Campaign

    members = Campaign(Path(campaign)).members.values()
    if as_json:
        emit_json([
            {
                "schema": 1,
                "member": m.label,
                "formula": m.crystal.formula,
                "degeneracy": m.degeneracy,
                "space_group": m.space_group,
                "identity": m.identity,
            }
            for m in members
        ])  # fmt: skip
        return
    rows = [(m.label, m.crystal.formula, m.space_group, m.degeneracy) for m in members]
    emit_table(("member", "formula", "space group", "degeneracy"), rows, left=3)
