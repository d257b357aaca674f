"""Digits to floats: rows of a VASP table by their fixed columns, or one by one where they have none.

A Fortran program writes all rows of a table alike, so a column of the text holds the same decimal place in every row
and whole columns are turned into numbers at once. The mantissa is accumulated as an integer and divided once by a
power of ten, both exact in double precision, so the result is the correctly rounded one: bit for bit what ``float``
gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers import scanner
from kalloy.parsers.source import MalformedError

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[EDed][-+]?\d+)?|\*+|[-+]?[Nn][Aa][Nn]|[-+]?[Ii][Nn][Ff](?:inity)?"
_TOKEN = re.compile(_NUMBER)
# Possessive, so that a row of digits that ends in rubbish is refused in one pass.
_ROW = re.compile(rb"(?:\s*+(?>" + _NUMBER + rb"))*+\s*+")
_FIXED = re.compile(rb"-?\d*\.\d+")
_MOST_COLUMNS = 18  # digits that a 64-bit integer holds whatever they are
_EXACT = 1 << 53  # integers below are exact in double precision
_LEVELS = ((np.dtype("u1"), 10), (np.dtype("u2"), 100), (np.dtype("u4"), 10**4), (np.dtype("u8"), 10**8))
_BLANK, _MINUS, _DOT, _ZERO = 32, 45, 46, 48


def to_float(token: bytes) -> float:
    """One number; Fortran's ``****`` (it did not fit) is NaN, its ``D`` an exponent."""
    if token.startswith(b"*"):
        return float("nan")
    return float(token.replace(b"D", b"E").replace(b"d", b"e"))


def row_numbers(content: bytes) -> list[float]:
    """The numbers of one row, also where they run together (``-10.1234-100.1234``).

    Raises
    ------
    MalformedError
        If anything but numbers and blanks stands there.
    """
    if not _ROW.fullmatch(content):
        raise MalformedError(f"'{content.decode('latin-1').strip()[:60]}' is not a row of numbers")
    return [to_float(token) for token in _TOKEN.findall(content)]


@dataclass(frozen=True)
class Field:
    """One number's columns, counted from the start of the line."""

    begin: int
    """First column, blanks and sign included."""
    dot: int
    """Column of the decimal point."""
    end: int
    """Column after the last digit."""

    @property
    def shape(self) -> tuple[int, int]:
        """Columns before and after the decimal point; fields of one shape are read together."""
        return self.dot - self.begin, self.end - self.dot - 1


@dataclass(frozen=True)
class Layout:
    """How every line of a table is divided into columns."""

    indent: int
    """Blanks before the row's tag."""
    stride: int
    """Bytes a line, its newline included."""
    tag: bytes
    """``r`` or ``v``."""
    content: tuple[int, int]
    """First column after the opening tag and first column of the closing one."""
    fields: tuple[Field, ...]
    """The numbers of a row, or none where they are not fixed-point."""

    @classmethod
    def of(cls, line: bytes, tag: bytes) -> Layout | None:
        """From a line with its newline; None if it is not one row alone on its line."""
        indent = len(line) - len(line.lstrip(b" "))
        opening, closing = b"<" + tag + b">", b"</" + tag + b">"
        begin = indent + len(opening)
        end = line.find(closing)
        if not line.startswith(opening, indent) or end < 0 or line[end + len(closing) :].strip():
            return None
        return cls(indent, len(line), tag, (begin, end), _fields(line, begin, end))


def _fields(line: bytes, begin: int, end: int) -> tuple[Field, ...]:
    fields = []
    for match in _TOKEN.finditer(line, begin, end):
        if not _FIXED.fullmatch(match.group()):
            return ()
        dot = line.index(b".", match.start())
        fields.append(Field(begin, dot, match.end()))
        begin = match.end()
    if any(sum(field.shape) > _MOST_COLUMNS for field in fields):
        return ()
    return tuple(fields)


