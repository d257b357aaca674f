"""The runs that one output file holds, where each was appended to the ones before it."""

from __future__ import annotations

from collections.abc import Iterator

from kalloy.parsers.lines import Lines
from kalloy.parsers.source import CutOffError

_PROGRAMS = (b" vasp.", b" gpaw ")
"""How the first line of a run starts."""


class OneRun:
    """The lines of one run, from the second on.

    Parameters
    ----------
    file : its first line has been read.
    """

    def __init__(self, file: Lines) -> None:
        self.path = file.path
        self.following: bytes | None = None
        """The first line of the next run, once this one has ended; None where there is none."""
        self._file = file
        self._lines = self._read()

    def _read(self) -> Iterator[bytes]:
        for line in self._file:
            if line.startswith(_PROGRAMS):
                self.following = line
                return
            yield line

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def next(self) -> bytes:
        """The next line; raises `CutOffError` where the run has ended."""
        try:
            return next(self._lines)
        except StopIteration:
            raise CutOffError from None

    @property
    def number(self) -> int:
        """Of the line, in the file."""
        return self._file.number

    @property
    def stream_error(self) -> str | None:
        """Why the file's stream broke, if it did."""
        return self._file.stream_error
