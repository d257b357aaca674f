"""A site's options as the lines of a job script, for every scheduler; nothing that a shell would act on passes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | list[str]
Options: TypeAlias = Mapping[str, Value]

NEUTRAL = {
    "slurm": {"queue": "partition", "memory": "mem", "tasks": "ntasks-per-node"},
    "pbs": {"partition": "q", "queue": "q", "account": "A"},
    "torque": {"partition": "q", "queue": "q", "account": "A"},
    "sge": {"partition": "q", "queue": "q", "account": "P"},
    "lsf": {"partition": "q", "queue": "q", "account": "P", "time": "W", "tasks": "n", "memory": "M"},
}
"""Words that every site may use, and what each scheduler calls them; all other names are the scheduler's own."""
RESOURCES = {
    "pbs": {"time": "walltime={}"},
    "torque": {"time": "walltime={}", "nodes": "nodes={}"},
    "sge": {"time": "h_rt={}", "memory": "h_vmem={}"},
}
"""Words that become a resource: ``-l walltime=24:00:00``."""
OURS = {
    "slurm": {"job-name", "J", "array", "a", "output", "o", "error", "e", "no-requeue", "requeue", "parsable", "wrap",
              "dependency", "d", "chdir", "D", "wait", "W", "test-only", "kill-on-invalid-dep"},
    "pbs": {"N", "J", "o", "e", "j", "r", "h", "I", "W", "z", "t"},
    "torque": {"N", "t", "o", "e", "j", "r", "h", "I", "W", "z", "J", "d"},
    "sge": {"N", "t", "o", "e", "j", "r", "h", "terse", "sync", "now", "wd", "cwd", "hold_jid", "hold_jid_ad", "b",
            "S"},
    "lsf": {"J", "o", "oo", "e", "eo", "r", "rn", "w", "cwd", "K", "I", "H"},
}  # fmt: skip
"""What kalloy sets itself: the exactly-once submission rests on it."""
_PLAIN = re.compile(r"[\w.,:=+\-/@%*\[\]]+\Z", re.ASCII)
_SAFE = re.compile(r"[\w.,:=+\-/@%*\[\]()<>&|! ]*\Z", re.ASCII)


def refuse_option(scheduler: str, name: str, value: Value) -> None:
    """Raise `ValueError` where an option is kalloy's own, or holds what a scheduler or a shell would act on."""
    if scheduler == "local":
        raise ValueError(f"option '{name}' needs a scheduler: the local one has none")
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise ValueError(f"'{name}' is no name of an option")
    if name in OURS[scheduler]:
        raise ValueError(f"option '{name}' is set by kalloy itself")
    for part in value if isinstance(value, list) else [value]:
        if not _SAFE.match(str(part)):
            raise ValueError(f"option '{name}' = {part!r} holds characters that a shell or the scheduler would act on")


def lines(scheduler: str, options: Options) -> list[str]:
    """What follows ``#SBATCH``, ``#PBS``, ``#$``, ``#BSUB`` in the job script, one a line."""
    return [
        line
        for name, value in options.items()
        for part in (value if isinstance(value, list) else [value])
        if (line := _line(scheduler, name, part))
    ]


def _line(scheduler: str, name: str, value: bool | int | float | str) -> str:
    if value is False:
        return ""
    if (resource := RESOURCES.get(scheduler, {}).get(name)) is not None:
        return f"-l {resource.format(value)}"
    own = NEUTRAL[scheduler].get(name, name)
    long = scheduler == "slurm" and len(own) > 1
    flag = f"--{own}" if long else f"-{own}"
    if value is True:
        return flag
    return f"{flag}{'=' if long else ' '}{_quoted(str(value))}"


def _quoted(text: str) -> str:
    """Schedulers split a script's lines at spaces and honour double quotes; sge.q's ``mpi 16`` is two words."""
    return text if all(_PLAIN.match(word) for word in text.split(" ")) else f'"{text}"'


def seconds(time: Value | None) -> int | None:
    """Of ``24:00:00``, ``1-12:00:00``, ``1-12``, ``30`` (minutes) or ``90:00`` (minutes, seconds); None if neither."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(time).strip()) if time is not None else None
    if match is None:
        return None
    days, *rest = match.groups()
    words = [int(word) for word in rest if word is not None]
    if days is not None or len(words) == 3:
        hours, minutes, spare = ([*words, 0, 0])[:3]
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + spare
    return words[0] * 60 + (words[1] if len(words) == 2 else 0)
