"""The structures themselves: host and lowest configurations with their energies, the substituted atoms marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kalloy.workflows.report.drawing import Drawn, new_figure, save, style

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kalloy.structures.crystal import Crystal

MARK = "#000000"
"""Of a substituted atom's ring."""
RADIUS = 0.55
"""Of an atom's drawn disc, in covalent radii: neighbours stay apart."""
ALONG = {"c": "0x,0y,0z", "a": "-90x,-90y,0z"}
"""ASE's rotations that look along an axis."""


@dataclass(frozen=True)
class Shown:
    """One structure to be drawn."""

    title: str
    """Member and what is known of it; may hold line breaks."""
    crystal: Crystal
    marked: tuple[int, ...]
    """Indices of the substituted atoms."""


def draw_structures(shown: Sequence[Shown], folder: Path, colours: Mapping[str, str]) -> Drawn:
    """Each structure along c (above) and along a (below); substituted atoms have a ring and shine through others.

    Drawn by ASE, in the member's own cell. The CSV has fractional and Cartesian positions.

    Parameters
    ----------
    colours : of the elements, the same in every figure of a set.
    """
    with style():
        columns = len(shown)
        figure = new_figure(max(2.3 * columns, 4.0), 5.0)
        grid = figure.subplots(2, columns, squeeze=False)
        for column, one in enumerate(shown):
            for axes, (axis, rotation) in zip(grid[:, column], ALONG.items(), strict=True):
                _draw(axes, one, rotation, colours)
                axes.set_title(
                    f"{one.title}\nalong {axis}" if axis == "c" else f"along {axis}", fontsize=8, loc="center"
                )
        _key(figure, shown, colours)
        caption = (
            f"Structures of {', '.join(s.title.splitlines()[0] for s in shown)} along c and along a; rings mark the "
            f"substituted atoms"
        )
        names = ["structure", "element", "substituted", "x", "y", "z", "x_A", "y_A", "z_A"]
        rows = (
            [
                s.title.splitlines()[0],
                s.crystal.species[i],
                i in s.marked,
                *map(float, f),
                *map(float, f @ s.crystal.lattice),
            ]
            for s in shown
            for i, f in enumerate(s.crystal.positions)
        )
        return save(figure, folder, "structures", caption, names, rows)


def _draw(axes: Axes, shown: Shown, rotation: str, colours: Mapping[str, str]) -> None:
    from ase.data import covalent_radii
    from ase.io.utils import PlottingVariables, make_patch_list
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgb, to_rgba
    from matplotlib.patches import Circle

    atoms: Atoms = shown.crystal.to_ase()
    atoms.wrap(eps=1e-6)
    radii = RADIUS * covalent_radii[atoms.numbers]
    painted = [to_rgb(colours[e]) for e in shown.crystal.species]
    picture = PlottingVariables(atoms, rotation=rotation, radii=radii, colors=painted, scale=1, show_unit_cell=2)
    # In one artist, from the back to the front: a cell's edges are hundreds of dashes.
    axes.add_collection(PatchCollection(make_patch_list(picture), match_original=True))
    axes.set(aspect="equal", xlim=(0, picture.w), ylim=(0, picture.h))
    placed = picture.positions
    for i in shown.marked:
        x, y = map(float, placed[i, :2])
        # Above every disc: a marked atom below others is still to be seen.
        inside = to_rgba(colours[shown.crystal.species[i]], 0.85)
        ring = Circle((x, y), float(radii[i]), facecolor=inside, edgecolor=MARK, linewidth=2.0, zorder=10_000)
        axes.add_patch(ring)
    axes.set_axis_off()


def _key(figure: Figure, shown: Sequence[Shown], colours: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    def disc(label: str, fill: str, edge: str, width: float) -> Line2D:
        one = Line2D([], [], linestyle="", marker="o", markersize=8, label=label)
        one.set(markerfacecolor=fill, markeredgecolor=edge, markeredgewidth=width)
        return one

    elements = dict.fromkeys(e for s in shown for e in s.crystal.species)
    handles = [disc(e, colours[e], "black", 0.7) for e in elements]
    if any(s.marked for s in shown):
        handles.append(disc("substituted", "none", MARK, 2.0))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def marked_atoms(crystal: Crystal, sites: Sequence[Sequence[float]], tolerance: float = 0.5) -> tuple[int, ...]:
    """Atoms nearest to given sites.

    Parameters
    ----------
    sites : shape (n, 3), fractional.
    tolerance : Å; a site without an atom so near has none (a vacancy).
    """
    found = []
    for site in sites:
        away = crystal.positions - np.asarray(site)
        away -= np.round(away)
        distance = np.linalg.norm(away @ crystal.lattice, axis=1)
        if distance.min() < tolerance:
            found.append(int(distance.argmin()))
    return tuple(found)
