"""``kalloy select``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli.output import allow_option, campaign_argument, emit_json, json_option


@click.command()
@campaign_argument
@click.option("--step", type=int, help="Which step of kalloy.toml, from 1; the first unselected one unless stated.")
@click.option("--allow-missing", is_flag=True, help="Choose although calculations of the earlier step are not done.")
@allow_option
@json_option
def command(campaign: str, step: int | None, allow_missing: bool, allow: tuple[str, ...], as_json: bool) -> None:
    """Decide who goes on to the next step of CAMPAIGN and put it on record.

    Records are append-only: one that exists is shown, never changed.
    """
    from kalloy.errors import InputError
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.lock import driver_lock
    from kalloy.workflows.steps import select, selected, selection_file

    opened = Campaign(Path(campaign))
    steps = len(opened.spec.step)
    if step is not None and not 1 <= step <= steps:
        raise InputError(f"no step {step}", where="--step", mend=f"kalloy.toml has steps 1 to {steps}")
    chosen = step or next((i for i in range(1, steps + 1) if selected(opened, i) is None), steps)
    with driver_lock(opened.root):
        made = select(opened, chosen, allow_missing=allow_missing, allowed=allow)
    if as_json:
        emit_json({"schema": 1, "step": made.step, "stages": list(made.stages), "members": list(made.members)})
        return
    click.echo(f"step {made.step} ({', '.join(made.stages)}): {', '.join(made.members) or 'nobody'}")
    for note in made.notes:
        click.echo(note)
    if made.path:
        click.echo(f"band path of {made.path.member} ({made.path.space_group}), the same for all")
    click.echo(f"on record in {selection_file(opened, chosen)}")
