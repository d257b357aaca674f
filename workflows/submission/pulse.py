"""How far a running calculation is, from the tail of its OSZICAR."""

from __future__ import annotations

import re
from pathlib import Path

_IONIC = re.compile(r"^\s*(\d+) F=\s*(\S+)", re.MULTILINE)
_ELECTRONIC = re.compile(r"^(?:DAV|RMM|P?CG|SDA|DMP):\s+(\d+)", re.MULTILINE)
_POINT = re.compile(r"^ (k-point \d+ of \d+(?:, iteration \d+)?)", re.MULTILINE)


def pulse(folder: Path) -> str:
    """``ionic step 4, electronic step 7`` or ``k-point 3 of 42, iteration 2``; empty before the first."""
    try:
        text = (folder / "OSZICAR").read_text(errors="replace")
    except OSError:
        return ""
    ionic, points = _IONIC.findall(text), _POINT.findall(text)
    electronic = _ELECTRONIC.findall(text[text.rfind("F=") + 1 :])
    parts = [f"ionic step {int(ionic[-1][0]) + bool(electronic)}"] if ionic else []
    if electronic:
        parts.append(f"electronic step {electronic[-1]}")
    elif points and not ionic:
        parts.append(points[-1])
    return ", ".join(parts)
