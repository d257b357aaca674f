"""Against composition: mixing energies with their hull, and how gap and volume bow between the end members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style
from kalloy.workflows.screening.mixing import Mixing, bowing, lower_hull

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]
"""Fraction and value."""


def draw_mixing(mixing: Mixing, substituted: str, temperatures: Sequence[float], folder: Path) -> Drawn:
    """Mixing energy of every configuration, the lower hull, and the mixing free energy at some temperatures.

    Parameters
    ----------
    substituted : what x counts, ``K on Cs``.
    temperatures : K.
    """
    with style():
        figure = new_figure(6.2, 3.8)
        axes = figure.subplots()
        fractions, heights = _members(mixing)
        axes.scatter(fractions, heights, 10, color="0.6", label="configurations", rasterized=len(heights) > 500)
        hull = lower_hull(mixing.fractions, mixing.lowest)
        line = 1000 * mixing.lowest[hull]
        axes.plot(mixing.fractions[hull], line, "o-", color=COLOURS[0], label="hull", markersize=4)
        for colour, temperature in zip(COLOURS[1:], temperatures, strict=False):
            free = 1000 * mixing.free_energies(temperature)
            axes.plot(mixing.fractions, free, "--", color=colour, label=f"free energy, {temperature:g} K")
        axes.axhline(0, color="0.7", linewidth=0.6, linestyle=":")
        axes.set(xlabel=f"x ({substituted})", ylabel="mixing (meV per formula unit)", title="mixing energy")
        axes.legend()
        caption = (
            f"Mixing energy against the fraction of {substituted}: every computed configuration, the pseudo-binary "
            f"lower hull, and the free energy of mixing of the configurations of this cell; no vibrations"
        )
        rows = [("configuration", x, y) for x, y in zip(fractions, heights, strict=True)]
        rows += [("hull", float(x), float(y)) for x, y in zip(mixing.fractions[hull], line, strict=True)]
        for t in temperatures:
            free = 1000 * mixing.free_energies(t)
            rows += [(f"free energy {t:g} K", float(x), float(y)) for x, y in zip(mixing.fractions, free, strict=True)]
        return save(figure, folder, "mixing", caption, ("of", "x", "mixing_meV_per_formula_unit"), rows)


def _members(mixing: Mixing) -> tuple[list[float], list[float]]:
    """Fraction and mixing energy in meV per formula unit of every configuration."""
    ends = mixing.ensembles[0].lowest, mixing.ensembles[-1].lowest
    fractions, heights = [], []
    for x, ensemble in zip(mixing.fractions, mixing.ensembles, strict=True):
        line = (1 - x) * ends[0] + x * ends[1]
        fractions += [float(x)] * len(ensemble.energies)
        heights += [float(1000 * (e - line) / mixing.units) for e in ensemble.energies]
    return fractions, heights


def draw_bowing(shown: Mapping[str, Points], substituted: str, folder: Path) -> Drawn | None:
    """One panel a quantity: its values over composition, the straight line between the ends, and the parabola.

    Parameters
    ----------
    shown : name with unit → points, those of the end members among them.

    Returns
    -------
    None where nothing lies between the ends.
    """
    drawn = {name: sorted(points) for name, points in shown.items() if len({x for x, _ in points}) > 2}
    if not drawn:
        return None
    with style():
        figure = new_figure(4.2 * len(drawn), 3.4)
        for axes, (name, points) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
            _bow(axes, name, points, substituted)
        caption = (
            f"{' and '.join(drawn)} against the fraction of {substituted}, from the lowest configuration of each "
            f"content: Vegard's line (dotted) and the parabola with bowing b (full)"
        )
        rows = [(name, x, y) for name, points in drawn.items() for x, y in points]
        return save(figure, folder, "bowing", caption, ("quantity", "x", "value"), rows)


def _bow(axes: Axes, name: str, points: Points, substituted: str) -> None:
    x, y = np.array(points).T
    found = bowing(x, y)
    grid = np.linspace(0, 1, 101)
    line = (1 - grid) * y[0] + grid * y[-1]
    axes.plot(grid, line, ":", color="0.5")
    axes.plot(grid, line - found.parameter * grid * (1 - grid), color=COLOURS[1], label=f"b = {found.parameter:.3g}")
    axes.plot(x, y, "o", color=COLOURS[0], markersize=4)
    axes.set(xlabel=f"x ({substituted})", ylabel=name)
    axes.legend()
