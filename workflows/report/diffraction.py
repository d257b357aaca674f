"""Powder diffraction of host and alloy: the pattern, the region where reflections part, and the shifts of a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

ENLARGED = (25.0, 35.0)
"""Degrees 2θ."""


@dataclass(frozen=True)
class Shift:
    """One reflection in host and alloy."""

    reflection: str
    """As the user wrote it: ``006``."""
    host: float
    """Degrees 2θ."""
    alloy: float
    """Degrees 2θ."""
    measured: float | None
    """The reference's shift from host to alloy, degrees."""

    @property
    def found(self) -> float:
        """Degrees, from host to alloy."""
        return self.alloy - self.host


def draw_diffraction(
    grid: Floats, patterns: Mapping[str, Floats], shifts: Sequence[Shift], wavelength: str, folder: Path
) -> Drawn:
    """Patterns one above the other, and the region between 25 and 35 degrees enlarged with the shifts marked.

    Parameters
    ----------
    grid : shape (points,), degrees 2θ.
    patterns : name → intensities, shape (points,), 100 for the strongest line.
    wavelength : in words, ``Cu Kα``.
    """
    with style():
        figure = new_figure(7.2, 5.2)
        whole, part = figure.subplots(2, 1, height_ratios=(1, 1.2))
        for axes in (whole, part):
            for i, (name, curve) in enumerate(patterns.items()):
                axes.plot(grid, curve + 110 * i, color=COLOURS[i % len(COLOURS)], linewidth=0.9, label=name)
            axes.set(yticks=[], ylabel="intensity")
        whole.set(xlim=(grid[0], grid[-1]), title=f"powder diffraction, {wavelength}")
        whole.legend(loc="upper right", reverse=True)
        part.set(xlim=ENLARGED, xlabel="2θ (degrees)")
        for shift in shifts:
            _mark(part, shift, len(patterns))
        dotted = " and the measured ones (dotted)" if any(s.measured for s in shifts) else ""
        caption = (
            f"Powder diffraction ({wavelength}) of {' and '.join(patterns)}, lines of 0.1° width; below, 25–35° with "
            f"the computed shifts (arrows){dotted}"
        )
        rows = (
            (name, round(float(x), 4), round(float(y), 5))
            for name, curve in patterns.items()
            for x, y in zip(grid, curve, strict=True)
        )
        return save(figure, folder, "diffraction", caption, ("of", "two_theta_deg", "intensity"), rows)


def _mark(axes: Axes, shift: Shift, patterns: int) -> None:
    """An arrow from the host's line to the alloy's, and where the measured shift would put it."""
    if not ENLARGED[0] < shift.host < ENLARGED[1]:
        return
    top = 110.0 * patterns
    arrow = {"arrowstyle": "->", "color": "0.2", "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (shift.alloy, top), (shift.host, top), arrowprops=arrow)
    axes.text((shift.host + shift.alloy) / 2, top + 4, shift.reflection, ha="center", va="bottom", fontsize=7)
    axes.axvline(shift.host, color="0.8", linewidth=0.6, zorder=0)
    if shift.measured is not None:
        axes.axvline(shift.host + shift.measured, color=COLOURS[1], linewidth=0.9, linestyle=":")
