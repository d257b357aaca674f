"""OSZICAR, and the same lines on standard output: one a step."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from kalloy.workflows.gpaw_engine.kpoint_walk import PointStep
from kalloy.workflows.gpaw_engine.states import ElectronicStep, IonicStep

HEADER = "       N       E                     dE             d eps       rms          rms(c)\n"


class OszicarWriter:
    """Lines of progress: ``rms`` is the norm of the residuals (eV), ``rms(c)`` the density's change (electrons)."""

    def __init__(self, path: Path, echo: TextIO) -> None:
        self.file, self.echo = path.open("w"), echo
        self._electronic: ElectronicStep | None = None
        self._free = 0.0

    def electronic(self, number: int, step: ElectronicStep) -> None:
        """One electronic step."""
        before = self._electronic if number > 1 else None
        energy, bands = step.energies.free, step.band_energy
        change = energy - (before.energies.free if before else 0.0)
        band_change = bands - (before.band_energy if before else 0.0)
        line = f"PCG: {number:3d}  {energy:20.12E} {change:14.5E} {band_change:14.5E} {step.residual:12.3E}"
        if step.density_change is not None and step.density_change < float("inf"):
            line += f" {step.density_change:12.3E}"
        self._write((HEADER if number == 1 else "") + line + "\n")
        self._electronic = step

    def point(self, step: PointStep) -> None:
        """An iteration at one k-point of a kept density: of many atoms it takes a minute."""
        place = f" k-point {step.point + 1} of {step.points}"
        self._write(
            f"{place}: {step.number} iterations\n"
            if step.converged
            else f"{place}, iteration {step.number}: residuals {step.error:.1E} of {step.goal:.1E} eV^2/electron\n"
        )

    def ionic(self, number: int, step: IonicStep, spins: int) -> None:
        """One ionic step."""
        energies = step.energies
        change = energies.free - self._free if number > 1 else energies.entropy_term
        line = f"{number:4d} F= {energies.free:.8E} E0= {energies.extrapolated:.8E}  d E ={change:.6E}"
        self._write(line + (f"  mag= {step.moment:10.4f}" if spins == 2 else "") + "\n")
        self._free = energies.free

    def say(self, text: str) -> None:
        """A line on standard output alone."""
        self.echo.write(text + "\n")
        self.echo.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self.file.close()

    def _write(self, text: str) -> None:
        for stream in (self.file, self.echo):
            stream.write(text)
            stream.flush()
