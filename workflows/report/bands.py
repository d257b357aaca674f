"""A band structure: the path whole, both edges enlarged beside it, and the density of states on the same energies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kalloy.parsers.gap import DEGENERATE_EV
from kalloy.workflows.report.drawing import COLOURS, Drawn, file_name, new_figure, save, style, write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kalloy.parsers.bands import Bands
    from kalloy.parsers.dos import Dos
    from kalloy.workflows.report.spectra import Spectra
    from kalloy.workflows.screening.gaps import MemberGap

BELOW, ABOVE = 2.5, 6.5
"""eV drawn below and above the VBM where the gap is small; the whole gap and 2 eV of conduction band otherwise."""
MARGIN = 0.08
"""Of an enlargement's height, left free at both ends."""
LEAST_WINDOW, MOST_WINDOW = 0.1, 1.0
"""eV: height of an enlargement; between them twice the width of the edge's band."""
NARROW = 0.03
"""Of the path's length: segments shorter than this share one tick."""


def draw_bands(spectra: Spectra, folder: Path, colours: Mapping[str, str]) -> Drawn:
    """Bands along the set's path, the conduction and the valence band enlarged, and the density of states.

    The arrow goes from VBM to CBM where both lie on the path. Two files of data: ``bands-….csv`` has one row a
    k-point, ``bands-…-dos.csv`` the density as drawn.

    Parameters
    ----------
    colours : of the elements, the same in every figure of a set.
    """
    bands, gap = spectra.bands, spectra.gap
    assert bands is not None
    zero = zero_of(spectra)
    with style():
        figure = new_figure(9.0, 4.4)
        grid = figure.add_gridspec(2, 3, width_ratios=(2.0, 1.25, 0.9))
        whole = figure.add_subplot(grid[:, 0])
        conduction, valence = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
        density = figure.add_subplot(grid[:, 2], sharey=whole)
        figure.suptitle(_title(spectra), x=0.01, ha="left", size="medium")
        top = max(ABOVE, (gap.gap_eV or 0) + 2)
        _lines(whole, bands, zero, -BELOW, top)
        whole.set(title="bands", xlabel="wave vector", ylabel=energy_label(gap))
        _arrow(whole, bands, gap, zero)
        for axes, name, edge in ((conduction, "conduction band", gap.cbm_eV), (valence, "valence band", gap.vbm_eV)):
            _enlarge(axes, bands, zero, edge, name)
        if spectra.dos is not None:
            _density(density, spectra.dos, zero, spectra.formula_units, colours, (-BELOW, top))
        else:
            density.set_axis_off()
        name = f"bands-{file_name(spectra.member)}"
        caption = (
            f"{spectra.title}: bands along the set's path, both edges enlarged (dashed: VBM and CBM of all k-points), "
            f"and density of states by element per formula unit"
        )
        drawn = save(figure, folder, name, caption, *_bands_table(bands, zero))
    if spectra.dos is not None:
        write_table(folder / f"{name}-dos.csv", *dos_table(spectra.dos, zero))
    return drawn


def zero_of(spectra: Spectra) -> float:
    """The energy that a member's figures start from: its VBM; for a metal its Fermi energy."""
    if spectra.gap.vbm_eV is not None:
        return spectra.gap.vbm_eV
    return (spectra.dos.efermi if spectra.dos else None) or 0.0


def energy_label(gap: MemberGap) -> str:
    """Of an energy axis that starts at `zero_of`."""
    return f"energy − {'E$_F$' if gap.metal else 'VBM'} (eV)"


def _title(spectra: Spectra) -> str:
    gap = spectra.gap
    return f"{spectra.title}: " + ("metal" if gap.metal else f"{gap.character} gap {gap.gap_eV:.3f} eV")


def _lines(axes: Axes, bands: Bands, zero: float, low: float, high: float) -> None:
    """The bands that pass between two energies; each spin is one line, broken where segments and bands end."""
    distance, energies = bands.distances(), bands.sorted() - zero
    for spin, line in zip(range(bands.spins), ("-", "--"), strict=False):
        seen = (energies[spin].max(axis=0) >= low) & (energies[spin].min(axis=0) <= high)
        x: list[float] = []
        y: list[float] = []
        for segment in bands.segments:
            part = slice(segment.start, segment.stop)
            for band in np.flatnonzero(seen):
                x += [*distance[part], np.nan]
                y += [*energies[spin, part, band], np.nan]
        axes.plot(x, y, line, color=COLOURS[spin], marker=".", markersize=2.5)
    ticks, names = _ticks(bands, distance)
    axes.set_xticks(ticks, names)
    for tick in ticks:
        axes.axvline(tick, color="0.8", linewidth=0.6, zorder=0)
    axes.set(xlim=(distance[0], distance[-1]), ylim=(low, high))


def _ticks(bands: Bands, distance: Any) -> tuple[list[float], list[str]]:
    """Where segments begin and end; several names where the path jumps, or where the print would overlap."""
    ticks: list[float] = []
    names: list[list[str]] = []
    for segment in bands.segments:
        for index, label in zip((segment.start, segment.stop - 1), segment.labels, strict=True):
            if not ticks or distance[index] - ticks[-1] > NARROW * distance[-1]:
                ticks.append(float(distance[index]))
                names.append([])
            if (pretty := _pretty(label)) not in names[-1]:
                names[-1].append(pretty)
    return ticks, ["|".join(here) for here in names]


