"""``kalloy execute``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("attempts", nargs=-1, type=click.Path(path_type=Path))
@click.option("--manifest", type=click.Path(path_type=Path), help="A batch's manifest.json.")
@click.option("--index", type=int, help="Which of the manifest's jobs, from 0.")
@click.option(
    "--deadline",
    type=float,
    metavar="EPOCH",
    help="When the job's time is over, in seconds since 1970 (else $KALLOY_DEADLINE, $SLURM_JOB_END_TIME).",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0),
    default=600.0,
    show_default=True,
    help="Seconds before the deadline at which the engine is asked to end, or three of its steps if that is earlier.",
)
def command(
    attempts: tuple[Path, ...], manifest: Path | None, index: int | None, deadline: float | None, margin: float
) -> int:
    """Run the engine in ATTEMPTS, one after another, on the machine where this is typed.

    Completes each stage from its parents, runs the engine under custodian, and leaves kalloy-end.json last.
    What has ended before is not run again; what another runner has claimed is left alone, and so is what has a parent
    that is not done. In time before the deadline, or when the scheduler sends USR1, USR2, XCPU or TERM, the engine is
    asked to end by a STOPCAR.
    """
    from kalloy.errors import InputError
    from kalloy.workflows.attempt import Attempt, Outcome
    from kalloy.workflows.execution.deadline import Deadline
    from kalloy.workflows.execution.events import Events, job_name
    from kalloy.workflows.execution.job import run_job
    from kalloy.workflows.submission.batch import attempts_of

    if (manifest is None) != (index is None) or (manifest is None) != bool(attempts):
        raise InputError("nothing to execute", mend="name attempts such as K1/c1/relax/a01, or --manifest with --index")
    time = Deadline.of_job(deadline, margin)
    if manifest is not None and index is not None:
        listed, record = attempts_of(manifest, index)
        found = run_job(
            listed,
            deadline=time,
            events=Events.of_batch(manifest, index, job_name()),
            tag=manifest.absolute().parent.name,
            commands=record["commands"],
            scheduled=record["scheduler"] != "local",
        )
    else:
        found = run_job([Attempt(folder) for folder in attempts], deadline=time)
    for attempt, _, words in found:
        click.echo(f"{attempt.folder}: {words}")
    return 0 if all(outcome is Outcome.DONE for _, outcome, _ in found) else 1
