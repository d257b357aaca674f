"""What an engine has left in an attempt's folder, read once however many ask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kalloy.errors import KalloyError

REQUIRED = ("vasprun.xml", "OUTCAR", "OSZICAR", "CONTCAR")
"""What every engine leaves that has done what it should."""


@dataclass(frozen=True)
class Reading:
    """Completeness and convergence, from the files and never from an exit code."""

    trouble: str | None = None
    """Why nothing can be read, or which file is missing."""
    complete: bool = False
    """Whether the engine ended in order and its file is whole."""
    electrons: bool | None = None
    """Whether the last ionic step is self-consistent."""
    ions: bool | None = None
    """Whether the relaxation met EDIFFG; None for what is no relaxation."""
    ionic_steps: int = 0
    """Ionic steps with an energy."""

    @property
    def is_sound(self) -> bool:
        """Whether everything that was asked for is there."""
        return self.trouble is None and self.complete and self.electrons is True and self.ions is not False

    @property
    def lacks_electrons(self) -> bool:
        """Whether it ended in order, but not self-consistent."""
        return self.complete and self.electrons is False


def read(folder: Path) -> Reading:
    """The state of an attempt's outputs now."""
    stats = []
    for name in REQUIRED:
        path = folder / name
        stat = path.stat() if path.is_file() else None
        stats.append((stat.st_mtime_ns, stat.st_size) if stat else None)
    return _read(folder, tuple(stats))


@lru_cache(maxsize=1)
def _read(folder: Path, stats: tuple[tuple[int, int] | None, ...]) -> Reading:
    from kalloy.parsers.convergence import judge
    from kalloy.parsers.files import read_folder

    if not stats[0]:
        return Reading("no vasprun.xml")
    try:
        found = judge(read_folder(folder))
    except KalloyError as error:
        return Reading(str(error))
    missing = [name for name, stat in zip(REQUIRED, stats, strict=True) if not stat or not stat[1]]
    trouble = f"no {', no '.join(missing)}" if missing else None
    return Reading(trouble, found.complete, found.electronic, found.ionic, found.ionic_steps)
