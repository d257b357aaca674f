"""Whether a calculation reached what was asked of it, by the settings that were effective."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from kalloy.parsers.model import IonicStep, Vasprun

_RELAXATIONS = (1, 2, 3)
"""IBRION of relaxations (quasi-Newton, conjugate gradients, damped dynamics); others are none."""
_RESPONSE = (7, 8)
"""IBRION of force constants by linear response."""
_PRINTED = 1e-6
"""eV/Å and eV; what rounding to the printed decimals can hide."""
_NO_FORCE = 1e-3
"""eV/Å; forces that symmetry makes zero are printed smaller."""
_ESTIMATE = 10.0
"""VASP's energy criterion is put to its optimiser's own estimate of the change; where it ended by itself, the change
between the last two steps may exceed EDIFFG by this factor before that is doubted."""


@dataclass(frozen=True)
class Convergence:
    """What was reached; None stands for unknown or not asked for."""

    complete: bool
    """Whether the program ended by itself and its file is whole."""
    electronic: bool | None = None
    """Whether the last ionic step's self-consistency was reached before NELM."""
    ionic: bool | None = None
    """Whether the relaxation met EDIFFG; None for what is no relaxation."""
    relaxation: bool | None = None
    """Whether it was one."""
    electronic_steps: int | None = None
    """Of the last ionic step."""
    ionic_steps: int = 0
    """Ionic steps with an energy."""
    max_force: float | None = None
    """Largest force on an atom in its free coordinates, last complete step, eV/Å."""
    energy_change: float | None = None
    """Free energy of the last complete step less the one before, eV."""
    pressure: float | None = None
    """A third of the stress tensor's trace, last complete step, kB."""
    nelm: int | None = None
    """NELM, the most electronic steps."""
    nsw: int | None = None
    """NSW, the most ionic steps."""
    ediffg: float | None = None
    """EDIFFG: a bound on forces (negative, eV/Å) or on the change of energy (positive, eV)."""
    warnings: tuple[str, ...] = ()
    """Doubts, in words."""


def integer(run: Vasprun, name: str) -> int | None:
    """An effective integer setting; what was asked for where the file has no effective one."""
    value = run.parameters.get(name, run.incar.get(name))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def real(run: Vasprun, name: str) -> float | None:
    """An effective real setting, likewise; one that is not finite is not known."""
    value = run.parameters.get(name, run.incar.get(name))
    if isinstance(value, bool) or not isinstance(value, float | int) or not abs(value) < inf:
        return None
    return float(value)


def _lower(run: Vasprun, name: str) -> int | None:
    """The lower of what was asked for and what was effective: where they differ, the stricter is believed."""
    said = [v for v in (run.parameters.get(name), run.incar.get(name)) if type(v) is int]
    return min(said) if said else None


def judge(run: Vasprun) -> Convergence:
    """Judge one calculation.

    A file that is incomplete is never called converged: electronically it is False where NELM was reached and
    unknown otherwise, and a relaxation in it is not converged.
    """
    step = run.last_complete_step
    nelm, nsw = _lower(run, "NELM"), integer(run, "NSW")
    warnings: list[str] = []
    if run.earlier_runs:
        before = f"{run.earlier_runs} earlier run{'s' * (run.earlier_runs > 1)}"
        warnings.append(f"{run.files[0]} holds {before}: the last one is told of")
    electronic = _electronic(run, nelm, warnings)
    relaxation = _is_relaxation(run, nsw)
    force = max_force(run, step) if step else None
    change = _energy_change(run)
    ediffg = real(run, "EDIFFG")
    ionic = _ionic(run, nsw, ediffg, force, change, warnings) if relaxation else None
    stress = step.stress if step else None
    return Convergence(
        complete=run.complete,
        electronic=electronic,
        ionic=ionic,
        relaxation=relaxation,
        electronic_steps=run.steps[-1].electronic_steps if run.steps else None,
        ionic_steps=sum(s.complete for s in run.steps),
        max_force=force,
        energy_change=change,
        pressure=float(np.trace(stress)) / 3 if stress is not None and stress.shape == (3, 3) else None,
        nelm=nelm,
        nsw=nsw,
        ediffg=ediffg,
        warnings=tuple(warnings),
    )


