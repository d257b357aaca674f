"""``kalloy new``."""

from __future__ import annotations

from pathlib import Path

import click

from kalloy.cli import completing
from kalloy.cli.output import cell_option, dry_run_option, replace_option, shell_word
from kalloy.cli.spaces import tolerance_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--host",
    required=True,
    shell_complete=completing.hosts,
    help="A bundled name or a CIF, POSCAR or other structure file.",
)
@replace_option
@cell_option
@click.option(
    "--preset",
    default="laptop",
    show_default=True,
    shell_complete=completing.presets,
    help="smoke, laptop, paper, paper-gamma, accurate or a .yaml file.",
)
@click.option("--engine", type=click.Choice(["gpaw", "vasp"]), help="What computes; the preset's own unless stated.")
@tolerance_option
@dry_run_option
def command(
    folder: Path,
    host: str,
    replacements: tuple[str, ...],
    cell: str,
    preset: str,
    engine: str | None,
    tolerance: float,
    dry_run: bool,
) -> None:
    """Make FOLDER a campaign: a kalloy.toml that says what is asked.

    \b
    kalloy new my-campaign --host Cs4PbBr6 --replace Cs=K:3 --preset paper-gamma --engine vasp
    """
    from kalloy.workflows.creation import new_campaign
    from kalloy.workflows.inputs.writing import warnings_of

    campaign = new_campaign(
        folder, host, replacements, cell=cell, preset=preset, engine=engine, tolerance=tolerance, dry_run=dry_run
    )
    made, configurations = campaign.host, len(campaign.configurations)
    click.echo(
        f"{folder}: {made.name} ({campaign.formula}, {made.space_group.symbol}), "
        f"{configurations} symmetry-distinct configurations on {campaign.space.sites} sites"
        + (" (dry run: nothing written)" if dry_run else "")
    )
    for line in warnings_of(campaign):
        click.echo(f"warning: {line}", err=True)
    if not dry_run:
        click.echo(f"next: look at {folder}/kalloy.toml, then `kalloy run {shell_word(folder)}`")
