"""Energies of the prescreened configurations by what is substituted where, and what they do to the volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.prescreen.ranking import Prescreened
from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGEST = 110.0
"""Points²; the marker of the largest degeneracy."""


def draw_prescreen(rows: Sequence[Prescreened], folder: Path, title: str) -> list[Drawn]:
    """One figure a content with more than one configuration: ``prescreen-K03``.

    Left each configuration's energy above the lowest, side by side by the Wyckoff positions that are substituted; right
    its volume change against the energy. Areas show degeneracies.
    """
    contents = dict.fromkeys(r.content for r in rows if r.rank is not None)
    return [
        _draw(own, folder, title)
        for content in contents
        if len(own := [r for r in rows if r.content == content and r.rank is not None]) > 1
    ]


def _draw(rows: Sequence[Prescreened], folder: Path, title: str) -> Drawn:
    kinds = sorted({r.positions for r in rows}, key=lambda kind: min(r.energy_eV for r in rows if r.positions == kind))
    content = rows[0].content
    with style():
        figure = new_figure(7.2, 3.4)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2.2, 1))
        largest = max(r.degeneracy for r in rows)
        for place, kind in enumerate(kinds):
            own = [r for r in rows if r.positions == kind]
            sizes = [LARGEST * r.degeneracy / largest for r in own]
            energies = [r.relative_meV for r in own]
            colour = COLOURS[place % len(COLOURS)]
            # Side by side within the kind in the order of energy, so that no marker hides another.
            across = [place + 0.7 * ((i + 0.5) / len(own) - 0.5) for i in range(len(own))]
            left.scatter(across, energies, sizes, color=colour, alpha=0.7, linewidth=0)
            volumes = [r.volume_change_percent for r in own]
            right.scatter(volumes, energies, sizes, color=colour, alpha=0.7, linewidth=0)
        _name_lowest(left, rows, kinds)
        left.set_xticks(range(len(kinds)), [kind.replace(" ", "\n", 1) for kind in kinds])
        left.set(ylabel="ΔE (meV per cell)", title=f"{content}: {len(rows)} configurations; area: degeneracy")
        right.set(xlabel="ΔV against the host (%)", title=title)
        left.margins(y=0.08)
        caption = (
            f"{len(rows)} configurations of {content} by {title}: energy above the lowest per cell, by substituted "
            f"positions and against the change of volume; {rows[0].member} ({rows[0].space_group}) is lowest"
        )
        columns = ("member", "space_group", "positions", "degeneracy", "relative_meV_per_cell", "volume_change_percent")
        table = [
            (r.member, r.space_group, r.positions, r.degeneracy, r.relative_meV, r.volume_change_percent) for r in rows
        ]
        return save(figure, folder, f"prescreen-{content}", caption, columns, table)


def _name_lowest(axes: Axes, rows: Sequence[Prescreened], kinds: Sequence[str]) -> None:
    lowest = min(rows, key=lambda r: r.energy_eV)
    own = [r for r in rows if r.positions == lowest.positions]
    across = kinds.index(lowest.positions) + 0.7 * (0.5 / len(own) - 0.5)
    axes.annotate(f"{lowest.member} ({lowest.space_group})", (across, 0), (10, -3), textcoords="offset points")
