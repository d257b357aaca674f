"""``kalloy members``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli.output import campaign_argument, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.members import Member


@click.command()
@campaign_argument
@json_option
def command(campaign: str, as_json: bool) -> None:
    """List the structures that CAMPAIGN computes and what each is for.

    The host, every configuration and the reference phases are known from the start; duplicates, rattled relaxations
    and variants join them when a selection has named whom they are made from.
    """
    from kalloy.workflows.campaign import Campaign

    opened = Campaign(Path(campaign))
    members = list(opened.members.values())
    if as_json:
        emit_json([
            {
                "schema": 1,
                "member": m.label,
                "kind": m.kind,
                "of": m.of,
                "formula": m.crystal.formula,
                "degeneracy": m.degeneracy,
                "space_group": m.space_group,
                "identity": m.identity,
                "recipe": m.recipe,
            }
            for m in members
        ])  # fmt: skip
        return
    rows = [(m.label, m.kind, m.crystal.formula, m.space_group, m.degeneracy) for m in members]
    emit_table(("member", "kind", "formula", "space group", "degeneracy"), rows, left=4)
    _explain(opened, members)


def _explain(campaign: Campaign, members: list[Member]) -> None:
    """One line for each kind that there is, and how orientations and the k-meshes get on."""
    from kalloy.workflows.recipes import KEPT_BY_ALL, meshes_keep_symmetry

    for kind in dict.fromkeys(m.kind for m in members):
        click.echo(f"{kind}: {kind.purpose}")
    click.echo(
        KEPT_BY_ALL
        if meshes_keep_symmetry(campaign)
        else "the k-meshes break the lattice's symmetry: [noise] duplicate = true measures what that does to energies"
    )
