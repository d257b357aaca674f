"""Regular k-meshes as exact lattices: every mesh that VASP can generate, uniform or by generating vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Style = Literal["Monkhorst-Pack", "Gamma"]
Row = tuple[int, int, int]


@dataclass(frozen=True)
class Mesh:
    """A regular mesh: the points (n + h/2) G for all integer rows n, where the reciprocal vectors are B = P G.

    P is kept in its column-style Hermite normal form and h modulo 2. That form is unique, so that two meshes are equal
    exactly where their points are, and a mesh is uniform exactly where P is diagonal.
    """

    matrix: tuple[Row, Row, Row]
    """P: reciprocal vectors in terms of the generating ones."""
    halves: Row
    """h: shift off Γ in halves of the generating vectors, each 0 or 1."""

    @classmethod
    def of(cls, matrix: Integers, halves: Integers) -> Mesh:
        """Any regular matrix P and any shift, brought to the normal form."""
        normal, change = _column_hermite(np.asarray(matrix, np.int64))
        shift = np.asarray(halves, np.int64) @ change % 2
        rows = [(int(a), int(b), int(c)) for a, b, c in normal]
        return cls((rows[0], rows[1], rows[2]), (int(shift[0]), int(shift[1]), int(shift[2])))

    @classmethod
    def uniform(cls, divisions: Row, style: Style) -> Mesh:
        """As VASP defines both: Γ-centred n/N; Monkhorst–Pack is shifted by 1/2N along every even subdivision.

        H. J. Monkhorst and J. D. Pack, Phys. Rev. B 13, 5188 (1976), eq. 3.
        """
        halves = [int(style == "Monkhorst-Pack" and n % 2 == 0) for n in divisions]
        return cls.of(np.diag(divisions), np.array(halves))

    @property
    def count(self) -> int:
        """Points in one reciprocal cell."""
        return self.matrix[0][0] * self.matrix[1][1] * self.matrix[2][2]

    @property
    def divisions(self) -> Row | None:
        """Subdivisions along the reciprocal vectors; None for a mesh that only generating vectors describe."""
        diagonal = tuple(self.matrix[i][i] for i in range(3))
        off = any(self.matrix[i][j] for i in range(3) for j in range(i))
        return None if off else (diagonal[0], diagonal[1], diagonal[2])

    @property
    def style(self) -> Style | None:
        """The style that makes a uniform mesh with no further shift; None where neither does."""
        for style in ("Gamma", "Monkhorst-Pack"):
            if self.divisions and Mesh.uniform(self.divisions, style) == self:
                return style
        return None

    @property
    def holds_gamma(self) -> bool:
        """Whether Γ is on the mesh."""
        return not any(self.halves)

    @cached_property
    def generators(self) -> NDArray[np.float64]:
        """Shape (3, 3): rows are the generating vectors in terms of the reciprocal ones."""
        return np.asarray(np.linalg.inv(self.matrix), np.float64)

    def points(self) -> NDArray[np.float64]:
        """Shape (count, 3), fractional, in (-1/2, 1/2]; the first index runs fastest, as in VASP's IBZKPT."""
        points = (2 * self._indices() + self.halves) @ self._adjugate / (2 * self.count)
        return points - np.ceil(points - 0.5 - 1e-9) + 0.0

    def images(self, rotation: Integers) -> Integers:
        """Where a rotation of the crystal puts each point of the mesh.

        Parameters
        ----------
        rotation : shape (3, 3), W in x' = W x, fractional. It acts on k as the inverse transposed. ``-W`` is W
            followed by time reversal.

        Returns
        -------
        Shape (count,): the index in ``points()``, or -1 where the image is off the mesh. Exact, in integers.
        """
        inverse = np.rint(np.linalg.inv(rotation)).astype(np.int64)
        turned = (2 * self._indices() + self.halves) @ self._adjugate @ inverse @ np.array(self.matrix)
        turned -= self.count * np.array(self.halves)
        on = (turned % (2 * self.count) == 0).all(axis=1)
        return np.where(on, self._index_of(turned // (2 * self.count)), -1)

    def share_off(self, rotations: Integers) -> float:
        """The share of the images of the points under these rotations that fall off: 0 for a symmetric mesh.

        Parameters
        ----------
        rotations : shape (operations, 3, 3), fractional.
        """
        return float(np.mean([(self.images(rotation) < 0).mean() for rotation in rotations]))

    def keeps(self, rotations: Integers) -> bool:
        """Whether every one of these rotations maps the mesh on itself: its generating vectors and its shift.

        Parameters
        ----------
        rotations : shape (operations, 3, 3), fractional.
        """
        halves, whole = np.array(self.halves), 2 * self.count
        for rotation in rotations:
            turned = self._adjugate @ np.rint(np.linalg.inv(rotation)).astype(np.int64) @ np.array(self.matrix)
            if (turned % self.count).any() or ((halves @ turned - self.count * halves) % whole).any():
                return False
        return True

    # -- integers -------------------------------------------------------------------

    @cached_property
    def _adjugate(self) -> Integers:
        """G in units of 1/count."""
        return np.rint(self.generators * self.count).astype(np.int64)

    @cached_property
    def _box(self) -> Integers:
        """Row-style Hermite form of P: its diagonal bounds one index n for each point."""
        normal, _ = _column_hermite(np.array(self.matrix)[::-1, ::-1].T)
        return np.asarray(normal.T[::-1, ::-1])

    def _indices(self) -> Integers:
        n1, n2, n3 = np.diag(self._box)
        k, j, i = np.meshgrid(np.arange(n3), np.arange(n2), np.arange(n1), indexing="ij")
        return np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1)

    def _index_of(self, n: Integers) -> Integers:
        """Of each integer row the index of its point, reciprocal vectors apart."""
        n = n.copy()
        for axis in (2, 1, 0):
            n -= np.outer(n[:, axis] // self._box[axis, axis], self._box[axis])
        n1, n2, _ = np.diag(self._box)
        return np.asarray(n[:, 0] + n1 * (n[:, 1] + n2 * n[:, 2]))


def _column_hermite(matrix: Integers) -> tuple[Integers, Integers]:
    """P U and U: lower triangular, diagonal positive, what is left of it in a row smaller and not negative."""
    normal, change = matrix.copy(), np.eye(3, dtype=np.int64)
    both = np.concatenate([normal, change])
    for row in range(3):
        for column in range(row + 1, 3):
            while both[row, column]:  # Euclid's algorithm on two columns
                both[:, row] -= both[row, row] // both[row, column] * both[:, column]
                both[:, [row, column]] = both[:, [column, row]]
        if both[row, row] < 0:
            both[:, row] *= -1
        for column in range(row):
            both[:, column] -= both[row, column] // both[row, row] * both[:, row]
    return both[:3], both[3:]
