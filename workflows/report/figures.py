"""Figures: bands beside the density of states, and energies of the configurations. Each leaves its data as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kalloy.parsers.gap import DEGENERATE_EV

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kalloy.parsers.bands import Bands
    from kalloy.parsers.dos import Dos
    from kalloy.workflows.report.spectra import Spectra
    from kalloy.workflows.screening.ranking import Ranking

BELOW, ABOVE = 2.5, 6.5
"""eV drawn below and above the VBM."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which the colour-blind can tell apart."""
NARROW = 0.03
"""Of the path's length: segments shorter than this share one tick."""
FORMATS = ("svg", "pdf", "png")


@contextmanager
def style() -> Iterator[None]:
    """kalloy's matplotlib style, for the block only."""
    from matplotlib import style as styles

    with as_file(files("kalloy.workflows.report") / "style.mplstyle") as path, styles.context(path):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that no window or global state knows; inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def save(figure: Figure, folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a figure in every format and its data beside it; the SVG's path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in FORMATS:
        # No date inside, so that the same data gives the same file.
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
        figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return folder / f"{name}.svg"


# -- bands and density of states ---------------------------------------------------


def draw_spectra(spectra: Spectra, folder: Path, name: str, colours: Mapping[str, str]) -> Path:
    """Bands along the set's path, and beside them on one energy axis the density of states by element.

    Parameters
    ----------
    colours : of the elements, the same in every figure of a set.
    """
    with style():
        figure = new_figure(7.2, 4.2)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2.2, 1))
        zero = _zero(spectra)
        if spectra.bands is not None:
            _draw_bands(left, spectra.bands, zero)
            _draw_gap(left, spectra.bands, spectra, zero)
        if spectra.dos is not None:
            _draw_dos(right, spectra.dos, zero, spectra.formula_units, colours)
        left.set(ylabel=f"energy − {'E$_F$' if spectra.gap.metal else 'VBM'} (eV)", ylim=(-BELOW, ABOVE))
        left.set_title(_title(spectra))
        return save(figure, folder, name, *_spectra_table(spectra, zero))


def _zero(spectra: Spectra) -> float:
    if spectra.gap.vbm_eV is not None:
        return spectra.gap.vbm_eV
    return (spectra.dos.efermi if spectra.dos else None) or 0.0


def _title(spectra: Spectra) -> str:
    gap = spectra.gap
    return f"{spectra.title}: " + ("metal" if gap.metal else f"{gap.character} gap {gap.gap_eV:.3f} eV")


def _draw_bands(axes: Axes, bands: Bands, zero: float) -> None:
    distance, energies = bands.distances(), bands.sorted() - zero
    for segment in bands.segments:
        part = slice(segment.start, segment.stop)
        for spin, style_ in zip(range(bands.spins), ("-", "--"), strict=False):
            axes.plot(distance[part], energies[spin, part], style_, color=COLOURS[spin], marker=".", markersize=2.5)
    ticks, labels = _ticks(bands, distance)
    axes.set_xticks(ticks, labels)
    for tick in ticks:
        axes.axvline(tick, color="0.8", linewidth=0.6, zorder=0)
    axes.axhline(0, color="0.6", linewidth=0.6, linestyle=":")
    axes.set(xlim=(distance[0], distance[-1]), xlabel="wave vector")


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


def _draw_gap(axes: Axes, bands: Bands, spectra: Spectra, zero: float) -> None:
    """An arrow from VBM to CBM where both lie on the path."""
    gap = spectra.gap
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


def _draw_dos(axes: Axes, dos: Dos, zero: float, units: int, colours: Mapping[str, str]) -> None:
    energy = dos.energies - zero
    axes.plot(dos.sum_of_spins / units, energy, color="0.25", label="total")
    if dos.projected is not None:
        for element, density in dos.by_element().items():
            axes.plot(density.sum(axis=0) / units, energy, color=colours[element], label=element)
    shown = (energy > -BELOW) & (energy < ABOVE)
    top = float((dos.sum_of_spins[shown] / units).max()) if shown.any() else 1.0
    axes.set(xlabel="states/(eV f.u.)", xlim=(0, 1.05 * top or 1.0))
    axes.legend(loc="center right")


def element_colours(spectra: Iterable[Spectra]) -> dict[str, str]:
    """One colour an element for a whole set, in order of first appearance."""
    elements = dict.fromkeys(element for s in spectra if s.dos for element in s.dos.species)
    return dict(zip(elements, _cycle(), strict=False))


def _cycle() -> Iterator[str]:
    while True:
        yield from COLOURS


def _spectra_table(spectra: Spectra, zero: float) -> tuple[list[str], Iterator[list[Any]]]:
    """The density of states as drawn; bands go beside it by `write_bands`."""
    dos = spectra.dos
    if dos is None:
        return ["energy_minus_VBM_eV"], iter(())
    parts = dos.by_element() if dos.projected is not None else {}
    columns = ["energy_minus_VBM_eV", "total_states_per_eV_cell", *(f"{e}_states_per_eV_cell" for e in parts)]
    series = [dos.energies - zero, dos.sum_of_spins, *(p.sum(axis=0) for p in parts.values())]
    return columns, ([float(x) for x in row] for row in zip(*series, strict=True))


def write_bands(spectra: Spectra, folder: Path, name: str) -> None:
    """Bands as CSV: one row a k-point."""
    bands = spectra.bands
    if bands is None:
        return
    count = bands.eigenvalues.shape[2]
    spins = [f"spin{s + 1}_" if bands.spins > 1 else "" for s in range(bands.spins)]
    columns = ["distance_1_per_A", "k1", "k2", "k3", *(f"{s}band{b + 1}_eV" for s in spins for b in range(count))]
    energies = bands.sorted() - _zero(spectra)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for k, (distance, point) in enumerate(zip(bands.distances(), bands.kpoints, strict=True)):
            writer.writerow([float(distance), *map(float, point), *map(float, energies[:, k].ravel())])


# -- energies --------------------------------------------------------------------


def draw_energies(ranking: Ranking, folder: Path, name: str) -> Path | None:
    """Energy above the lowest configuration of the same content, against the rank; areas show degeneracies."""
    rows = [r for r in ranking.rows if r.rank is not None and r.relative_meV_fu is not None]
    if not rows:
        return None
    from matplotlib.ticker import MaxNLocator

    with style():
        figure = new_figure(7.2, 2.8)
        axes = figure.subplots()
        contents = list(dict.fromkeys(r.member.split("/")[0] for r in rows))
        for colour, content in zip(_cycle(), contents, strict=False):
            mine = [r for r in rows if r.member.split("/")[0] == content]
            sizes = [20 + 120 * r.degeneracy / max(x.degeneracy for x in rows) for r in mine]
            energies = [r.relative_meV_fu or 0.0 for r in mine]
            axes.scatter([r.rank or 0 for r in mine], energies, s=sizes, color=colour, alpha=0.8, label=content)
            if len(mine) <= 12:
                for r, energy in zip(mine, energies, strict=True):
                    axes.annotate(
                        f"{r.member} ({r.space_group})", (r.rank or 0, energy), (7, 4), textcoords="offset points"
                    )
        axes.set(
            xlabel="rank", ylabel="ΔE (meV per formula unit)", title="Energies of the configurations; area: degeneracy"
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(x=0.15, y=0.2)
        if len(contents) > 1:
            axes.legend()
        columns = ("rank", "member", "space_group", "degeneracy", "relative_meV_per_formula_unit")
        table = [(r.rank, r.member, r.space_group, r.degeneracy, r.relative_meV_fu) for r in rows]
        return save(figure, folder, name, columns, table)
