"""The k-points of a KPOINTS file exactly as VASP understands it: meshes, lines and explicit lists."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import VaspInputError, brief

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A regular mesh over the whole Brillouin zone."""

    divisions: tuple[int, int, int]
    """Points along each reciprocal vector."""
    shift: tuple[float, float, float]
    """The user's shift, in units of the mesh's own spacing."""
    gamma_centred: bool
    """True for VASP's ``Gamma``, False for its ``Monkhorst-Pack``."""

    @property
    def offset(self) -> Array:
        """Shape (3,): distance of the mesh from Γ in units of its spacing; a Monkhorst-Pack mesh adds 1/2 where even.

        H. J. Monkhorst and J. D. Pack, Phys. Rev. B 13, 5188 (1976), eq. 3.
        """
        half = [0.0 if self.gamma_centred or n % 2 else 0.5 for n in self.divisions]
        return np.array(self.shift) + half

    def points(self) -> Array:
        """Shape (points, 3), fractional, in (-1/2, 1/2]; the first index runs fastest, as in IBZKPT."""
        n1, n2, n3 = self.divisions
        k, j, i = np.meshgrid(np.arange(n3), np.arange(n2), np.arange(n1), indexing="ij")
        index = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1)
        return wrapped((index + self.offset) / np.array(self.divisions))


@dataclass(frozen=True, eq=False)
class GeneratedMesh:
    """A regular mesh by generating vectors: all sums of whole numbers of them, moved off Γ by a shift."""

    vectors: Array
    """Shape (3, 3): rows are the generating vectors, fractional."""
    shift: tuple[float, float, float]
    """In multiples of the generating vectors, as VASP takes it."""

    @property
    def periods(self) -> NDArray[np.int64]:
        """Shape (3, 3): the reciprocal vectors in terms of the generating ones; its determinant counts the points."""
        return np.rint(np.linalg.inv(self.vectors)).astype(np.int64)

    def points(self) -> Array:
        """Shape (points, 3), fractional, in (-1/2, 1/2]."""
        corners = np.array(list(product((0, 1), repeat=3))) @ self.periods
        axes = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
        sums = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        # Exact: in units of one over the number of points, where a cell is 0 to that number.
        count = round(abs(np.linalg.det(self.periods)))
        exact = sums @ np.rint(np.linalg.inv(self.periods) * count).astype(np.int64)
        inside = ((exact >= 0) & (exact < count)).all(axis=1)
        points = wrapped((sums[inside] + np.array(self.shift)) @ np.linalg.inv(self.periods))
        return np.asarray(points[np.lexsort(points.T)])


@dataclass(frozen=True, eq=False)
class PointList:
    """k-points written out one by one, each with its weight."""

    points: Array
    """Shape (points, 3), fractional, as written."""
    weights: Array
    """Shape (points,), as written; points of weight zero take no part in self-consistency."""

    @property
    def weightless(self) -> NDArray[np.bool_]:
        """Shape (points,): which points have weight zero."""
        return np.asarray(self.weights == 0)


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines through the zone, each from one special point to another."""

    ends: Array
    """Shape (2 segments, 3), fractional: start and end of each segment."""
    per_segment: int
    """Points on each segment, both ends counted."""

    def points(self) -> Array:
        """Shape (segments × per_segment, 3); where two segments meet, the point is there twice, as in VASP."""
        pairs = self.ends.reshape(-1, 2, 3)
        return np.concatenate([np.linspace(start, end, self.per_segment) for start, end in pairs])


def wrapped(points: Array) -> Array:
    """The same points moved by reciprocal lattice vectors into (-1/2, 1/2]."""
    moved = points - np.ceil(points - 0.5 - 1e-9)
    return np.where(np.abs(moved) < 1e-14, 0.0, moved)


AnyMesh = Mesh | GeneratedMesh
"""What covers the whole zone, and is reduced by symmetry."""


def read_kpoints(path: Path) -> AnyMesh | PointList | Lines:
    """The k-points of a KPOINTS file.

    Raises
    ------
    VaspInputError : for a file that cannot be read or a way of choosing points that is not supported.
    """
    from pymatgen.io.vasp.inputs import Kpoints

    try:
        kpoints = Kpoints.from_file(path)
        style = kpoints.style.name
    except (ValueError, IndexError, TypeError) as error:
        raise VaspInputError(f"cannot be read as k-points ({brief(error)})", where=path.name) from error
    if style in ("Gamma", "Monkhorst") and len(kpoints.kpts) == 1:
        return _mesh(kpoints, path.name)
    if style == "Line_mode":
        return _path(kpoints, path.name)
    if style == "Reciprocal" and kpoints.num_kpts <= 0:
        return _generated(kpoints, path.name)
    if style == "Reciprocal":
        return _list(kpoints, path.name)
    raise VaspInputError(
        f"k-points of the kind '{style}' cannot be honoured by kalloy-gpaw",
        where=path.name,
        mend="write a Gamma or Monkhorst-Pack mesh, generating vectors, lines, or a list in reciprocal coordinates",
    )


def _mesh(kpoints: Any, name: str) -> Mesh:
    divisions = tuple(int(n) for n in kpoints.kpts[0])
    if len(divisions) != 3 or min(divisions) < 1:
        raise VaspInputError(f"the mesh {' '.join(map(str, divisions))} is not three positive numbers", where=name)
    shift = tuple(float(s) for s in kpoints.kpts_shift)
    return Mesh(divisions, shift, kpoints.style.name == "Gamma")  # type: ignore[arg-type]


def _generated(kpoints: Any, name: str) -> GeneratedMesh:
    vectors, shift = np.array(kpoints.kpts, dtype=float), tuple(float(s) for s in kpoints.kpts_shift)
    volume = abs(float(np.linalg.det(vectors))) if vectors.shape == (3, 3) else 0.0
    periods = np.linalg.inv(vectors) if volume > 1e-9 else np.full((3, 3), 0.5)
    if np.abs(periods - np.rint(periods)).max() > 1e-4:
        raise VaspInputError(
            "the generating vectors make no mesh: no whole numbers of them give the reciprocal vectors",
            where=name,
            mend="give three that do, such as 0.25 0 0, 0 0.25 0, 0 0 0.25",
        )
    return GeneratedMesh(vectors, shift)  # type: ignore[arg-type]


def _path(kpoints: Any, name: str) -> Lines:
    if str(kpoints.coord_type).lower()[:1] in "ck":
        raise VaspInputError("lines in Cartesian coordinates cannot be honoured", where=name, mend="use Reciprocal")
    ends = np.array(kpoints.kpts, dtype=float)
    if len(ends) % 2 or kpoints.num_kpts < 2:
        raise VaspInputError("lines need pairs of end points and at least two points a line", where=name)
    return Lines(ends, int(kpoints.num_kpts))


def _list(kpoints: Any, name: str) -> PointList:
    if kpoints.tet_number:
        raise VaspInputError("explicit tetrahedra cannot be honoured", where=name, mend="write a mesh")
    points, weights = np.array(kpoints.kpts, dtype=float), np.array(kpoints.kpts_weights, dtype=float)
    if not len(points) or weights.min() < 0 or not weights.any():
        raise VaspInputError("a list of k-points needs weights, none below zero and not all zero", where=name)
    return PointList(points, weights)
