"""Read OSZICAR: how many electronic steps each ionic step took, and its energies."""

from __future__ import annotations

import re
from pathlib import Path

from kalloy.errors import ParseError
from kalloy.parsers.lines import Lines
from kalloy.parsers.model import IonicStep, Vasprun

_ELECTRONIC = re.compile(rb"^\s*[A-Za-z]{2,4}\s*:\s*(\d+|\*+)\s")
_NUMBER = rb"\s*([-+]?\d*\.?\d+(?:[EeDd][-+]?\d+)?)"
_IONIC = re.compile(rb"^\s*(?:\d+|\*+)\s.*?F=" + _NUMBER + rb"\s*E0=" + _NUMBER)


def read_oszicar(path: str | Path) -> Vasprun:
    """Read one OSZICAR, plain or compressed.

    Returns
    -------
    Ionic steps with their energies (eight digits) and electronic steps. Never ``complete``: the file does not say
    whether the calculation ended.

    Raises
    ------
    ParseError
        If it cannot be opened or holds no step.
    """
    lines = Lines(Path(path))
    steps: list[IonicStep] = []
    electronic = 0
    for line in lines:
        if match := _ELECTRONIC.match(line):
            electronic = int(match[1]) if match[1].isdigit() else electronic + 1
        elif match := _IONIC.match(line):
            free, zero = (float(number.replace(b"D", b"E")) for number in match.groups())
            steps.append(IonicStep(None, free, None, zero, electronic_steps=electronic, closed=True))
            electronic = 0
    if electronic:
        steps.append(IonicStep(electronic_steps=electronic))
    if not steps:
        raise ParseError("holds no step", where=str(path))
    return Vasprun(
        steps=tuple(steps),
        defects=("OSZICAR does not say whether the calculation ended",),
        files=(Path(path).name,),
    )
