"""Relaxation of ions and cell: a quasi-Newton method that keeps the crystal's symmetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.hessian import spring_hessian
from kalloy.workflows.gpaw_engine.settings import Freedom, Settings
from kalloy.workflows.gpaw_engine.states import IonicStep
from kalloy.workflows.gpaw_engine.symmetry import Operations

Array = NDArray[np.float64]

LONGEST = 0.3
"""Å; no ion moves further in one step."""
LARGEST = 0.04
"""No strain is larger in one step."""


def lattice_forces(step: IonicStep, freedom: Freedom) -> Array:
    """Shape (3, 3), eV/Å: minus the derivative of the energy with respect to each lattice vector (rows).

    This is the cell's analogue of the forces on ions, and is held against EDIFFG like them.  Only that part of the
    stress counts which the relaxation is free to release.
    """
    if step.stress is None or not freedom.cell:
        return np.zeros((3, 3))
    stress = step.stress
    pressure = np.trace(stress) / 3 * np.eye(3)
    free = (stress - pressure) * freedom.shape + pressure * freedom.volume
    return np.asarray(-step.atoms.get_volume() * np.linalg.inv(np.array(step.atoms.cell)).T @ free)


def largest_force(step: IonicStep, freedom: Freedom) -> float:
    """eV/Å: the largest force on an ion that may move, or on a lattice vector that may."""
    ions = np.linalg.norm(step.forces, axis=1).max() if freedom.ions and step.forces is not None else 0.0
    return float(max(ions, np.linalg.norm(lattice_forces(step, freedom), axis=1).max()))


def is_relaxed(steps: list[IonicStep], settings: Settings) -> bool:
    """Is EDIFFG met: all forces below -EDIFFG, or the energy changed by less than EDIFFG?"""
    if settings.ediffg < 0:
        return largest_force(steps[-1], settings.freedom) < -settings.ediffg
    return len(steps) > 1 and abs(steps[-1].energies.free - steps[-2].energies.free) < settings.ediffg


def relax(
    atoms: Atoms,
    settings: Settings,
    operations: Callable[[], Operations],
    converge: Callable[[Atoms], IonicStep],
    stopped: Callable[[], bool],
) -> Iterator[IonicStep]:
    """Geometries on the way to the minimum, each with its electrons converged.

    Parameters
    ----------
    operations : the symmetry in force, asked for anew at each step.
    converge : computes one geometry.
    stopped : asked after each geometry whether the user wants no more (STOPCAR).
    """
    newton = QuasiNewton(atoms, settings.freedom)
    steps: list[IonicStep] = []
    for number in range(1, settings.steps + 1):
        step = converge(atoms)
        steps.append(step)
        if is_relaxed(steps, settings):
            yield step
            return
        atoms = newton.move(step, operations())
        yield replace(step, following=atoms)
        if number == settings.steps or stopped():
            return


@dataclass
class _Point:
    """Where the last step started."""

    gradient: Array
    move: Array
    predicted: float


class QuasiNewton:
    """BFGS in the displacements of the ions and the strain of the cell, from a Hessian of springs.

    J. Nocedal and S. J. Wright, Numerical Optimization (2006), ch. 6 (update 6.19) and procedure 18.2 (damping); steps
    are cut to a trust radius that follows how well the quadratic model predicted the change of energy.  That change is
    integrated from forces and stress: energies at a fixed cut-off jump when a strained cell gains or loses plane waves.
    """

    def __init__(self, atoms: Atoms, freedom: Freedom) -> None:
        self.freedom = freedom
        self.strains = allowed_strains(freedom)
        self.ions = 3 * len(atoms)
        self.hessian = spring_hessian(atoms, self.strains)
        if not freedom.ions:
            self.hessian[: self.ions, : self.ions] = np.eye(self.ions)
            self.hessian[: self.ions, self.ions :] = self.hessian[self.ions :, : self.ions] = 0.0
        self.trust = 1.0
        self.last: _Point | None = None

    def move(self, step: IonicStep, operations: Operations) -> Atoms:
        """The next geometry."""
        gradient = self._gradient(step)
        if self.last is not None:
            self._learn(self.last, gradient)
        move = self._symmetric(np.asarray(np.linalg.solve(self.hessian, -gradient)), step.atoms, operations)
        move *= min(1.0, self.trust / self._size(move))
        predicted = float(gradient @ move + 0.5 * move @ self.hessian @ move)
        self.last = _Point(gradient, move, predicted)
        return self._moved(step.atoms, move)

    def _gradient(self, step: IonicStep) -> Array:
        assert step.forces is not None
        ions = -step.forces.ravel() if self.freedom.ions else np.zeros(self.ions)
        if not len(self.strains) or step.stress is None:
            return ions
        return np.concatenate([ions, step.atoms.get_volume() * np.einsum("sij,ij->s", self.strains, step.stress)])

    def _learn(self, last: _Point, gradient: Array) -> None:
        s, y = last.move, gradient - last.gradient
        hs = self.hessian @ s
        curvature, expected = float(s @ y), float(s @ hs)
        if curvature < 0.2 * expected:  # Powell's damping keeps the Hessian positive
            theta = 0.8 * expected / (expected - curvature)
            y = theta * y + (1 - theta) * hs
            curvature = float(s @ y)
        self.hessian += np.outer(y, y) / curvature - np.outer(hs, hs) / expected
        change = 0.5 * float((gradient + last.gradient) @ s)
        quality = change / last.predicted if last.predicted else 1.0
        if quality < 0.25:
            self.trust = max(0.5 * self._size(last.move), 0.05)
        elif quality > 0.75:
            self.trust = min(1.0, 2 * self.trust)

    def _size(self, move: Array) -> float:
        """One for the longest step allowed."""
        ions = np.linalg.norm(move[: self.ions].reshape(-1, 3), axis=1).max() / LONGEST
        strain = np.abs(self._strain(move)).max() / LARGEST
        return float(max(ions, strain, 1e-12))

    def _strain(self, move: Array) -> Array:
        return np.asarray(np.einsum("s,sij->ij", move[self.ions :], self.strains))

    def _symmetric(self, move: Array, atoms: Atoms, operations: Operations) -> Array:
        cell = np.array(atoms.cell)
        ions = operations.symmetric_vectors(cell, move[: self.ions].reshape(-1, 3))
        ions -= ions.mean(axis=0)
        strain = operations.symmetric_tensor(cell, self._strain(move))
        return np.concatenate([ions.ravel(), np.einsum("sij,ij->s", self.strains, strain)])

    def _moved(self, atoms: Atoms, move: Array) -> Atoms:
        moved = atoms.copy()
        ions = move[: self.ions].reshape(-1, 3) * self.freedom.ions
        moved.set_positions(atoms.get_positions() + ions)
        if len(self.strains):
            strain = self._strain(move)
            deformation = np.eye(3) + strain
            if not self.freedom.volume:
                deformation /= np.cbrt(np.linalg.det(deformation))
            moved.set_cell(np.array(atoms.cell) @ deformation, scale_atoms=True)
        return moved


def allowed_strains(freedom: Freedom) -> Array:
    """Shape (strains, 3, 3): an orthonormal basis of the symmetric strains that ISIF allows."""
    basis = []
    if freedom.volume:
        basis.append(np.eye(3) / np.sqrt(3))
    if freedom.shape:
        basis += [np.diag([1.0, -1.0, 0.0]) / np.sqrt(2), np.diag([1.0, 1.0, -2.0]) / np.sqrt(6)]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            shear = np.zeros((3, 3))
            shear[i, j] = shear[j, i] = np.sqrt(0.5)
            basis.append(shear)
    return np.array(basis).reshape(-1, 3, 3)
