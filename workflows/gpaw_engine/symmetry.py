"""The crystal's operations, and the irreducible part of a mesh under those that map the mesh on itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kalloy.workflows.gpaw_engine.kpoints import wrapped

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations of a crystal, in GPAW's convention: row vectors, position → position @ rotation + shift."""

    rotations: Integers
    """Shape (operations, 3, 3), in lattice coordinates."""
    translations: Array
    """Shape (operations, 3), in lattice coordinates."""
    images: Integers
    """Shape (operations, atoms): where each operation puts each atom."""
    time_reversal: bool
    """Is k taken to be equivalent to -k?"""

    def __len__(self) -> int:
        return len(self.rotations)

    def subset(self, keep: NDArray[np.bool_]) -> Operations:
        """The operations chosen by a mask."""
        return Operations(self.rotations[keep], self.translations[keep], self.images[keep], self.time_reversal)

    def cartesian(self, cell: Array) -> Array:
        """Shape (operations, 3, 3): the rotations acting on Cartesian row vectors from the right."""
        return np.asarray(np.linalg.inv(cell) @ self.rotations @ cell)

    def symmetric_vectors(self, cell: Array, vectors: Array) -> Array:
        """Shape (atoms, 3): the part of one vector an atom (Cartesian) that obeys every operation."""
        total = np.zeros_like(vectors)
        for turn, image in zip(self.cartesian(cell), self.images, strict=True):
            total[image] += vectors @ turn
        return np.asarray(total / len(self))

    def symmetric_tensor(self, cell: Array, tensor: Array) -> Array:
        """Shape (3, 3): the part of a Cartesian tensor that obeys every operation."""
        turns = self.cartesian(cell)
        return np.asarray(np.einsum("oki,kl,olj->ij", turns, tensor, turns) / len(self))


@dataclass(frozen=True, eq=False)
class Irreducible:
    """A mesh reduced by symmetry, in VASP's order."""

    points: Array
    """Shape (irreducible, 3), fractional: of each star the first point in VASP's order."""
    weights: Array
    """Shape (irreducible,), sum 1."""
    members: Integers
    """Shape (mesh points,): the irreducible point that each point of the mesh belongs to."""


def no_operations(atoms: int, time_reversal: bool) -> Operations:
    """The identity alone."""
    return Operations(
        np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)), np.arange(atoms)[None].astype(np.int64), time_reversal
    )


def find_operations(atoms: Atoms, moments: Array | None, symprec: float) -> Operations:
    """The operations of the space group, found by spglib.

    A cell that is not primitive has pure translations among them. Where that makes more than 48 operations, they are
    thinned to one for each rotation, or to those without translation where that is no group: GPAW compares all triples.

    Parameters
    ----------
    atoms : the crystal.
    moments : shape (atoms,) initial collinear moments that must be preserved too, or None.
    symprec : tolerance in Å.
    """
    import spglib

    kinds = _kinds(atoms, moments)
    positions = atoms.get_scaled_positions(wrap=False)
    cell: Any = (np.array(atoms.cell), positions, kinds)
    found = spglib.get_symmetry(cell, symprec=symprec)
    if found is None:
        return no_operations(len(atoms), True)
    rotations = np.ascontiguousarray(np.transpose(found["rotations"], (0, 2, 1)), dtype=np.int64)
    translations = _snapped(found["translations"])
    operations = Operations(rotations, translations, _images(atoms, rotations, translations, kinds), True)
    return operations if len(operations) <= 48 else _thinned(operations)


def _thinned(operations: Operations) -> Operations:
    _, first = np.unique(operations.rotations, axis=0, return_index=True)
    keep = np.zeros(len(operations), dtype=bool)
    keep[first] = True
    one_each = operations.subset(keep)
    return one_each if is_group(one_each) else operations.subset(np.asarray(~operations.translations.any(axis=1)))


def is_group(operations: Operations) -> bool:
    """Is every product of two operations, modulo lattice vectors, among them?"""
    known = {
        (r.tobytes(), _translation_key(t)) for r, t in zip(operations.rotations, operations.translations, strict=True)
    }
    for r2, t2 in zip(operations.rotations, operations.translations, strict=True):
        products = operations.rotations @ r2
        shifts = operations.translations @ r2 + t2
        if any((r.tobytes(), _translation_key(t)) not in known for r, t in zip(products, shifts, strict=True)):
            return False
    return True


def _translation_key(translation: Array) -> tuple[int, ...]:
    return tuple(int(x) for x in np.round(translation * 10000) % 10000)


def _kinds(atoms: Atoms, moments: Array | None) -> list[int]:
    labels = [
        (int(z), 0.0 if moments is None else round(float(m), 3))
        for z, m in zip(atoms.numbers, np.zeros(len(atoms)) if moments is None else moments, strict=True)
    ]
    order = {label: i for i, label in enumerate(sorted(set(labels)))}
    return [order[label] for label in labels]


def _snapped(translations: Array) -> Array:
    """Translations at the nearest 24th where they are within 1e-4 of one: what a real-space grid can hold."""
    nearest = np.round(translations * 24) / 24
    return np.where(np.abs(translations - nearest) < 1e-4, nearest, translations) % 1.0


def _images(atoms: Atoms, rotations: Integers, translations: Array, kinds: list[int]) -> Integers:
    positions = np.array(atoms.get_scaled_positions(wrap=False))
    other = np.array(kinds)[:, None] != np.array(kinds)[None]
    images = []
    for rotation, shift in zip(rotations, translations, strict=True):
        gap = (positions @ rotation + shift)[:, None] - positions[None]
        distance = np.linalg.norm((gap - np.round(gap)) @ np.array(atoms.cell), axis=-1)
        images.append(np.where(other, np.inf, distance).argmin(axis=1))
    return np.array(images, dtype=np.int64)


def mapping_mesh(operations: Operations, points: Array) -> NDArray[np.bool_]:
    """Which operations map a set of k-points on itself, up to reciprocal lattice vectors.

    Parameters
    ----------
    points : shape (points, 3), fractional.

    Returns
    -------
    Shape (operations,).
    """
    known = {_key(p) for p in points}
    return np.array([all(_key(p) in known for p in points @ r.T) for r in operations.rotations])


def on_grid(operations: Operations, grid: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Which operations map the points of a real-space grid on such points; shape (operations,)."""
    n = np.array(grid)
    turned = np.array([not (((n * r).T) % n).any() for r in operations.rotations])
    moved = operations.translations * n
    return np.asarray(turned & (np.abs(moved - np.round(moved)) < 1e-6).all(axis=1))


def reduce_mesh(points: Array, operations: Operations) -> Irreducible:
    """The irreducible points of a mesh under operations that all map it on itself.

    The points are taken in VASP's order; each that is no image of an earlier one opens a new star.

    Parameters
    ----------
    points : shape (points, 3), fractional.
    """
    turns = [r.T for r in operations.rotations]
    if operations.time_reversal:
        turns += [-t for t in turns]
    index = {_key(p): i for i, p in enumerate(points)}
    members = np.full(len(points), -1, dtype=np.int64)
    firsts: list[int] = []
    for i, point in enumerate(points):
        if members[i] < 0:
            star = {index[_key(point @ turn)] for turn in turns}
            members[list(star)] = len(firsts)
            firsts.append(i)
    weights = np.bincount(members) / len(points)
    return Irreducible(points[firsts], weights, members)


def _key(point: Array) -> tuple[int, int, int]:
    a, b, c = np.round(wrapped(point) * 1e6).astype(int)
    half = 500000
    return tuple(-half if x == half else int(x) for x in (a, b, c))  # type: ignore[return-value]
