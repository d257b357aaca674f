"""The number scanner, compiled: the same doubles as ``scanning`` in a third of the time.

Only where a C compiler is found: ``scanner.c`` is compiled when that pays (half a second) and kept in the user's
cache. Without one, everything works and takes longer.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import CDLL, c_int64, c_void_p
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LOADING = 1 << 18
"""Bytes of a table's piece from which the scanner is loaded, if it was compiled before: a millisecond."""
COMPILING = 1 << 27
"""Bytes of tables that a process has scanned before it compiles the scanner."""
COMPILERS = ("cc", "gcc", "clang", "g++")

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
    try:
        path = _path()
        if not path.exists():
            if not may_compile:
                return None
            _compile(path)
        return _loaded(path)
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def _loaded(path: Path) -> CDLL:
    compiled = CDLL(str(path))
    compiled.scan.restype = None
    return compiled


@cache
def _path() -> Path:
    """Where the scanner of this source and this kind of machine is kept; OSError where nothing can be."""
    kind = f"{platform.machine()} {platform.system()} {platform.libc_ver()}"
    key = sha256(f"{kind} {_source()}".encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kalloy"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to someone else")
    return folder / f"scanner-{key}.so"


@cache
def _source() -> str:
    return (files("kalloy.parsers") / "scanner.c").read_text(encoding="utf-8")


def _compile(path: Path) -> None:
    """Compile into a file that takes its name when it is whole; OSError or SubprocessError where it fails."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise OSError("no C compiler")
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        code, made = Path(scratch) / "scanner.c", Path(scratch) / path.name
        code.write_text(_source(), encoding="utf-8")
        command = [compiler, "-x", "c", "-O3", "-std=c99", "-fPIC", "-shared", "-o", str(made), str(code)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made.replace(path)
