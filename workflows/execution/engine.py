"""How an engine is started: its command line, checked before anything is claimed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from kalloy.errors import EngineMissingError, SpecError, how_to_install


def engine_command(text: str) -> list[str]:
    """The engine's command line, its program found on PATH or beside this Python.

    Raises
    ------
    EngineMissingError
        Where it is in neither place.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SpecError(f"command {text!r} cannot be split into words: {error}", where="commands") from None
    if not words:
        raise SpecError("the engine's command is empty", where="commands", mend=_mend("vasp_std"))
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    program = shutil.which(words[0], path=beside)
    if program is None:
        raise EngineMissingError(f"engine '{words[0]}' is not on PATH", mend=_mend(words[0]))
    if words[0] == "kalloy-gpaw" and not _has_gpaw():
        raise EngineMissingError("kalloy-gpaw needs GPAW, which is not installed", mend=_mend(words[0]))
    return [program, *words[1:]]


def _has_gpaw() -> bool:
    from importlib.util import find_spec

    return find_spec("gpaw") is not None


def _mend(program: str) -> str:
    if program == "kalloy-gpaw":
        return f"install it {how_to_install('gpaw')}"
    return 'name the command in kalloy.toml: [site.NAME] commands = { std = "srun vasp_std" }'
