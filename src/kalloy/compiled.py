"""C files of ours, compiled on the user's machine where that pays and kept in the user's cache.

Only where a C compiler is found; without one everything works and takes longer.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from ctypes import CDLL
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang", "g++")


def library(package: str, name: str, *, may_compile: bool = True) -> CDLL | None:
    """The compiled form of ``name.c`` in ``package``; None where there is none and it may not or cannot be compiled.

    The first compilation takes half a second.
    """
    try:
        path = _path(package, name)
        if not path.exists():
            if not may_compile:
                return None
            _compile(path, _source(package, name))
        return _loaded(path)
    except (OSError, subprocess.SubprocessError):
        return None


def compiler() -> str | None:
    """The C compiler that would be used; None where there is none."""
    return next((found for name in COMPILERS if (found := shutil.which(name))), None)


def is_compiled(package: str, name: str) -> bool:
    """Whether the compiled form of ``name.c`` lies in the user's cache; makes nothing."""
    return (cache_folder() / f"{name}-{_key(package, name)}.so").is_file()


@cache
def _loaded(path: Path) -> CDLL:
    return CDLL(str(path))


def _path(package: str, name: str) -> Path:
    """Where what is made of this source on this kind of machine is kept; OSError where nothing can be."""
    return _made_cache_folder() / f"{name}-{_key(package, name)}.so"


@cache
def _key(package: str, name: str) -> str:
    kind = f"{platform.machine()} {platform.system()} {platform.libc_ver()}"
    return sha256(f"{kind} {_source(package, name)}".encode()).hexdigest()[:16]


@cache
def _source(package: str, name: str) -> str:
    return (files(package) / f"{name}.c").read_text(encoding="utf-8")


def cache_folder() -> Path:
    """The user's own folder for what can be made again, whether it is there or not."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kalloy"


def _made_cache_folder() -> Path:
    """The same, made; OSError where it belongs to someone else."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to someone else")
    return folder


def _compile(path: Path, source: str) -> None:
    """Compile into a file that takes its name when it is whole; OSError or SubprocessError where it fails."""
    program = compiler()
    if program is None:
        raise OSError("no C compiler")
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        code, made = Path(scratch) / "source.c", Path(scratch) / path.name
        code.write_text(source, encoding="utf-8")
        command = [program, "-x", "c", "-O3", "-std=c99", "-fPIC", "-shared", "-o", str(made), str(code)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        made.replace(path)
