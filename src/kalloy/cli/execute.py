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

    if (manifest is None) != (index is None) or (manifest is None) != bool(attempts):
        raise InputError("nothing to execute", mend="name attempts such as K1/c1/relax/a01, or --manifest with --index")
    if manifest is not None and index is not None:
        attempt, engine = attempt_of(manifest, index)
        outcomes = {attempt.folder: execute(attempt.folder, manifest.absolute().parent.name, engine)}
    else:
        outcomes = {folder: execute(folder) for folder in attempts}
    for folder, outcome in outcomes.items():
        click.echo(f"{folder}: {outcome or 'claimed by another runner'}")
    return 0 if all(outcome is Outcome.DONE for outcome in outcomes.values()) else 1
