"""Optical spectra: the dielectric function and the absorption coefficient, averaged over directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.report.drawing import COLOURS, Drawn, new_figure, save, style

if TYPE_CHECKING:
    from kalloy.parsers.optics import Spectrum
    from kalloy.workflows.report.spectra import Spectra

HIGHEST = 12.0
"""eV; beyond it nothing of the visible or near ultraviolet is left."""


def draw_absorption(shown: Sequence[Spectra], folder: Path) -> Drawn | None:
    """ε1 and ε2 above, absorption below, a line a member; the joint edge of each is marked.

    Returns
    -------
    None where no member has a dielectric function.
    """
    members = [(s, s.optics) for s in shown if s.optics is not None]
    if not members:
        return None
    with style():
        figure = new_figure(7.2, 5.0)
        upper, lower = figure.subplots(2, 1, sharex=True)
        highest = min(HIGHEST, max(float(o.energies[-1]) for _, o in members))
        for (spectra, optics), colour in zip(members, COLOURS, strict=False):
            seen = optics.energies <= highest  # what is not must not set the height of the axes
            energies, epsilon = optics.energies[seen], optics.epsilon[seen]
            upper.plot(energies, epsilon.imag, color=colour, label=f"{spectra.member} ε$_2$")
            upper.plot(energies, epsilon.real, color=colour, linestyle="--", linewidth=0.8)
            lower.plot(energies, optics.absorption[seen] / 1e5, color=colour, label=spectra.member)
            if optics.edge is not None:
                lower.axvline(optics.edge, color=colour, linewidth=0.8, linestyle=":")
        upper.set(ylabel="dielectric function", title="ε$_2$ (full) and ε$_1$ (dashed), mean of the three directions")
        lower.set(xlabel="photon energy (eV)", ylabel="absorption (10$^5$/cm)", xlim=(0, highest), ylim=(0, None))
        for axes in (upper, lower):
            axes.legend(loc="upper left")
        caption = (
            f"Optical spectra of {' and '.join(s.title for s, _ in members)}: dielectric function and absorption "
            f"coefficient from independent particles; dotted: joint edge, where ε₂ reaches 5 % of its maximum"
        )
        return save(figure, folder, "absorption", caption, *_table(members))


def _table(members: Sequence[tuple[Spectra, Spectrum]]) -> tuple[list[str], Iterator[list[object]]]:
    columns = ["member", "energy_eV", "epsilon1", "epsilon2", "absorption_per_cm", "refractive_index", "reflectivity"]
    rows = (
        [s.member, *map(float, row)]
        for s, o in members
        for row in zip(
            o.energies, o.epsilon.real, o.epsilon.imag, o.absorption, o.refractive_index, o.reflectivity, strict=True
        )
    )
    return columns, rows
