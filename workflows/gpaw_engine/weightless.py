"""Points of a k-point list that have no weight: eigenvalues in the density that the others have made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import EngineError
from kalloy.workflows.gpaw_engine.calculator import Calculator, convergence, gpaw_symmetry, read_states
from kalloy.workflows.gpaw_engine.filling import fraction_below
from kalloy.workflows.gpaw_engine.fixed_density import VASP_NELM
from kalloy.workflows.gpaw_engine.kpoint_walk import Effort, KPointWalk, NotConvergedError
from kalloy.workflows.gpaw_engine.states import States
from kalloy.workflows.gpaw_engine.symmetry import no_operations
from kalloy.workflows.gpaw_engine.workers import alone, is_writer, world

Array = NDArray[np.float64]


def with_weightless(calculator: Calculator, states: States, projected: bool) -> States:
    """The states on all points of the list, in its order.

    Parameters
    ----------
    states : those of the points that have a weight.

    Raises
    ------
    EngineError : where the eigenvalues do not converge.
    """
    without = calculator.sampling.weightless
    if not without.any():
        return states
    others = _states_at(calculator, calculator.sampling.points[without], projected)

    def merged(ours: Array, theirs: Array) -> Array:
        both = np.zeros((len(ours), len(without), *ours.shape[2:]))
        both[:, ~without], both[:, without] = ours, theirs
        return both

    filled = fraction_below(others.eigenvalues - states.fermi_level, calculator.settings)
    parts = None
    averaged = None
    if states.projections is not None and states.averaged is not None and others.projections is not None:
        parts = merged(states.projections, others.projections)
        averaged = merged(states.averaged, others.projections)
    return States(
        points=calculator.sampling.points,
        weights=calculator.sampling.weights,
        eigenvalues=merged(states.eigenvalues, others.eigenvalues),
        occupations=merged(states.occupations, filled),
        fermi_level=states.fermi_level,
        projections=parts,
        averaged=averaged,
    )


def _states_at(calculator: Calculator, points: Array, projected: bool) -> States:
    settings, bands = calculator.settings, calculator.bands
    identity = no_operations(len(calculator.atoms), time_reversal=False)
    full = calculator.electrons // 2
    must_converge = full + max((bands - full) // 2, 1)
    tolerance = convergence(settings, calculator.electrons)["eigenstates"]
    with _whole(calculator) as parent:
        walk = KPointWalk(
            parent,
            txt=_beside(calculator.log),
            effort=Effort(must_converge, tolerance, settings.nelmin, max(settings.nelm, VASP_NELM)),
            keep_waves=False,
            kpts=points[::-1],
            nbands=bands + max(bands // 16, 4),
            symmetry=gpaw_symmetry(identity),
            convergence={"bands": must_converge, "eigenstates": tolerance},
        )
    try:
        for _ in walk.steps():
            pass
    except NotConvergedError as error:
        raise EngineError(
            f"the bands at k-point {np.round(error.point, 6)}, which has no weight, did not converge",
            where="KPOINTS",
            mend="raise NELM, or NBANDS so that more bands lie above those that must converge",
        ) from error
    for _ in walk.rounds():
        pass
    weights = np.full(len(points), 1 / len(points))
    return read_states(walk.calculator(), points, weights, identity if projected else None).lowest(bands)


@contextmanager
def _whole(calculator: Calculator) -> Iterator[Any]:
    """The calculation with its density whole in each process: where several share it, by way of a file."""
    if world().size == 1:
        yield calculator.gpaw
        return
    from gpaw import GPAW

    path = _beside(calculator.log).with_suffix(".gpw")
    calculator.gpaw.write(path, mode="")
    world().barrier()
    try:
        yield GPAW(path, txt=None, communicator=alone())
    finally:
        world().barrier()
        if is_writer():
            path.unlink()


def _beside(log: Path) -> Path:
    return log.with_name(f"{log.stem}-weightless{log.suffix}")
