"""STOPCAR: the user's wish that a running calculation come to an end."""

from __future__ import annotations

import re
from pathlib import Path

from kalloy.workflows.gpaw_engine.workers import is_writer, same


class Aborted(Exception):
    """LABORT was found: stop after this electronic step, without convergence."""


class Stopcar:
    """Looks for a STOPCAR in the folder of a calculation; the file is the user's and is never removed.

    The first process looks, and tells the others.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "STOPCAR"

    @property
    def wants_stop(self) -> bool:
        """LSTOP = .TRUE.: stop after this ionic step."""
        return self._has("LSTOP")

    @property
    def wants_abort(self) -> bool:
        """LABORT = .TRUE.: stop after this electronic step."""
        return self._has("LABORT")

    def _has(self, tag: str) -> bool:
        return bool(same(is_writer() and self._stands_there(tag)))

    def _stands_there(self, tag: str) -> bool:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return False
        return re.search(rf"\b{tag}\s*=\s*\.?T", text, re.IGNORECASE) is not None