def scan_rows(lines: Bytes, layout: Layout) -> Floats:
    """Numbers of many lines of one layout.

    Parameters
    ----------
    lines : shape (rows, stride), the text.

    Returns
    -------
    Shape (rows, fields).

    Raises
    ------
    MalformedError
        If a row is not as many numbers as the first.
    """
    values, sound = _compiled(lines, layout) if scanner.pays(lines.size) else by_numpy(lines, layout)
    for row in np.flatnonzero(~sound):
        values[row] = _scan_exception(lines[row].tobytes(), layout)
    return values


def _compiled(lines: Bytes, layout: Layout) -> tuple[Floats, NDArray[np.bool_]]:
    return scanner.scan(lines, np.array([(f.begin, f.dot, f.end) for f in layout.fields], dtype=np.int32))


def by_numpy(lines: Bytes, layout: Layout) -> tuple[Floats, NDArray[np.bool_]]:
    """Numbers of shape (rows, fields), and which rows are well formed; the others' numbers mean nothing."""
    values = np.empty((len(lines), len(layout.fields)))
    sound = np.ones(len(lines), dtype=bool)
    first = 0
    while first < len(layout.fields):
        last = first + 1
        shape = layout.fields[first].shape
        while last < len(layout.fields) and layout.fields[last].shape == shape:
            last += 1
        group = layout.fields[first:last]
        columns = lines[:, group[0].begin : group[-1].end].reshape(len(lines), last - first, -1)
        values[:, first:last], well_formed = _scan_columns(columns, *shape)
        sound &= well_formed
        first = last
    return values, sound


def _scan_columns(text: Bytes, before: int, after: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Numbers of shape (rows, fields) from text of shape (rows, fields, columns), and which rows are well formed."""
    rows, fields, width = text.shape
    columns = np.ascontiguousarray(text.reshape(rows * fields, width).T)
    digits = columns - np.uint8(_ZERO)  # blank, sign and dot wrap round to more than 9
    is_digit = digits < 10
    whole, is_minus = columns[:before], columns[:before] == _MINUS
    is_blank = whole == _BLANK
    well_formed = (columns[before] == _DOT) & is_digit[before + 1 :].all(axis=0)
    # Before the point: blanks, then at most one sign, then digits; so what follows a non-blank is a digit.
    well_formed &= (is_blank | is_minus | is_digit[:before]).all(axis=0)
    well_formed &= (is_blank[:-1] | is_digit[1:before]).all(axis=0)
    digits *= is_digit
    mantissa = _mantissa(np.concatenate([digits[:before], digits[before + 1 :]]))
    if mantissa.dtype == np.uint64:
        well_formed &= mantissa < _EXACT
    values = mantissa / 10.0**after
    np.negative(values, out=values, where=is_minus.any(axis=0))
    return values.reshape(rows, fields), well_formed.reshape(rows, fields).all(axis=1)


def _mantissa(digits: Bytes) -> NDArray[np.unsignedinteger]:
    """Digits of shape (columns, n), most significant first, as integers: pairs, pairs of pairs, and so on.

    Each level's numbers fit the next wider type, and most of the work is done on single bytes.
    """
    numbers: NDArray[np.unsignedinteger] = digits
    for wider, factor in _LEVELS:
        if len(numbers) == 1:
            break
        odd = numbers[: len(numbers) % 2].astype(wider)
        high = np.multiply(numbers[len(odd) :: 2], factor, dtype=wider)
        np.add(high, numbers[len(odd) + 1 :: 2], out=high)
        numbers = np.concatenate([odd, high]) if len(odd) else high
    if len(numbers) > 1:
        # More than sixteen columns: at most two digits stand before the rest.
        return np.asarray(numbers[0] * np.uint64(10**16) + numbers[1])
    return np.asarray(numbers[0])


def _scan_exception(line: bytes, layout: Layout) -> list[float]:
    """A row that is not all fixed-point numbers in their columns: ``****``, NaN, or numbers grown into one another."""
    numbers = row_numbers(line[slice(*layout.content)])
    if len(numbers) != len(layout.fields):
        raise MalformedError(f"{len(numbers)} numbers in a row of {len(layout.fields)}")
    return numbers
