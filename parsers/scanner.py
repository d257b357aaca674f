"""The number scanner, compiled: the same doubles as ``scanning`` in a third of the time.

``scanner.c`` is compiled when that pays; without a C compiler everything works and takes longer.
"""

from __future__ import annotations

from ctypes import CDLL, c_int64, c_void_p

import numpy as np
from numpy.typing import NDArray

from kalloy.compiled import library as load

LOADING = 1 << 18
"""Bytes of a table's piece from which the scanner is loaded, if it was compiled before: a millisecond."""
COMPILING = 1 << 27
"""Bytes of tables that a process has scanned before it compiles the scanner."""

_scanned = 0


def pays(size: int) -> bool:
    """Whether to use the scanner for a piece of so many bytes; it is compiled once enough has been scanned."""
    global _scanned
    _scanned += size
    if size < LOADING:
        return False
    return library(may_compile=_scanned >= COMPILING) is not None


def scan(lines: NDArray[np.uint8], columns: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers of many lines.

    Parameters
    ----------
    lines : shape (rows, stride), the text.
    columns : shape (fields, 3): first column, column of the decimal point, column after the last digit.

    Returns
    -------
    Numbers of shape (rows, fields), and which rows are well formed; the others' numbers mean nothing.

    Raises
    ------
    RuntimeError
        If there is no scanner on this machine.
    """
    compiled = library()
    if compiled is None:
        raise RuntimeError("the compiled scanner is not available")
    text = np.ascontiguousarray(lines)
    values = np.empty((len(lines), len(columns)))
    sound = np.empty(len(lines), dtype=np.bool_)
    table = np.ascontiguousarray(columns, dtype=np.int32)
    pointers = [c_void_p(array.ctypes.data) for array in (text, table, values, sound)]
    rows, stride = lines.shape
    compiled.scan(pointers[0], c_int64(rows), c_int64(stride), c_int64(len(table)), *pointers[1:])
    return values, sound


def library(*, may_compile: bool = True) -> CDLL | None:
    """The compiled scanner; None where there is none and it may not or cannot be compiled."""
    compiled = load("kalloy.parsers", "scanner", may_compile=may_compile)
    if compiled is not None:
        compiled.scan.restype = None
    return compiled
