"""Columns of digits give the same doubles, bit for bit, as one number at a time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy import compiled
from kalloy.parsers import scanner
from kalloy.parsers.scanning import Layout, by_numpy, row_numbers
from kalloy.parsers.source import MalformedError
from kalloy.parsers.tables import TableBuilder, nested_shape

few = settings(max_examples=60)


@st.composite
def printed_tables(draw: st.DrawFn) -> list[str]:
    """Rows as Fortran prints them: one width and number of decimals a column, stars where it does not fit."""
    formats = draw(st.lists(st.tuples(st.integers(5, 17), st.integers(1, 3)), min_size=1, max_size=6))
    formats = [(width, width // 4 * decimals // 3 + 1) for width, decimals in formats]
    number = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, float("nan"), 1e12, -0.5]))
    count = draw(st.integers(24, 60))
    rows = []
    for _ in range(count):
        words = []
        for width, decimals in formats:
            word = f"{draw(number):{width}.{decimals}f}"
            words.append(word if len(word) <= width else "*" * width)
        rows.append(" " + " ".join(words) + " ")
    return rows


@few
@given(printed_tables())
def test_bit_identical(rows: list[str]) -> None:
    text = "".join(f"    <r>{row}</r>\n" for row in rows)
    builder = TableBuilder()
    builder.feed(f"   <set>\n{text}   </set>\n".encode())
    values = builder.build().values
    expected = np.array([row_numbers(row.encode()) for row in rows])
    assert np.array_equal(np.isnan(values), np.isnan(expected))
    numbers = ~np.isnan(expected)
    assert np.array_equal(values[numbers].view(np.uint64), expected[numbers].view(np.uint64))


@pytest.mark.skipif(scanner.library() is None, reason="no C compiler on this machine")
@few
@given(printed_tables())
def test_the_compiled_scanner_is_the_same(rows: list[str]) -> None:
    lines = [f"    <r>{row}</r>\n".encode() for row in rows]
    layout = next((found for found in (Layout.of(line, b"r") for line in lines) if found and found.fields), None)
    if layout is None:
        return
    text = np.frombuffer(b"".join(lines), dtype=np.uint8).reshape(len(lines), -1)
    columns = np.array([(f.begin, f.dot, f.end) for f in layout.fields], dtype=np.int32)
    (one, sound), (other, also_sound) = by_numpy(text, layout), scanner.scan(text, columns)
    assert np.array_equal(sound, also_sound)
    assert np.array_equal(one[sound].view(np.uint64), other[sound].view(np.uint64))


def test_without_a_compiler_numpy_does_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "COMPILERS", ())
    assert scanner.library() is None
    assert not scanner.pays(scanner.COMPILING)


@few
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_one_number_is_what_float_says(value: float) -> None:
    assert row_numbers(f" {value!r} ".encode()) == [value]


def test_numbers_grown_into_one_another() -> None:
    assert row_numbers(b" -10.1234-100.5678  0.1D+02 ") == [-10.1234, -100.5678, 10.0]


@pytest.mark.parametrize("rubbish", [b"1.0 2.0 x", b"1" * 5000 + b"x", b"1.2.3 ;", b"0.12?4"])
def test_rubbish_is_refused_at_once(rubbish: bytes) -> None:
    with pytest.raises(MalformedError, match="is not a row of numbers"):
        row_numbers(rubbish)


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_shape_of_nested_sets(shape: list[int]) -> None:
    """Built by the definition: after a row as many sets close as its index has trailing last positions."""
    rows = int(np.prod(shape))
    breaks: dict[int, int] = {}
    for row in range(1, rows):
        index = np.array(np.unravel_index(row, shape))
        trailing = next(i for i, value in enumerate(index[::-1]) if value)
        if trailing:
            breaks[row] = trailing
    found = nested_shape(rows, breaks)
    meant = tuple(shape)
    # Outer dimensions of one do not show.
    while len(meant) > len(found) and meant[0] == 1:
        meant = meant[1:]
    assert found == meant


def test_sets_of_unequal_size_are_refused() -> None:
    with pytest.raises(MalformedError, match="unequal size"):
        nested_shape(5, {2: 1})


@pytest.mark.parametrize("size", [80, 1000, 1 << 20])
def test_pieces_do_not_matter(size: int) -> None:
    rng = np.random.default_rng(1)
    numbers = np.round(rng.normal(size=(2, 7, 30, 3)), 4)
    lines: list[bytes] = []
    for spin in numbers:
        lines.append(b"<set>\n")
        for k in spin:
            lines += [b"<set>\n", *(("<r>" + "".join(f"{x:10.4f}" for x in r) + " </r>\n").encode() for r in k)]
            lines.append(b"</set>\n")
        lines.append(b"</set>\n")
    builder, piece = TableBuilder(), b""
    for line in lines:
        piece += line
        if line.startswith(b"<r>") and len(piece) > size:
            builder.feed(piece)
            piece = b""
    builder.feed(piece)
    assert np.array_equal(builder.build().values, numbers)
