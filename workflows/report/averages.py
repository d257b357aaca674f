"""Against temperature: averages over the configurations, with their errors and how far the configurations spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from kalloy.workflows.screening.thermodynamics import Estimate


def draw_averages(
    shown: Mapping[str, Sequence[Estimate]], temperatures: Sequence[float], content: str, folder: Path
) -> Drawn | None:
    """One panel a quantity; bars are errors, the shaded band is the spread over the ensemble.

    Parameters
    ----------
    shown : name with unit → an estimate a temperature.
    temperatures : K, rising.

    Returns
    -------
    None for fewer than two temperatures: the page's table has them.
    """
    if len(temperatures) < 2 or not shown:
        return None
    with style():
        figure = new_figure(3.6 * len(shown), 3.0)
        for axes, (name, estimates) in zip(
            figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
        ):
            values = [e.value for e in estimates]
            low = [e.value - e.spread for e in estimates]
            high = [e.value + e.spread for e in estimates]
            axes.fill_between(temperatures, low, high, color=COLOURS[5], alpha=0.3, linewidth=0, label="spread")
            errors = [e.error for e in estimates if e.error is not None]
            bars = errors if len(errors) == len(values) else None
            axes.errorbar(temperatures, values, bars, color=COLOURS[0], marker="o", markersize=3, capsize=2)
            axes.set(xlabel="temperature (K)", ylabel=name)
        known = all(e.error is not None for estimates in shown.values() for e in estimates)
        caption = (
            f"Boltzmann averages over the configurations of {content}: "
            f"{'bars are errors' if known else 'errors are not known'}, the shaded band is the standard deviation "
            f"over the ensemble"
        )
        rows = [
            (name, t, e.value, e.error, e.spread)
            for name, estimates in shown.items()
            for t, e in zip(temperatures, estimates, strict=True)
        ]
        columns = ("quantity", "temperature_K", "value", "error", "spread")
        return save(figure, folder, f"averages-{content}", caption, columns, rows)
