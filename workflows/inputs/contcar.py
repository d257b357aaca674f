"""CONTCAR of a relaxation that was interrupted: whether it was written to its end."""

from __future__ import annotations

from pathlib import Path


def is_whole(contcar: str, atoms: int) -> bool:
    """Whether the last position was written to its end: as many decimals as the first, and a line's end after it."""
    lines = contcar.splitlines()
    positions = lines[8 : 8 + atoms]
    if len(positions) < atoms or not all(len(line.split()) >= 3 for line in positions):
        return False
    decimals = {len(word.partition(".")[2]) for line in positions for word in line.split()[:3]}
    return len(decimals) == 1 and contcar.endswith("\n")


def has_moved(folder: Path, start: Path) -> bool:
    """Whether a folder holds a whole CONTCAR with other positions or another cell than the POSCAR ``start``."""
    try:
        before = start.read_text(encoding="utf-8").splitlines()
        after = (folder / "CONTCAR").read_text(encoding="utf-8", errors="replace")
        atoms = sum(int(n) for n in before[6].split())
        if not is_whole(after, atoms):
            return False
        return any(
            _numbers(a) != _numbers(b) for a, b in zip(before[1:], after.splitlines()[1 : 8 + atoms], strict=False)
        )
    except (OSError, ValueError, IndexError):
        return False


def _numbers(line: str) -> list[float]:
    """The leading numbers of a line, to the decimals that every CONTCAR prints."""
    numbers = []
    for word in line.split()[:3]:
        try:
            numbers.append(round(float(word), 8))
        except ValueError:
            break
    return numbers
