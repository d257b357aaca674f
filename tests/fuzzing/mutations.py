"""What becomes of a file between the one who wrote it and the one who reads it, as a strategy that shrinks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from hypothesis import strategies as st

Draw = st.DrawFn
ASKED = os.environ.get("KALLOY_FUZZ")
"""How many examples a reader gets (`make fuzz`); else a few that are always the same."""
NUMBERS = ("nan", "inf", "-1", "0", "1e400", "9" * 20, "********", "-0.0", "1.5", "", "ä", "0x10", "1_0", "١")
PIECES = (b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r\n", b" " * 300, b"[" * 2000, *(bytes([c]) for c in b"'\"{=\t-#%\n"))
_NUMBER = re.compile(rb"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]+")


def _truncated(draw: Draw, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _byte_changed(draw: Draw, data: bytes) -> bytes:
    at = draw(st.integers(0, max(len(data) - 1, 0)))
    return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]


def _piece_put_in(draw: Draw, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.sampled_from(PIECES)) + data[at:]


def _piece_cut_out(draw: Draw, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    return data[:at] + data[at + draw(st.integers(1, 200)) :]


def _number_changed(draw: Draw, data: bytes) -> bytes:
    return _replaced(draw, data, _NUMBER, draw(st.sampled_from(NUMBERS)).encode())


def _word_changed(draw: Draw, data: bytes) -> bytes:
    words = sorted({m[0] for m in _WORD.finditer(data[:20_000])}) or [b"x"]
    return _replaced(draw, data, _WORD, draw(st.sampled_from(words)))


def _replaced(draw: Draw, data: bytes, pattern: re.Pattern[bytes], new: bytes) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data
    match = found[draw(st.integers(0, len(found) - 1))]
    return data[: match.start()] + new + data[match.end() :]


def _lines_moved(draw: Draw, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, to = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    kind = draw(st.sampled_from(["removed", "doubled", "exchanged"]))
    if kind == "removed":
        del lines[at]
    elif kind == "doubled":
        lines.insert(to, lines[at])
    else:
        lines[at], lines[to] = lines[to], lines[at]
    return b"".join(lines)


def _other_newlines(_: Draw, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


MUTATIONS: tuple[Callable[[Draw, bytes], bytes], ...] = (
    _number_changed,
    _word_changed,
    _lines_moved,
    _truncated,
    _byte_changed,
    _piece_put_in,
    _piece_cut_out,
    _other_newlines,
)


@st.composite
def damaged(draw: Draw, clean: bytes) -> bytes:
    """A file after one to three accidents."""
    data = clean
    for _ in range(draw(st.integers(1, 3))):
        data = draw(st.sampled_from(MUTATIONS))(draw, data)
    return data
