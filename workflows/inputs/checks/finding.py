"""A finding: what a check has to say, as data, the same sentence for many members said once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The calculation would fail or mean something else than was asked: nothing is run."""
    WARNING = "warning"
    """An expert would not sign it without a reason."""
    NOTE = "note"
    """Good to know."""

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, and where."""

    severity: Severity
    code: str
    """A short stable word: ``unknown-tag``."""
    message: str
    mend: str | None = None
    stage: str | None = None
    file: str | None = None
    """``INCAR``, ``KPOINTS``, ``POTCAR``, ``kalloy.toml``, …"""
    tag: str | None = None
    members: tuple[str, ...] = field(default=())
    """Labels; empty for the campaign as a whole."""

    @property
    def where(self) -> str:
        """``70 members relax INCAR``."""
        return " ".join(word for word in (self.who, self.stage, self.file) if word)

    @property
    def who(self) -> str:
        """The one member, or how many."""
        return self.members[0] if len(self.members) == 1 else f"{len(self.members)} members" if self.members else ""

    @property
    def line(self) -> str:
        """In one line, for people."""
        mend = f"; {self.mend}" if self.mend else ""
        place = f"{self.where}: " if self.where else ""
        return f"{self.severity}: {place}{self.message}{mend} [{self.code}]"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "severity": self.severity.value,
            "code": self.code,
            "message": self.message,
            "mend": self.mend,
            "where": {"members": list(self.members), "stage": self.stage, "file": self.file, "tag": self.tag},
        }


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """The same finding of many members once, with all of them; the worst first, then in the order of the stages."""
    members: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        members.setdefault(replace(finding, members=()), {}).update(dict.fromkeys(finding.members))
    found = [replace(finding, members=tuple(labels)) for finding, labels in members.items()]
    return sorted(found, key=lambda f: f.severity.rank)
