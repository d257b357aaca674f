"""``kalloy adopt``: calculations made by hand, taken into a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kalloy.cli import completing
from kalloy.cli.output import dry_run_option, emit_json, emit_table, json_option

if TYPE_CHECKING:
    from kalloy.workflows.adoption.adopting import Outcomes


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--campaign", default=".", type=click.Path(file_okay=False), help="Which one; this folder unless named.")
@click.option(
    "--stage",
    metavar="STAGE",
    shell_complete=completing.stages,
    help="Which stage they are; guessed from their settings unless named.",
)
@click.option("--allow", multiple=True, metavar="TAG", help="Take it in although this setting differs. Repeatable.")
@click.option(
    "--strain",
    type=click.FloatRange(0, 0.3),
    default=0.06,
    show_default=True,
    help="How far a cell may be from the member's unrelaxed one along any direction.",
)
@click.option("--link", is_flag=True, help="Link to the files instead of copying them.")
@json_option
@dry_run_option
def command(
    folders: tuple[Path, ...],
    campaign: str,
    stage: str | None,
    allow: tuple[str, ...],
    strain: float,
    link: bool,
    as_json: bool,
    dry_run: bool,
) -> int:
    """Take finished calculations FOLDERS into a campaign, each as the next attempt of the member it belongs to.

    A folder is matched by the structure it started from: turned, shifted, its atoms in another order or another
    equivalent orientation, its cell relaxed. It must be whole, converged and made with the settings that the campaign
    asks for; what differs is listed. Files are copied, never moved, and nothing in the folder is touched.

    \b
    kalloy adopt old/* --campaign c --dry-run
    kalloy adopt old/winner-static --campaign c --allow version
    """
    from contextlib import nullcontext

    from kalloy.workflows.adoption.adopting import adopt_all
    from kalloy.workflows.campaign import Campaign
    from kalloy.workflows.inputs.stage import Stage
    from kalloy.workflows.lock import driver_lock

    if stage is not None:
        Stage.parse(stage, "--stage")
    opened = Campaign(Path(campaign))
    with nullcontext() if dry_run else driver_lock(opened.root):
        outcomes = adopt_all(opened, folders, stage=stage, allowed=allow, strain=strain, link=link, dry_run=dry_run)
    if as_json:
        emit_json(_document(outcomes))
    else:
        _show(outcomes, dry_run)
    return 1 if outcomes.refused else 0


def _document(outcomes: Outcomes) -> list[dict[str, object]]:
    taken = [
        {
            "schema": 1,
            "folder": str(adoption.found.folder),
            "member": adoption.owner.member.label,
            "stage": adoption.stage.value,
            "attempt": attempt.folder.name if attempt else None,
            **adoption.to_json(),
        }
        for adoption, attempt in outcomes.taken
    ]
    refused = [{"schema": 1, "folder": str(folder), "refused": error.what} for folder, error in outcomes.refused]
    return [*taken, *refused]


def _show(outcomes: Outcomes, dry_run: bool) -> None:
    rows = [
        (
            adoption.found.folder,
            f"{adoption.label}/{attempt.folder.name}" if attempt else adoption.label,
            f"{100 * adoption.owner.fit.strain:.2f}",
            f"{adoption.owner.fit.rms:.3f}",
            "; ".join(f"{n}: {has} instead of {asked}" for n, (asked, has) in adoption.differing.items()),
        )
        for adoption, attempt in outcomes.taken
    ]
    if rows:
        emit_table(("folder", "would become" if dry_run else "became", "strain %", "rms Å", "differs"), rows, left=2)
    for adoption, _ in outcomes.taken:
        if not adoption.is_as_written:
            click.echo(
                f"{adoption.found.folder}: CONTCAR is written anew in the member's basis and order; charge density and "
                "wave functions are left behind"
            )
        if adoption.asked_again:
            allowed = ", ".join(f'"{name}"' for name in adoption.asked_again)
            click.echo(f"{adoption.label}: a ranking asks again; allow it there by [agreement] allow = [{allowed}]")
    for _, error in outcomes.refused:
        click.echo(f"refused: {error}", err=True)
