"""Tables of vasprun.xml: ``<r>`` rows within nested ``<set>`` elements, as one array with the sets' shape."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kalloy.parsers.scanning import Bytes, Floats, Layout, row_numbers, scan_rows
from kalloy.parsers.source import MalformedError

MOST_NUMBERS = 1 << 27
"""Numbers of the largest table that is read (1 GiB of them); beyond, the file is refused as absurd."""

_FIELD = re.compile(rb"<field[^<>]*>([^<]*)</field>")
_ROW_OR_CLOSE = re.compile(rb"<([rv])>([^<]*)</\1>|</set>")
_LONG = 1 << 10  # bytes below which columns do not pay


@dataclass(frozen=True)
class Table:
    """A table of numbers and how its sets nest."""

    fields: tuple[str, ...]
    """Column names as the file gives them, stripped."""
    values: Floats
    """Shape (…sets, rows of a set, columns)."""

    def column(self, name: str, default: int) -> Floats:
        """One column by its field's name, or by position where the file does not name it."""
        index = self.fields.index(name) if name in self.fields else default
        if index >= self.values.shape[-1]:
            raise MalformedError(f"no column {name}")
        return self.values[..., index]


class TableBuilder:
    """Takes a table's text piece by piece; the pieces end where rows end."""

    def __init__(self, tag: bytes = b"r") -> None:
        self._tag = tag
        self._opening = b"<" + tag + b">"
        self._fields: tuple[str, ...] | None = None
        self._layout: Layout | None = None
        self._blocks: list[Floats] = []
        self._rows = 0
        self._numbers = 0
        self._breaks: dict[int, int] = {}

    def feed(self, piece: bytes) -> None:
        """Read one piece.

        Raises
        ------
        MalformedError
            If a row holds anything but numbers, or the table grows absurd.
        """
        if self._fields is None:
            head, _, _ = piece.partition(self._opening)
            self._fields = tuple(name.decode("latin-1").strip() for name in _FIELD.findall(head))
        # Counting the rows of a long piece costs as much as scanning them, so that is left to who needs it.
        block = self._by_columns(piece) if len(piece) >= _LONG else None
        if block is None:
            block = self._row_by_row(piece, piece.count(self._opening))
        if len(block):
            if self._blocks and block.shape[1] != self._blocks[0].shape[1]:
                raise MalformedError(f"rows of {self._blocks[0].shape[1]} and of {block.shape[1]} numbers in one table")
            self._blocks.append(block)
        self._rows += len(block)
        self._numbers += block.size
        if self._numbers > MOST_NUMBERS:
            raise MalformedError(f"a table of more than {MOST_NUMBERS} numbers")

    def build(self) -> Table:
        """The table of what was fed.

        Raises
        ------
        MalformedError
            If its sets are not all of one size, or it holds no rows.
        """
        if not self._blocks:
            raise MalformedError("a table without rows")
        rows = np.concatenate(self._blocks) if len(self._blocks) > 1 else self._blocks[0]
        self._breaks.pop(self._rows, None)
        shape = nested_shape(self._rows, self._breaks)
        return Table(self._fields or (), rows.reshape(*shape, rows.shape[1]))

    def _close(self, row: int, sets: int) -> None:
        if row and sets:
            self._breaks[row] = self._breaks.get(row, 0) + sets

    def _row_by_row(self, piece: bytes, count: int) -> Floats:
        rows: list[list[float]] = []
        for match in _ROW_OR_CLOSE.finditer(piece):
            if match.group(1) == self._tag:
                rows.append(row_numbers(match.group(2)))
            elif match.group(1) is None:
                self._close(self._rows + len(rows), 1)
        if len(rows) != count:
            raise MalformedError("a row that does not close")
        widths = {len(row) for row in rows}
        if len(widths) > 1 or 0 in widths:
            raise MalformedError("rows of unequal length in one table")
        return np.array(rows, dtype=float).reshape(len(rows), max(widths, default=0))

    def _by_columns(self, piece: bytes) -> Floats | None:
        """All rows at once by their columns, or None where the piece is not written so."""
        first = piece.find(self._opening)
        layout = self._layout or Layout.of(_line_at(piece, first), self._tag)
        if layout is None or not layout.fields:
            return None
        text = np.frombuffer(piece, dtype=np.uint8)
        runs = _runs(text, layout)
        if not runs or self._rows_outside(piece, runs):
            return None
        lines = np.concatenate([text[start:stop] for start, stop in runs]).reshape(-1, layout.stride)
        if not _all_close(lines, layout):
            return None
        self._layout = layout
        self._count_breaks(piece, runs, layout.stride)
        return scan_rows(lines, layout)

    def _rows_outside(self, piece: bytes, runs: list[tuple[int, int]]) -> bool:
        """Whether a row opens between the runs, where it would be overlooked."""
        starts, stops = zip(*runs, strict=True)
        gaps = zip((0, *stops), (*starts, len(piece)), strict=True)
        return any(piece.find(self._opening, start, stop) >= 0 for start, stop in gaps)

    def _count_breaks(self, piece: bytes, runs: list[tuple[int, int]], stride: int) -> None:
        row, previous = self._rows, 0
        for start, stop in runs:
            self._close(row, piece.count(b"</set>", previous, start))
            row += (stop - start) // stride
            previous = stop
        self._close(row, piece.count(b"</set>", previous))


