"""One adapter a scheduler."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from kalloy.workflows.submission.schedulers.vocabulary import Scheduler

_ADAPTERS = {
    "slurm": ("slurm", "Slurm"),
    "sge": ("sge", "GridEngine"),
    "pbs": ("pbs", "OpenPbs"),
    "torque": ("pbs", "Torque"),
    "lsf": ("lsf", "Lsf"),
}


@cache
def scheduler_of(name: str) -> Scheduler:
    """The adapter of a queueing system; this machine's own processes are `local.LocalScheduler`'s."""
    module, adapter = _ADAPTERS[name]
    found: Scheduler = getattr(import_module(f"kalloy.workflows.submission.schedulers.{module}"), adapter)()
    return found