def _electronic(run: Vasprun, nelm: int | None, warnings: list[str]) -> bool | None:
    if (step := run.last_complete_step) is not None and step.learned:
        warnings.append("the last ionic step is a machine-learned force field's: its energy and forces are not DFT's")
        return None
    counted = [(i, ground_state_steps(run, step)) for i, step in enumerate(run.steps, 1)]
    counted = [(i, n) for i, n in counted if n]
    if not counted or nelm is None:
        return None
    last = counted[-1][1]
    if nelm == 1:
        # One step is what was asked for (optics, a fixed potential): there is nothing to converge.
        return True if last == 1 and run.complete else None
    reached = [i for i, n in counted if n >= nelm]
    earlier = [i for i in reached if i != counted[-1][0]]
    if earlier:
        warnings.append(f"NELM = {nelm} reached in {len(earlier)} earlier ionic step{'s' * (len(earlier) > 1)}")
    if last >= nelm:
        warnings.append(f"NELM = {nelm} reached in the last ionic step: not self-consistent")
        return False
    return True if run.complete else None


def ground_state_steps(run: Vasprun, step: IonicStep) -> int:
    """Electronic steps of the ground state; linear response (LEPSILON, IBRION = 7 and 8) adds more of its own after
    them."""
    response = run.parameters.get("LEPSILON") is True or run.incar.get("LEPSILON") is True
    response = response or integer(run, "IBRION") in _RESPONSE
    if response and len(step.detailed) > 1 and step.detailed[1] + 1 < step.electronic_steps:
        return step.detailed[1] + 1
    return step.electronic_steps


def _is_relaxation(run: Vasprun, nsw: int | None) -> bool | None:
    ibrion = integer(run, "IBRION")
    if ibrion is None or nsw is None:
        return None
    return ibrion in _RELAXATIONS and nsw > 0


def max_force(run: Vasprun, step: IonicStep) -> float | None:
    """Largest norm of an atom's force in its free coordinates, eV/Å; None where forces are missing or no numbers."""
    if step.forces is None or not step.forces.size or not np.isfinite(step.forces).all():
        return None
    forces = step.forces
    if run.mobile is not None and run.mobile.shape == forces.shape:
        forces = np.where(run.mobile, forces, 0.0)
    return float(np.linalg.norm(forces, axis=1).max())


def _energy_change(run: Vasprun) -> float | None:
    energies = [s.energy_free for s in run.steps if s.complete and s.energy_free is not None]
    return energies[-1] - energies[-2] if len(energies) > 1 else None


def _ionic(
    run: Vasprun, nsw: int | None, ediffg: float | None, force: float | None, change: float | None, warnings: list[str]
) -> bool | None:
    if not run.complete:
        return False
    steps = sum(s.complete for s in run.steps)
    if ediffg is None or not steps:
        return None
    limit = nsw is not None and steps >= nsw
    met = _meets(ediffg, force, change, 1.0 if limit else _ESTIMATE)
    if met or run.reached_accuracy:
        return True
    what = f"the largest force is {force:.4f} eV/Å" if ediffg < 0 and force is not None else "EDIFFG is not met"
    if limit:
        warnings.append(f"NSW = {nsw} reached: {what}, EDIFFG {ediffg:g}")
        return False
    if met is None:
        # It ended by itself before NSW, and the file does not hold what would prove or disprove it.
        warnings.append(f"ended after {steps} of {nsw} ionic steps; that EDIFFG = {ediffg:g} was met is not shown")
        return None
    warnings.append(f"ended after {steps} of {nsw} ionic steps although {what}, EDIFFG {ediffg:g}: was it stopped?")
    return False


def _meets(ediffg: float, force: float | None, change: float | None, slack: float) -> bool | None:
    """Whether the criterion is met; None where the file does not say."""
    if ediffg < 0:
        return None if force is None else force <= abs(ediffg) + _PRINTED
    if ediffg > 0 and change is None:
        # One step only: the optimiser ends there if there is nothing to follow.
        return True if force is not None and force <= _NO_FORCE and slack > 1 else None
    if ediffg > 0 and change is not None:
        return abs(change) <= slack * ediffg + _PRINTED
    return False
