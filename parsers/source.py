"""Bytes of a file, plain or compressed, through a window that only moves forward: memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from kalloy.parsers.opening import open_binary

CHUNK = 1 << 20
"""Bytes read at a time; small enough to stay in a processor's cache."""

LONGEST_ELEMENT = 1 << 26
"""Bytes of the longest element that is taken whole (structures, settings); tables of numbers are read in pieces."""


class CutOffError(Exception):
    """The file ends, or its compressed stream breaks, before what was looked for; internal to the readers."""


class MalformedError(Exception):
    """The file's text contradicts its own format; internal to the readers, which keep what is whole."""


class Source:
    """A window on a file's (decompressed) bytes; positions count from the file's start.

    What is released, or passed over while searching, is gone: the window moves forward only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_binary(path)
        self._buffer = bytearray()
        self._base = 0
        self._lines_before = 0
        self._ended = False

    @property
    def stream_error(self) -> str | None:
        """Why the compressed stream ended early, or None."""
        return None if self._file.damage is None else f"the compressed stream is broken ({self._file.damage})"

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def end(self) -> int:
        """Position after the last byte read so far."""
        return self._base + len(self._buffer)

    def more(self) -> bool:
        """Read another chunk; False where the file has ended or its stream is broken."""
        if self._ended:
            return False
        chunk = self._file.read(CHUNK)
        if not chunk:
            self._ended = True
            return False
        self._buffer += chunk
        return True

    def release(self, position: int) -> None:
        """Forget what comes before ``position``; cheap, for the window shrinks only when that pays."""
        count = position - self._base
        if count >= CHUNK or count == len(self._buffer):
            self._lines_before += self._newlines(count)
            del self._buffer[:count]
            self._base += count

    def find(self, pattern: bytes, start: int, reach: int = LONGEST_ELEMENT) -> int:
        """Position of the next ``pattern`` at or after ``start``, kept in the window; -1 if the file ends first.

        Raises
        ------
        MalformedError
            If it is not within ``reach`` bytes.
        """
        first = start
        while True:
            found = self._buffer.find(pattern, start - self._base)
            if found >= 0:
                return self._base + found
            start = max(start, self.end - len(pattern) + 1)
            if start - first > reach:
                raise MalformedError(f"no {pattern.decode('latin-1')} within {reach} bytes")
            if not self.more():
                return -1

    def starts_with(self, pattern: bytes, start: int) -> bool:
        """Whether ``pattern`` stands at ``start``."""
        while self.end < start + len(pattern) and self.more():
            pass
        return self._buffer.startswith(pattern, start - self._base)

    def skip_past(self, pattern: bytes, start: int) -> int:
        """Position after the next ``pattern``, forgetting all before it.

        Raises
        ------
        CutOffError
            If the file ends first.
        """
        while True:
            found = self._buffer.find(pattern, start - self._base)
            if found >= 0:
                after = self._base + found + len(pattern)
                self.release(after)
                return after
            start = max(start, self.end - len(pattern) + 1)
            self.release(start)
            if not self.more():
                raise CutOffError

    def take(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``, both within the window."""
        return bytes(self._buffer[start - self._base : stop - self._base])

    def pieces(self, start: int, closing: bytes, row_end: bytes) -> Iterator[tuple[int, bytes]]:
        """What lies between ``start`` and ``closing``, in pieces that end where a row of numbers does.

        Yields
        ------
        position of the piece, the piece. The last piece ends just before ``closing``.

        Raises
        ------
        CutOffError
            If the file ends before ``closing``.
        MalformedError
            If no row ends within the longest element that is taken whole.
        """
        while True:
            stop = self._buffer.find(closing, start - self._base)
            if stop >= 0:
                yield start, self.take(start, self._base + stop)
                return
            cut = self._buffer.rfind(row_end, start - self._base)
            if cut >= 0:
                newline = self._buffer.find(b"\n", cut, cut + len(row_end) + 2)
                after = self._base + (newline + 1 if newline >= 0 else cut + len(row_end))
                yield start, self.take(start, after)
                start = after
                self.release(start)
            elif self.end - start > LONGEST_ELEMENT:
                raise MalformedError(f"no {row_end.decode('latin-1')} within {LONGEST_ELEMENT} bytes")
            if not self.more():
                raise CutOffError

    def line(self, position: int) -> int:
        """Line number, from 1, of a position not before what was released last."""
        return self._lines_before + self._newlines(max(position - self._base, 0)) + 1

    def _newlines(self, count: int) -> int:
        """Newlines among the window's first bytes; numpy counts them ten times as fast as ``bytes.count``."""
        return int(np.count_nonzero(np.frombuffer(self._buffer, dtype=np.uint8)[:count] == 10)) if count else 0
