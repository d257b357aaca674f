"""The job script of a batch: our template with the site's settings, or the user's own script."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from kalloy.errors import SpecError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.spec_sites import Needs
from kalloy.workflows.submission.schedulers import scheduler_of
from kalloy.workflows.submission.schedulers.options import lines, seconds
from kalloy.workflows.submission.templates import Shell, render
from kalloy.workflows.validation import read_user_text

INDEX = {
    "slurm": "${SLURM_ARRAY_TASK_ID:-0}",
    "sge": '$(case "${SGE_TASK_ID:-undefined}" in undefined) echo 0 ;; *) echo $((SGE_TASK_ID - 1)) ;; esac)',
    "pbs": "${PBS_ARRAY_INDEX:-0}",
    "torque": "${PBS_ARRAYID:-0}",
    "lsf": '$(case "${LSB_JOBINDEX:-0}" in 0) echo 0 ;; *) echo $((LSB_JOBINDEX - 1)) ;; esac)',
}
"""The manifest's index inside a job; arrays of Grid Engine and LSF begin with 1."""


def walltime(needs: Needs) -> int | None:
    """Seconds that the site's options ask for; None where they do not say."""
    for name in ("time", "t", "W"):
        if (found := seconds(needs.options.get(name))) is not None:
            return found
    listed = needs.options.get("l")
    for part in listed if isinstance(listed, list) else [str(listed or "")]:
        if match := re.search(r"(?:walltime|h_rt)=([\d:]+)", part):
            return int(match[1]) if match[1].isdigit() else seconds(match[1])
    return None


def require_scripts(campaign: Campaign) -> None:
    """Refuse a campaign whose job scripts cannot be made, before anything is written.

    Raises
    ------
    SpecError
        As `job_script` does.
    """
    for stage in campaign.spec.stages:
        job_script(campaign, campaign.batches / "kTAG", 1, campaign.spec.machine.for_stage(stage))


def job_script(campaign: Campaign, folder: Path, size: int, needs: Needs) -> str:
    """The text of ``job.sh``.

    Raises
    ------
    SpecError
        Where a template does not render, or the user's script never calls ``kalloy execute``.
    """
    site = campaign.spec.machine
    manifest = str(folder.absolute() / "manifest.json")
    command = f"{shlex.quote(sys.executable)} -m kalloy"
    if site.scheduler == "local":
        variables = {
            "tag": folder.name,
            "manifest": manifest,
            "kalloy": Shell(command),
            "threads": 1,
            "modules": list(site.modules),
            "setup": [Shell(line) for line in site.setup],
        }
        return render("local.sh.j2", campaign.root, variables)
    if site.script:
        return _around(campaign.root / site.script, manifest, command, INDEX[site.scheduler])
    variables = {
        "tag": folder.name,
        "manifest": manifest,
        "folder": str(folder.absolute()),
        "kalloy": Shell(command),
        "directives": [Shell(line) for line in lines(site.scheduler, needs.options)],
        "modules": list(site.modules),
        "setup": [Shell(line) for line in site.setup],
        "index": Shell(INDEX[site.scheduler]),
        "seconds": walltime(needs),
        "size": size,
        "prefix": Shell(scheduler_of(site.scheduler).prefix),
    }
    name = "pbs" if site.scheduler == "torque" else site.scheduler
    return render(f"{name}.sh.j2", campaign.root, variables)


def _around(path: Path, manifest: str, command: str, index: str) -> str:
    """The user's script as it is, with what it needs to call exported after its head of comments."""
    text = read_user_text(path)
    if not re.search(r"KALLOY_EXECUTE|kalloy execute", text):
        raise SpecError(
            "never runs kalloy on the compute node", where=str(path), mend='write the line: eval "$KALLOY_EXECUTE"'
        )
    every = text.splitlines(keepends=True)
    head = next((i for i, line in enumerate(every) if line.strip() and not line.startswith("#")), len(every))
    call = f'{command} execute --manifest {shlex.quote(manifest)} --index "$KALLOY_INDEX"'
    ours = (
        "# What kalloy adds to this script:\n"
        f"export KALLOY_INDEX={index}\n"
        f"export KALLOY_MANIFEST={shlex.quote(manifest)}\n"
        f"export KALLOY_EXECUTE={shlex.quote(call)}\n"
    )
    return "".join([*every[:head], ours, *every[head:]])
