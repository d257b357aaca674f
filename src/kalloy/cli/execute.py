"""``kalloy execute``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("attempts", nargs=-1, type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path), help="A batch's manifest.json.")
@click.option("--index", type=int, help="Which attempt of the manifest, from 0.")
def command(attempts: tuple[Path, ...], manifest: Path | None, index: int | None) -> int:
    """Run the engine in ATTEMPTS, one after another, on the machine where this is typed.

    Completes each stage from its parents, runs the engine under custodian, and leaves kalloy-end.json last.
    What has ended before is not run again; what another runner has claimed is left alone.
    """
    from kalloy.errors import InputError
    from kalloy.workflows.attempt import Outcome
    from kalloy.workflows.execution.runner import execute
    from kalloy.workflows.submission.batch import attempt_of

    folders, tag = list(attempts), "by hand"
    if manifest is not None and index is not None:
        folders.append(attempt_of(manifest, index).folder)
        tag = manifest.resolve().parent.name
    if not folders:
        raise InputError("nothing to execute", mend="name attempts such as K1/c1/relax/a01, or --manifest and --index")
    all_done = True
    for folder in folders:
        outcome = execute(folder, tag)
        click.echo(f"{folder}: {outcome or 'claimed by another runner'}")
        all_done &= outcome is Outcome.DONE
    return 0 if all_done else 1
