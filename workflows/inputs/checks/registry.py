"""The table of rules: each a small function over one calculation's inputs, with a code and a severity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.inputs import Inputs


class Fault(NamedTuple):
    """What a rule found."""

    message: str
    tag: str | None = None
    mend: str | None = None


Faults = Iterable[Fault]


@dataclass(frozen=True)
class Rule:
    """One rule."""

    code: str
    severity: Severity
    file: str
    engines: tuple[str, ...]
    find: Callable[[Inputs], Faults]


RULES: dict[str, Rule] = {}
"""Every rule by its code."""
VASP = ("vasp",)


def rule(
    code: str, severity: Severity, file: str = "INCAR", engines: tuple[str, ...] = ("vasp", "gpaw")
) -> Callable[[Callable[[Inputs], Faults]], Callable[[Inputs], Faults]]:
    """Put a function into the table."""

    def put(find: Callable[[Inputs], Faults]) -> Callable[[Inputs], Faults]:
        assert code not in RULES, code
        RULES[code] = Rule(code, severity, file, engines, find)
        return find

    return put


def apply_rules(inputs: Inputs) -> Iterator[Finding]:
    """Every finding of one calculation's inputs."""
    for each in RULES.values():
        if inputs.engine in each.engines:
            for fault in each.find(inputs):
                stage = inputs.stage.value if inputs.stage else None
                yield Finding(each.severity, each.code, fault.message, fault.mend, stage, each.file, fault.tag)
