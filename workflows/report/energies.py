"""Energies of the configurations: each against its rank, and how the arrangements are distributed over energy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kalloy.workflows.screening.ranked import Ranked
    from kalloy.workflows.screening.ranking import Ranking

NAMED = 12
"""Configurations of a content that are still named one by one."""
PAINTED = 500
"""More points than this are painted into the vector graphics as a picture."""


def draw_energies(ranking: Ranking, folder: Path) -> Drawn | None:
    """Energy above the lowest of the same content against the rank, and beside it the number of arrangements.

    Areas show degeneracies. The histogram counts every arrangement that a configuration stands for.

    Returns
    -------
    None where nothing is ranked.
    """
    rows = [r for r in ranking.shown if r.rank is not None and r.relative_meV_fu is not None]
    if not rows:
        return None
    from matplotlib.ticker import MaxNLocator

    by_content: dict[str, list[Ranked]] = {}
    for r in rows:
        by_content.setdefault(r.member.split("/")[0], []).append(r)
    with style():
        figure = new_figure(7.2, 3.2)
        axes, density = figure.subplots(1, 2, sharey=True, width_ratios=(2.6, 1))
        largest = max(r.degeneracy for r in rows)
        crowd = min(1.0, (NAMED / len(rows)) ** 0.5)
        many = len(by_content) > len(COLOURS)
        for i, (content, mine) in enumerate(by_content.items()):
            colour = COLOURS[i % len(COLOURS)]
            energies = [r.relative_meV_fu or 0.0 for r in mine]
            sizes = [(16 + 100 * r.degeneracy / largest) * crowd for r in mine]
            ranks = [r.rank or 0 for r in mine]
            painted = len(rows) > PAINTED
            axes.scatter(ranks, energies, sizes, color=colour, alpha=0.75, label=content, rasterized=painted)
            if len(mine) <= NAMED and not many:
                _name(axes, mine)
        spread = [[r.relative_meV_fu or 0.0 for r in mine] for mine in by_content.values()]
        weights = [[r.degeneracy for r in mine] for mine in by_content.values()]
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(by_content))]
        bins = min(40, max(5, len(rows) // 3))
        density.hist(spread, bins, weights=weights, orientation="horizontal", stacked=True, color=colours)
        density.set(xlabel="arrangements", title="distribution")
        axes.set(xlabel="rank", ylabel="ΔE (meV per formula unit)", title="energies; area: degeneracy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.15 if len(rows) <= NAMED else 0.03, y=0.15)
        if len(by_content) > 1 and not many:
            axes.legend()
        caption = (
            f"Energies of {len(rows)} configurations above the lowest of their content, per formula unit of the host; "
            f"areas show degeneracies, the histogram counts arrangements"
        )
        columns = ("rank", "member", "space_group", "degeneracy", "relative_meV_per_formula_unit")
        table = [(r.rank, r.member, r.space_group, r.degeneracy, r.relative_meV_fu) for r in rows]
        return save(figure, folder, "energies", caption, columns, table)


def _name(axes: Axes, rows: Sequence[Ranked]) -> None:
    for r in rows:
        axes.annotate(
            f"{r.member} ({r.space_group})", (r.rank or 0, r.relative_meV_fu or 0.0), (7, 4), textcoords="offset points"
        )
