"""How far a running calculation is, from the tail of its OSZICAR."""

from __future__ import annotations

import re
from pathlib import Path

_IONIC = re.compile(r"^\s*(\d+) F=\s*(\S+)", re.MULTILINE)
_ELECTRONIC = re.compile(r"^(?:DAV|RMM|CG|SDA|DMP):\s+(\d+)", re.MULTILINE)


def pulse(folder: Path) -> str:
    """``ionic step 4, electronic 7``; empty before the first."""
    try:
        text = (folder / "OSZICAR").read_text(errors="replace")
    except OSError:
        return ""
    ionic = _IONIC.findall(text)
    electronic = _ELECTRONIC.findall(text[text.rfind("F=") + 1 :])
    parts = [f"ionic step {int(ionic[-1][0]) + bool(electronic)}"] if ionic else []
    if electronic:
        parts.append(f"electronic step {electronic[-1]}")
    return ", ".join(parts)
