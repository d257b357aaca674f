"""Densities of states: the total, and by orbital for two atoms of each element, so that magnitudes compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.report.bands import ABOVE, BELOW, over_spins, zero_of
from kalloy.workflows.report.drawing import COLOURS, Drawn, file_name, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kalloy.workflows.report.spectra import Spectra

Floats = NDArray[np.float64]
Column = tuple[Floats, Floats, dict[tuple[str, str], Floats]]
"""Energies from the zero, total per formula unit, and by element and shell for two atoms."""

ATOMS = 2
"""Atoms of each element in a panel: a cell has many more of one element than of another."""
SHELL_COLOURS = dict(zip("spdf", COLOURS, strict=False))


def draw_dos(shown: Sequence[Spectra], folder: Path) -> Drawn | None:
    """One column a member: the total per formula unit, then a panel for two atoms of each element, all on one scale.

    Projections are averages over the atoms of an element, times two. What no projection holds (between the spheres)
    is in the total alone.

    Returns
    -------
    None where no member has a density of states.
    """
    members = [s for s in shown if s.dos is not None]
    if not members:
        return None
    elements = list(dict.fromkeys(e for s in members for e in _projected_elements(s)))
    columns = [_column(s) for s in members]
    with style():
        figure = new_figure(4.2 * len(members) + 0.6, 1.5 * (1 + len(elements)) + 0.8)
        grid = figure.subplots(1 + len(elements), len(members), sharex=True, sharey="row", squeeze=False)
        for axes, spectra, column in zip(grid.T, members, columns, strict=True):
            axes[0].plot(column[0], column[1], color="0.25")
            axes[0].set_title(spectra.title)
            for panel, element in zip(axes[1:], elements, strict=True):
                _shells(panel, column, element)
            for panel in axes:
                panel.axvline(0, color="0.7", linewidth=0.6, linestyle=":")
            zero = "E$_F$" if spectra.gap.metal else "VBM"
            axes[-1].set(xlabel=f"energy − {zero} (eV)", xlim=(-BELOW * 2, ABOVE))
        grid[0, 0].set(ylabel="total\nstates/(eV f.u.)", ylim=(0, _top(c[:2] for c in columns)))
        top = _top((energies, density) for energies, _, by_shell in columns for density in by_shell.values())
        for panel in grid[1:, 0]:
            panel.set(ylabel=f"{ATOMS} atoms\nstates/eV", ylim=(0, top))
        caption = (
            f"Density of states of {' and '.join(s.title for s in members)}: total per formula unit; below, by orbital "
            f"for {ATOMS} atoms of each element on one scale"
        )
        name = "dos-" + "-".join(file_name(s.member) for s in members)
        return save(figure, folder, name, caption, *_table(list(zip(columns, members, strict=True))))


def _shells(panel: Axes, column: Column, element: str) -> None:
    """One element's orbitals; an element that the member does not hold is said to be none of it."""
    energies, _, by_shell = column
    mine = {kind: density for (e, kind), density in by_shell.items() if e == element}
    for kind, density in mine.items():
        panel.plot(energies, density, color=SHELL_COLOURS[kind], label=f"{element} {kind}")
    if mine:
        panel.legend(loc="upper center", ncols=4)
    else:
        panel.text(0.5, 0.5, f"no {element}", transform=panel.transAxes, ha="center", color="0.4")


def _top(series: Iterable[tuple[Floats, Floats]]) -> float:
    """A little above the highest density in the window that is drawn."""
    return 1.05 * max((float(density[_window(e)].max(initial=0.0)) for e, density in series), default=1.0) or 1.0


def _column(spectra: Spectra) -> Column:
    dos = spectra.dos
    assert dos is not None
    by_shell = {}
    if dos.projected is not None:
        for (element, kind), density in dos.by_element_and_shell().items():
            by_shell[element, kind] = over_spins(dos, density) * ATOMS / dos.species.count(element)
    return dos.energies - zero_of(spectra), dos.sum_of_spins / spectra.formula_units, by_shell


def _projected_elements(spectra: Spectra) -> tuple[str, ...]:
    dos = spectra.dos
    return dos.species if dos is not None and dos.projected is not None else ()


def _window(energies: Floats) -> NDArray[np.bool_]:
    return np.asarray((energies > -BELOW * 2) & (energies < ABOVE))


def _table(panels: Sequence[tuple[Column, Spectra]]) -> tuple[list[str], Iterator[list[Any]]]:
    """Long form, for the members' grids differ."""
    columns = ["member", "energy_minus_VBM_eV", "of", "states_per_eV"]

    def rows() -> Iterator[list[Any]]:
        for (energies, total, by_shell), spectra in panels:
            series = {"total per formula unit": total}
            series |= {f"{e} {k} of {ATOMS} atoms": d for (e, k), d in by_shell.items()}
            for name, density in series.items():
                for energy, value in zip(energies, density, strict=True):
                    yield [spectra.member, round(float(energy), 5), name, float(value)]

    return columns, rows()
