"""Band edges of host and alloy side by side on one energy scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from kalloy.workflows.screening.alignment import Aligned

DRAWN = 1.2
"""eV of each band that are drawn: the bands go on beyond."""


def draw_alignment(aligned: Sequence[Aligned], folder: Path) -> Drawn | None:
    """A block a member for the valence and the conduction band, their edges named against the host's VBM.

    Returns
    -------
    None for fewer than two members.
    """
    if len(aligned) < 2:
        return None
    with style():
        figure = new_figure(1.6 * len(aligned) + 2.0, 3.8)
        axes = figure.subplots()
        for x, one in enumerate(aligned):
            axes.bar(x, DRAWN, 0.7, one.cbm_eV, color=COLOURS[5], edgecolor=COLOURS[0])
            axes.bar(x, -DRAWN, 0.7, one.vbm_eV, color=COLOURS[0], edgecolor=COLOURS[0])
            axes.text(x, one.cbm_eV - 0.04, f"{one.cbm_eV:+.3f}", ha="center", va="top")
            axes.text(x, one.vbm_eV + 0.04, f"{one.vbm_eV:+.3f}", ha="center", va="bottom")
            middle = (one.vbm_eV + one.cbm_eV) / 2
            axes.text(x, middle, f"gap {one.cbm_eV - one.vbm_eV:.3f} eV", ha="center", va="center", color="0.35")
        axes.set_xticks(range(len(aligned)), [one.member for one in aligned])
        axes.set(ylabel="energy − VBM of the first (eV)", title="band alignment")
        axes.margins(y=0.05)
        caption = (
            f"Band edges of {' and '.join(one.member for one in aligned)} on one scale, aligned at the deep levels of "
            f"{aligned[0].anchor}; the chemical shift of that level (tens of meV) is not taken out"
        )
        rows = [(one.member, one.vbm_eV, one.cbm_eV, one.anchor) for one in aligned]
        columns = ("member", "vbm_minus_first_vbm_eV", "cbm_minus_first_vbm_eV", "aligned_at")
        return save(figure, folder, "alignment", caption, columns, rows)
