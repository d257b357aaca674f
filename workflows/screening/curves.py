"""Spectra averaged over an ensemble: densities of states, dielectric functions, absorption, powder patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import AverageError
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.columns import Results
from kalloy.workflows.screening.diffraction import RANGE, averaged_pattern, broadened, mean_lattice
from kalloy.workflows.screening.gaps import READ_FROM, member_gap
from kalloy.workflows.screening.thermodynamics import Ensemble

if TYPE_CHECKING:
    from kalloy.parsers.result import Result

Floats = NDArray[np.float64]

LEAST_WEIGHT = 1e-6
"""Of all: an average over members that have less together is none."""
NEGLIGIBLE = 1e-4
"""Of the heaviest member's weight: the files of whoever has less are not read for an average."""


class Curve(StrEnum):
    """What is averaged point by point."""

    DOS = "dos"
    """States/eV per formula unit; zero of each member: its own VBM."""
    EPSILON1 = "epsilon1"
    """Real part of the dielectric function, a third of the trace."""
    EPSILON2 = "epsilon2"
    """Imaginary part, likewise."""
    ABSORPTION = "absorption"
    """α, 1/cm, of each member's averaged ε."""
    DIFFRACTION = "diffraction"
    """Powder pattern in Cu Kα, lines of 0.1° width; the strongest line has 100."""

    @property
    def grid(self) -> Floats:
        """eV, or degrees 2θ."""
        ends = {Curve.DOS: (-8.0, 8.0, 1601), Curve.DIFFRACTION: (*RANGE, 2751)}.get(self, (0.0, 12.0, 1201))
        return np.linspace(*ends)

    @property
    def axis(self) -> str:
        """Name of the grid with its unit."""
        names = {Curve.DOS: "energy_minus_VBM_eV", Curve.DIFFRACTION: "two_theta_deg"}
        return names.get(self, "energy_eV")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have it, best first."""
        if self is Curve.DOS:
            return (Stage.DOS, Stage.STATIC)
        return (Stage.STATIC,) if self is Curve.DIFFRACTION else tuple(s for s in Stage if s.value == "optics")


@dataclass(frozen=True, eq=False)
class AveragedCurve:
    """A curve at several temperatures."""

    grid: Floats
    """Shape (points,)."""
    means: dict[float, Floats]
    """By temperature in K, each of shape (points,)."""
    covered: dict[float, float]
    """By temperature: the Boltzmann weight of the members that have the curve; the average is over these."""
    members: tuple[str, ...]
    """Those members."""


def averaged_curve(
    alloy: Alloy, results: Results, content: str, kind: Curve, temperatures: Sequence[float]
) -> AveragedCurve:
    """Average a curve over what is computed of it, at each temperature.

    Raises
    ------
    AverageError
        Where no member of any weight has it.
    """
    ensemble = alloy.ensembles[content]
    weights = {t: ensemble.weights(t) for t in temperatures}
    heavy = np.max([_heavy(w) for w in weights.values()], axis=0)
    stage = _stage(alloy, results, content, kind)
    read = {i: found for i in np.flatnonzero(heavy).tolist() if (found := _read(alloy, results, content, i, stage))}
    if not read:
        raise AverageError(
            f"no member of {content} has a result to average {kind} over",
            mend=f"take more members through {' or '.join(kind.stages) or 'optics'}: on = {{ weight = 0.95, … }}",
        )
    if kind is Curve.DIFFRACTION:
        having = list(read)
        _require_weight(ensemble, kind, having, weights)
        means = {t: _pattern(alloy, content, read, w, kind.grid) for t, w in weights.items()}
    else:
        curves = {i: c for i, r in read.items() if (c := _curve(alloy, results, content, i, r, kind)) is not None}
        if not curves:
            raise AverageError(f"the results of {content} hold no {kind}")
        having, table = list(curves), np.array(list(curves.values()))
        _require_weight(ensemble, kind, having, weights)
        means = {t: (w[having] / w[having].sum()) @ table for t, w in weights.items()}
    covered = {t: float(w[having].sum()) for t, w in weights.items()}
    return AveragedCurve(kind.grid, means, covered, tuple(ensemble.labels[i] for i in having))


def _require_weight(ensemble: Ensemble, kind: Curve, having: list[int], weights: dict[float, Floats]) -> None:
    """Refuse a temperature at which those that have the curve have no weight: others would be the average."""
    for temperature, all_of_them in weights.items():
        if all_of_them[having].sum() < LEAST_WEIGHT:
            lowest = ensemble.labels[int(np.argmax(all_of_them))]
            raise AverageError(
                f"at {temperature:g} K who has a {kind} ({', '.join(ensemble.labels[i] for i in having[:4])}) has no "
                f"weight beside {lowest}",
                mend=f"compute it for {lowest} too, or ask for higher temperatures",
            )


def _heavy(weights: Floats) -> NDArray[np.bool_]:
    """Who counts. Beside the heaviest, for of many thousands alike nobody has much weight by itself."""
    return np.asarray(weights > NEGLIGIBLE * weights.max())


def _stage(alloy: Alloy, results: Results, content: str, kind: Curve) -> Stage | None:
    """The best stage that any member has: one for all, for grids and meshes differ between stages."""
    labels = alloy.ensembles[content].labels
    for stage in kind.stages:
        if any((r := results.get((m, stage))) and r.is_usable for m in labels):
            return stage
    return None


def _read(alloy: Alloy, results: Results, content: str, i: int, stage: Stage | None) -> Result | None:
    from kalloy.parsers.result import read_result

    if stage is None:
        return None
    found = results.get((alloy.ensembles[content].labels[i], stage))
    return read_result(alloy.campaign.root / found.folder) if found and found.is_usable else None


def _curve(alloy: Alloy, results: Results, content: str, i: int, read: Result, kind: Curve) -> Floats | None:
    from kalloy.parsers.optics import choose, spectrum

    if kind is Curve.DOS:
        member = alloy.ensembles[content].labels[i]
        gap = member_gap([r for s in READ_FROM if (r := results.get((member, s)))])
        if read.dos is None or gap is None:
            return None
        zero = read.dos.efermi if gap.vbm_eV is None else gap.vbm_eV
        density = read.dos.sum_of_spins / alloy.ranking.formula_units
        return np.interp(kind.grid, read.dos.energies - (zero or 0.0), density, left=np.nan, right=np.nan)
    function = choose(read.vasprun.dielectric)
    if function is None:
        return None
    constants = spectrum(function)
    values = {
        Curve.EPSILON1: constants.epsilon.real,
        Curve.EPSILON2: constants.epsilon.imag,
        Curve.ABSORPTION: constants.absorption,
    }[kind]
    return np.interp(kind.grid, constants.energies, values, left=np.nan, right=np.nan)


def _pattern(alloy: Alloy, content: str, read: dict[int, Result], weights: Floats, grid: Floats) -> Floats:
    cell = mean_lattice(alloy.metric, alloy.lattices(content), weights)
    whole, heavy = weights[list(read)].sum(), _heavy(weights)
    share = {i: float(weights[i] / whole) for i in np.flatnonzero(heavy).tolist()}
    crystals = [(r.crystal, share[i]) for i, r in read.items() if r.crystal and i in share]
    return broadened(averaged_pattern(alloy.metric, cell, crystals), grid)
