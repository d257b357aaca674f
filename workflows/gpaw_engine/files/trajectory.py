"""CONTCAR and XDATCAR: where the ions are, and where they have been."""

from __future__ import annotations

import os
from pathlib import Path

from ase import Atoms

from kalloy.workflows.gpaw_engine.job import Job


def write_contcar(path: Path, job: Job, atoms: Atoms) -> None:
    """The geometry in POSCAR's order, renewed at a stroke so that a kill leaves the old one or the new one."""
    lines = _head(job, atoms, "   1.00000000000000", "{:22.16f}")
    lines.append("Direct")
    lines += ["".join(f"{x:20.16f}" for x in row) for row in atoms.get_scaled_positions(wrap=True)]
    new = path.with_name(path.name + ".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(new, path)


class XdatcarWriter:
    """XDATCAR; the cell stands before every geometry where it may change, else once, as in VASP."""

    def __init__(self, path: Path, job: Job) -> None:
        self.job, self.file = job, path.open("w", encoding="utf-8")
        self._number = 0

    def ionic(self, atoms: Atoms) -> None:
        """One more geometry."""
        self._number += 1
        if self._number == 1 or self.job.settings.freedom.cell:
            self.file.write("\n".join(_head(self.job, atoms, f"{1:12d}", "{:12.6f}")) + "\n")
        self.file.write(f"Direct configuration={self._number:6d}\n")
        self.file.writelines("".join(f"{x:12.8f}" for x in row) + "\n" for row in atoms.get_scaled_positions(wrap=True))
        self.file.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self.file.close()


def _head(job: Job, atoms: Atoms, scale: str, number: str) -> list[str]:
    lines = [job.comment or "unknown system", scale]
    lines += ["  " + "".join(number.format(x) for x in row) for row in atoms.cell]
    lines.append("  " + "".join(f"{symbol:>5s}" for symbol, _ in job.groups))
    lines.append("  " + "".join(f"{count:5d}" for _, count in job.groups))
    return lines
