"""A text file line by line, plain or compressed, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kalloy.parsers.opening import open_binary
from kalloy.parsers.source import CutOffError

LONGEST_LINE = 1 << 20
"""Bytes; a longer line is handed out in parts, which no reader understands."""
MOST_ROWS = 1 << 22
"""Rows of the longest block that is kept; beyond, the file is refused as absurd."""


class Lines:
    """Iterates over a file's lines; knows its line number, and why the file's stream broke if it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self.stream_error: str | None = None
        self._lines = self._read()

    def _read(self) -> Iterator[bytes]:
        with open_binary(self.path) as file:
            while line := file.readline(LONGEST_LINE):
                self.number += 1
                yield line
            if file.damage is not None:
                self.stream_error = f"the compressed stream is broken ({file.damage})"

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def next(self) -> bytes:
        """The next line.

        Raises
        ------
        CutOffError
            If the file has ended.
        """
        try:
            return next(self._lines)
        except StopIteration:
            raise CutOffError from None

    def skip(self, count: int) -> None:
        """Pass over lines."""
        for _ in range(count):
            self.next()
