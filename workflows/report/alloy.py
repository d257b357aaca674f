"""What the ensemble says, for the page: averages against temperature, mixing, bowing, diffraction with its shifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import AgreementError, AverageError
from kalloy.workflows.campaign import HOST
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.report.averages import draw_averages
from kalloy.workflows.report.block import Block
from kalloy.workflows.report.composition import draw_bowing, draw_mixing
from kalloy.workflows.report.diffraction import Shift, draw_diffraction
from kalloy.workflows.report.drawing import Drawn
from kalloy.workflows.screening.alloy import QUANTITIES, Alloy
from kalloy.workflows.screening.averages import DIGITS, averages, estimate_text, mixing_rows, trust
from kalloy.workflows.screening.curves import Curve, averaged_curve
from kalloy.workflows.screening.diffraction import (
    averaged_pattern,
    broadened,
    mean_lattice,
    parse_reflection,
    two_theta,
)

if TYPE_CHECKING:
    from kalloy.workflows.screening.columns import Results
    from kalloy.workflows.screening.thermodynamics import Estimate

Floats = NDArray[np.float64]

AVERAGED = ("gap", "volume", "a", "c")
DRAWN = ("gap", "volume")
CURVE = tuple(float(t) for t in range(100, 1001, 50))
"""K; of the figure against temperature."""
CONTENTS = 4
"""Contents that get a figure against temperature."""
REFLECTIONS = ("006", "20-24", "110")
"""Marked where no reference names others; of a hexagonal host."""
HEXAGONAL = range(143, 195)
"""Numbers of the trigonal and hexagonal space groups."""


def alloy_blocks(alloy: Alloy) -> Iterator[Block]:
    """Tables of averages, of mixing and of exchange, where the campaign has what they need."""
    temperatures = list(alloy.campaign.spec.ensemble.temperatures)
    names = [n for n in AVERAGED if all(np.isfinite(alloy.values(c, n)).all() for c in alloy.ensembles)]
    found = list(averages(alloy, temperatures, names))
    if not found:
        return
    without = [f"{n}: not every configuration has it, so it is not averaged here" for n in AVERAGED if n not in names]
    heads = (
        "content",
        "T K",
        *(f"{n} {QUANTITIES[n]}" for n in names),
        "⟨E⟩−E₀ meV/f.u.",
        "S/k",
        "weight of lowest",
    )
    rows: list[tuple[str | None, ...]] = [
        (
            a.content,
            f"{a.temperature:g}",
            *(estimate_text(a.quantities[n], DIGITS.get(n, 3)) for n in names),
            f"{a.energy_meV_fu:.1f}",
            f"{a.entropy_kB:.2f}",
            f"{a.lowest_weight:.3f}",
        )
        for a in found
    ]
    yield Block(
        "averages", "Averages over the configurations", heads, rows, " · ".join([*without, *trust(alloy, found)])
    )
    try:
        mixed = mixing_rows(alloy, temperatures)
    except (AverageError, AgreementError):
        return  # the end member was not asked for, or not computed alike: `kalloy average` says which
    if len(mixed) > 2:
        columns = tuple(h.removesuffix("_meV_per_formula_unit").replace("_", " ") for h in mixed[0])
        cells = [tuple(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()) for row in mixed]
        yield Block("mixing", "Mixing, meV per formula unit", columns, list(cells), "Pseudo-binary; no vibrations.")


def draw_alloy(alloy: Alloy, results: Results, folder: Path) -> Iterator[Drawn]:
    """Averages against temperature, mixing and bowing, powder diffraction."""
    for content, ensemble in list(alloy.ensembles.items())[:CONTENTS]:
        if len(ensemble.labels) > 1:
            shown: dict[str, Sequence[Estimate]] = {}
            for name in DRAWN:
                values = alloy.values(content, name)
                if np.isfinite(values).all():
                    shown[f"{name} ({QUANTITIES[name]})"] = [ensemble.average(values, t) for t in CURVE]
            if (drawn := draw_averages(shown, CURVE, content, folder)) is not None:
                yield drawn
    yield from _composition(alloy, folder)
    if (drawn := _diffraction(alloy, results, folder)) is not None:
        yield drawn


def _composition(alloy: Alloy, folder: Path) -> Iterator[Drawn]:
    try:
        mixing = alloy.mixing()
    except (AverageError, AgreementError):
        return
    if len(mixing.fractions) < 3:
        return
    swap = alloy.campaign.space.substitutions[0]
    substituted = f"{swap.with_} on {swap.species}"
    temperatures = [t for t in alloy.campaign.spec.ensemble.temperatures if 0 < t < inf]
    yield draw_mixing(mixing, substituted, temperatures, folder)
    points: dict[str, list[tuple[float, float]]] = {}
    for name in DRAWN:
        rows = [alloy.statics.rows(e.labels[:1]) for e in mixing.ensembles]
        values = [float(alloy.of_rows(r, name)[0]) for r in rows]
        if np.isfinite(values).all():
            points[f"{name} ({QUANTITIES[name]})"] = list(zip(mixing.fractions.tolist(), values, strict=True))
    if (drawn := draw_bowing(points, substituted, folder)) is not None:
        yield drawn


@dataclass(frozen=True)
class _Cells:
    """Mean cells of the host and of the first content, shape (3, 3), Å."""

    host: Floats
    alloy: Floats
    content: str
    temperature: float


def _cells(alloy: Alloy, results: Results) -> _Cells | None:
    """The host's relaxed cell and the first content's mean one, at the first temperature of the spec."""
    static = results.get((HOST, Stage.STATIC))
    content = next(iter(alloy.ensembles), None)
    if static is None or not static.is_usable or not static.lattice_A or content is None:
        return None
    lattices, kelvin = alloy.lattices(content), alloy.campaign.spec.ensemble.temperatures[0]
    if not np.isfinite(lattices).all():
        return None
    mixed = mean_lattice(alloy.metric, lattices, alloy.ensembles[content].weights(kelvin))
    return _Cells(mean_lattice(alloy.metric, [static.lattice_A], [1.0]), mixed, content, kelvin)


def _diffraction(alloy: Alloy, results: Results, folder: Path) -> Drawn | None:
    from kalloy.parsers.result import read_result

    cells = _cells(alloy, results)
    if cells is None:
        return None
    crystal = read_result(alloy.campaign.root / results[HOST, Stage.STATIC].folder).crystal
    try:
        averaged = averaged_curve(alloy, results, cells.content, Curve.DIFFRACTION, [cells.temperature])
    except AverageError:
        return None
    if crystal is None:
        return None
    grid = Curve.DIFFRACTION.grid
    patterns = {
        HOST: broadened(averaged_pattern(alloy.metric, cells.host, [(crystal, 1.0)]), grid),
        f"{cells.content} at {cells.temperature:g} K": averaged.means[cells.temperature],
    }
    return draw_diffraction(grid, patterns, list(_shifts(alloy, cells)), "Cu Kα", folder)


def _shifts(alloy: Alloy, cells: _Cells) -> Iterator[Shift]:
    """Of the reflections that the reference names; of a few usual ones of a hexagonal host else."""
    reference = alloy.campaign.spec.reference
    measured = reference.peak_shifts if reference else {}
    usual = REFLECTIONS if alloy.campaign.host.space_group.number in HEXAGONAL else ()
    for name in measured or usual:
        # Indices go from cell to cell as lattice vectors do.
        hkl = np.linalg.solve(alloy.metric.to_conventional, np.array(parse_reflection(name), float)).tolist()
        yield Shift(name, two_theta(cells.host, hkl), two_theta(cells.alloy, hkl), measured.get(name))


def reflection_block(alloy: Alloy, results: Results) -> Block | None:
    """Reflections of host and alloy, beside the reference's shifts."""
    cells = _cells(alloy, results)
    shifts = list(_shifts(alloy, cells)) if cells else []
    if not cells or not shifts:
        return None
    reference = alloy.campaign.spec.reference
    rows: list[tuple[str | None, ...]] = [
        (
            s.reflection,
            f"{s.host:.2f}",
            f"{s.alloy:.2f}",
            f"{s.found:+.2f}",
            None if s.measured is None else f"{s.measured:+.2f}",
        )
        for s in shifts
    ]
    heads = ("hkl", "host 2θ °", "alloy 2θ °", "shift °", f"{reference.name if reference else 'reference'} °")
    note = f"Cu Kα; mean cell of {cells.content} at {cells.temperature:g} K, in the host's conventional axes."
    return Block("reflections", "Reflections", heads, rows, note)
