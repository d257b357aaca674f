"""``kalloy write``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli import completing
from kalloy.cli.output import Writing, campaign_argument, dry_run_option, emit_json, emit_table, json_option


@click.command()
@campaign_argument
@click.option("--finish", type=click.Path(path_type=Path), help="Complete one written attempt from its done parents.")
@click.option(
    "--diff",
    "other",
    metavar="PRESET",
    shell_complete=completing.presets,
    help="Show what differs from another preset, and write nothing.",
)
@dry_run_option
@json_option
def command(campaign: str, finish: Path | None, other: str | None, dry_run: bool, as_json: bool) -> None:
    """Write the inputs of every selected calculation of CAMPAIGN that has none.

    A later stage gets its structure and charge density when it starts; `--finish FOLDER` does that by hand.
    `--diff PRESET` compares stage by stage and tag by tag, k-points too, and says which tags are your own.
    """
    from kalloy.errors import InputError

    if as_json and other is None:
        raise InputError("--json is for --diff", mend="add --diff PRESET, or leave it out")
    if finish is not None:
        _finish(finish)
        return
    if other is not None:
        _diff(Path(campaign), other, as_json)
        return
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.checks.campaign import require_sound
    from kalloy.workflows.inputs.potcar import NO_LIBRARY, has_library
    from kalloy.workflows.inputs.writing import warnings_of
    from kalloy.workflows.lock import driver_lock
    from kalloy.workflows.steps import select, selected
    from kalloy.workflows.submission.board import standings
    from kalloy.workflows.submission.driver import write_step

    opened = Campaign(Path(campaign))
    for line in warnings_of(opened):
        click.echo(f"warning: {line}", err=True)
    if dry_run:
        new = [s.label for i in range(1, len(opened.spec.step) + 1) for s in standings(opened, i) if s.attempt is None]
        first = "" if selected(opened, 1) else " (step 1 is not selected yet: `kalloy select`)"
        click.echo(f"{len(new)} calculations to write{first}" + "".join(f"\n  {label}" for label in new))
        return
    require_sound(opened)
    with driver_lock(opened.root):
        select(opened, 1)
        for step in range(1, len(opened.spec.step) + 1):
            if (selection := selected(opened, step)) is not None:
                with Writing() as progress:
                    written = write_step(opened, selection, progress.tell)
                click.echo(f"step {step} ({', '.join(selection.stages)}): {written} written")
    click.echo("next: `kalloy check` looks through the inputs; `kalloy run` or `kalloy submit` starts what is ready")
    if opened.spec.calculation.engine == "vasp" and not has_library():
        click.echo(f"note: {NO_LIBRARY}", err=True)


def _diff(campaign: Path, other: str, as_json: bool) -> None:
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.differences import differences
    from kalloy.workflows.inputs.preset import load_preset

    opened = Campaign(campaign)
    found = differences(opened, load_preset(other, campaign))
    if as_json:
        emit_json([difference.to_json() for difference in found])
        return
    mine = opened.spec.calculation.preset
    if not found:
        click.echo(f"{campaign} ({mine}) writes what preset {other} says")
        return
    rows = [(d.stage, d.setting, d.here, d.there, d.by) for d in found]
    emit_table(["stage", "setting", f"here ({mine})", other, "set here by"], rows, left=2)


def _finish(folder: Path) -> None:
    from kalloy.errors import InputError
    from kalloy.workflows.attempt import WRITTEN, Attempt
    from kalloy.workflows.execution.completion import complete

    if not (folder / WRITTEN).is_file():
        raise InputError(f"'{folder}' is no attempt: it has no {WRITTEN}", mend="name one such as K1/c1/static/a01")
    complete(Attempt(folder.resolve()))
    click.echo(f"{folder}: complete")
