"""A section of the page that is a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """Heading, columns and rows."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str | None, ...]]
    note: str = ""
    plain: bool = False
    """Whether its cells are words rather than figures."""