def _pretty(label: str) -> str:
    label = label.replace("\\Gamma", "Γ").replace("GAMMA", "Γ")
    head, _, index = label.partition("_")
    return f"{head}$_{{{index}}}$" if index else head


def _enlarge(axes: Axes, bands: Bands, zero: float, edge: float | None, name: str) -> None:
    """One band edge, high enough for the whole of the flat band that it belongs to."""
    axes.set_title(name)
    if edge is None:
        axes.text(0.5, 0.5, "metal: no edge", ha="center", va="center", transform=axes.transAxes, color="0.4")
        return
    above = edge > zero + DEGENERATE_EV
    window = _window(bands, edge, above)
    start = edge - zero
    low, high = (start, start + window) if above else (start - window, start)
    _lines(axes, bands, zero, low - MARGIN * window, high + MARGIN * window)
    axes.axhline(start, color=COLOURS[1], linewidth=0.8, linestyle="--")
    axes.tick_params(axis="x", labelsize=7)


def _window(bands: Bands, edge: float, above: bool) -> float:
    """Twice the width of the band whose extremum is nearest the edge, within limits."""
    extrema = bands.sorted().min(axis=1) if above else bands.sorted().max(axis=1)
    spin, band = np.unravel_index(np.abs(extrema - edge).argmin(), extrema.shape)
    width = float(np.ptp(bands.sorted()[spin, :, band]))
    return float(np.clip(2 * width, LEAST_WINDOW, MOST_WINDOW))


def _arrow(axes: Axes, bands: Bands, gap: MemberGap, zero: float) -> None:
    """From VBM to CBM where both lie on the path."""
    axes.axhline(0, color="0.6", linewidth=0.6, linestyle=":")
    if gap.metal or gap.vbm_eV is None or gap.cbm_eV is None:
        return
    starts, ends = (_on_path(bands, edge) for edge in (gap.vbm_eV, gap.cbm_eV))
    if len(starts) and len(ends):
        # Bands are flat: of several places within a meV of the edges, a common one shows that the gap is direct.
        start, end = min(((a, b) for a in starts for b in ends), key=lambda pair: abs(pair[1] - pair[0]))
        arrow = {"arrowstyle": "->", "color": COLOURS[1], "linewidth": 1.4}
        axes.annotate("", (end, gap.cbm_eV - zero), (start, gap.vbm_eV - zero), arrowprops=arrow)


def _on_path(bands: Bands, energy: float) -> list[float]:
    """Where on the path a state lies within 1 meV of an edge."""
    near = (np.abs(bands.eigenvalues - energy) < DEGENERATE_EV).any(axis=(0, 2))
    return [float(x) for x in bands.distances()[near]]


def _density(
    axes: Axes, dos: Dos, zero: float, units: int, colours: Mapping[str, str], window: tuple[float, float]
) -> None:
    energy = dos.energies - zero
    axes.plot(dos.sum_of_spins / units, energy, color="0.25", label="total")
    if dos.projected is not None:
        for element, density in dos.by_element().items():
            axes.plot(over_spins(dos, density) / units, energy, color=colours[element], label=element)
    shown = (energy > window[0]) & (energy < window[1])
    top = float((dos.sum_of_spins[shown] / units).max()) if shown.any() else 1.0
    axes.set(xlabel="states/(eV f.u.)", xlim=(0, 1.05 * top or 1.0), title="density of states")
    axes.tick_params(axis="y", labelleft=False)
    axes.legend(loc="center right")


def over_spins(dos: Dos, density: Any) -> Any:
    """Shape (n,): a projected density summed over spins; under spin–orbit coupling its total part."""
    return density[0] if dos.noncollinear else density.sum(axis=0)


def dos_table(dos: Dos, zero: float) -> tuple[list[str], Iterator[list[float]]]:
    """The density of states by element: names of columns, rows."""
    parts = dos.by_element() if dos.projected is not None else {}
    columns = ["energy_minus_VBM_eV", "total_states_per_eV_cell", *(f"{e}_states_per_eV_cell" for e in parts)]
    series = [dos.energies - zero, dos.sum_of_spins, *(over_spins(dos, p) for p in parts.values())]
    return columns, ([float(x) for x in row] for row in zip(*series, strict=True))


def _bands_table(bands: Bands, zero: float) -> tuple[list[str], Iterator[list[float]]]:
    """One row a k-point."""
    count = bands.eigenvalues.shape[2]
    spins = [f"spin{s + 1}_" if bands.spins > 1 else "" for s in range(bands.spins)]
    columns = ["distance_1_per_A", "k1", "k2", "k3", *(f"{s}band{b + 1}_eV" for s in spins for b in range(count))]
    energies = bands.sorted() - zero
    rows = (
        [float(distance), *map(float, point), *map(float, energies[:, k].ravel())]
        for k, (distance, point) in enumerate(zip(bands.distances(), bands.kpoints, strict=True))
    )
    return columns, rows