def _line_at(piece: bytes, position: int) -> bytes:
    start = piece.rfind(b"\n", 0, position) + 1
    stop = piece.find(b"\n", position)
    return piece[start : stop + 1 if stop >= 0 else len(piece)]


def _runs(text: Bytes, layout: Layout) -> list[tuple[int, int]]:
    """Start and stop of every unbroken run of rows of this layout."""
    newlines = np.flatnonzero(text == 10)
    starts = np.concatenate([[0], newlines[:-1] + 1]) if len(newlines) else np.zeros(0, dtype=np.intp)
    is_row = newlines + 1 - starts == layout.stride
    rows = starts[is_row]
    for offset, byte in enumerate(b"<" + layout.tag + b">"):
        rows = rows[text[rows + layout.indent + offset] == byte]
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) != layout.stride)
    first = rows[np.concatenate([[0], ends + 1])]
    last = rows[np.concatenate([ends, [len(rows) - 1]])] + layout.stride
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _all_close(lines: Bytes, layout: Layout) -> bool:
    """Whether every row closes in the column where the first one does; ``lines`` is of shape (rows, stride)."""
    closing = np.frombuffer(b"</" + layout.tag + b">", dtype=np.uint8)
    end = layout.content[1]
    return bool((lines[:, end : end + len(closing)] == closing).all())


def nested_shape(rows: int, breaks: dict[int, int]) -> tuple[int, ...]:
    """Shape of nested sets from how many of them close after which row.

    Parameters
    ----------
    rows : rows in all.
    breaks : sets that close there, by the number of rows before; not the last row's.

    Returns
    -------
    Sizes from the outermost set that occurs more than once or holds the rows, to the rows of the innermost.

    Raises
    ------
    MalformedError
        If the sets are not all of one size.
    """
    positions = np.fromiter(sorted(breaks), dtype=np.int64, count=len(breaks))
    depths = np.array([breaks[p] for p in positions.tolist()], dtype=np.int64)
    shape: list[int] = []
    inner = 1
    for depth in range(1, int(depths.max(initial=0)) + 1):
        at = positions[depths >= depth]
        size = int(at[0])
        if rows % size or not np.array_equal(at, np.arange(size, rows, size)):
            raise MalformedError("sets of unequal size in one table")
        shape.insert(0, size // inner)
        inner = size
    shape.insert(0, rows // inner)
    return tuple(shape)


def read_rows(text: bytes, tag: bytes = b"v") -> Floats:
    """The rows of a short table (``<varray>``), shape (rows, columns).

    Raises
    ------
    MalformedError
        If they are not numbers.
    """
    builder = TableBuilder(tag)
    builder.feed(text)
    table = builder.build().values
    return table.reshape(-1, table.shape[-1])


def read_pieces(pieces: Iterable[tuple[int, bytes]]) -> Table:
    """A table that comes in pieces."""
    builder = TableBuilder()
    for _, piece in pieces:
        builder.feed(piece)
    return builder.build()
