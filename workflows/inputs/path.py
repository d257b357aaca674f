"""The one band path of a set: symmetry lines through the zone of a named member, in its POSCAR's own basis."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.errors import CampaignError
from kalloy.structures.crystal import Crystal

SYMMETRY_TOLERANCE = 0.01
"""Å; within which relaxed structures are taken as symmetric when a path is laid through their Brillouin zone."""
LARGEST_STRAIN = 0.10
"""Of a member's cell against that of the path's owner at one volume, along any direction: more is another cell."""
LARGEST_TURN = 2.0
"""Degrees between the two cells once the strain is taken out: more and the lines point elsewhere."""

Row = tuple[float, float, float]


@dataclass(frozen=True)
class BandPath:
    """Symmetry lines through the Brillouin zone of one member, in the basis of its POSCAR as written."""

    member: str
    """Whose zone it is."""
    space_group: str
    """Of that member's structure."""
    segments: tuple[tuple[str, str], ...]
    """Labels at both ends of each segment."""
    points: dict[str, Row]
    """Label to fractional coordinates."""
    lattice: tuple[Row, Row, Row] | None = None
    """Å; rows are the lattice vectors of that member's POSCAR. None where an early record does not hold them."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "member": self.member,
            "space_group": self.space_group,
            "segments": [list(s) for s in self.segments],
            "points": {k: list(v) for k, v in self.points.items()},
            "lattice": [list(row) for row in self.lattice] if self.lattice else None,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> BandPath:
        """From `to_json`."""
        points = {k: _row(v) for k, v in raw["points"].items()}
        segments = tuple((a, b) for a, b in raw["segments"])
        rows = raw.get("lattice")
        lattice = (_row(rows[0]), _row(rows[1]), _row(rows[2])) if rows else None
        return cls(raw["member"], raw["space_group"], segments, points, lattice)

    @property
    def ends(self) -> list[tuple[str, Row]]:
        """Start and end of every segment in turn: label and fractional coordinates."""
        return [(label, self.points[label]) for segment in self.segments for label in segment]

    def walk(self, line_points: int) -> list[tuple[str, Row]]:
        """Every point of the path with its label, or an empty one between the ends; ends are there twice, as in VASP.

        Parameters
        ----------
        line_points : points on each segment, both ends included.
        """
        found = []
        for first, last in self.segments:
            between = np.linspace(self.points[first], self.points[last], line_points)
            labels = [first, *[""] * (line_points - 2), last]
            found += [(label, _row(point)) for label, point in zip(labels, between, strict=True)]
        return found

    def require_same_directions(self, lattice: ArrayLike, member: str) -> None:
        """Refuse a member whose reciprocal vectors do not point along the owner's, the strain of relaxation apart.

        Fractional coordinates mean the same lines in both only then. The two cells are compared by polar decomposition
        of the deformation that takes one into the other, brought to one volume: a cell that is larger all round, as
        KCl's is than NaCl's, has its lines in the same directions.

        Parameters
        ----------
        lattice : shape (3, 3), Å; rows are the vectors of the member's POSCAR.

        Raises
        ------
        CampaignError
            For more than `LARGEST_STRAIN` or `LARGEST_TURN`.
        """
        if self.lattice is None:
            return
        strain, turn = _deformation(np.array(self.lattice), np.asarray(lattice, float))
        if strain > LARGEST_STRAIN or turn > LARGEST_TURN:
            raise CampaignError(
                f"the band path of {self.member} does not fit {member}: at the same volume its cell is "
                f"strained by {strain:.1%} and turned by {turn:.1f}° ({LARGEST_STRAIN:.0%} and {LARGEST_TURN:g}° are "
                "allowed), so the same fractional coordinates are other lines",
                mend="compare members in one cell, or name the path's owner with path_of in a step of its own",
            )


def band_path(crystal: Crystal, member: str) -> BandPath:
    """The recommended path of a structure, in that structure's own basis.

    Source: Hinuma, Pizzi, Kumagai, Oba, Tanaka, Comput. Mater. Sci. 128, 140 (2017), through seekpath. The cell is
    never restandardised: the k-points refer to the reciprocal vectors of ``crystal`` as it stands. Of a cell that holds
    several primitive ones it is the primitive cell's path, in the basis of the larger cell.
    """
    from seekpath import SupercellWarning, get_path_orig_cell

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SupercellWarning)
        found = get_path_orig_cell(crystal.spglib_cell(), with_time_reversal=True, symprec=SYMMETRY_TOLERANCE)
    named = {label: label.replace("GAMMA", "Γ") for label in found["point_coords"]}
    points = {named[k]: _row([round(float(x), 12) for x in v]) for k, v in found["point_coords"].items()}
    segments = tuple((named[a], named[b]) for a, b in found["path"])
    used = {label for segment in segments for label in segment}
    a, b, c = crystal.lattice
    return BandPath(
        member,
        _space_group(crystal),
        segments,
        {k: v for k, v in points.items() if k in used},
        (_row(a), _row(b), _row(c)),
    )


def _deformation(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float, float]:
    """The largest strain at one volume and the turn in degrees that take one lattice into the other."""
    from scipy.linalg import polar

    rotation, stretch = polar(np.linalg.solve(first, second))
    stretches = np.linalg.eigvalsh(stretch)
    strain = np.abs(stretches / stretches.prod() ** (1 / 3) - 1).max()
    # A turn by θ leaves 1 - R at the Frobenius norm of 2√2 sin(θ/2), which unlike the trace is exact for small ones.
    half = min(1.0, float(np.linalg.norm(np.eye(3) - rotation)) / (2 * np.sqrt(2)))
    return float(strain), float(np.degrees(2 * np.arcsin(half)))


def _row(values: ArrayLike) -> Row:
    # Adding zero turns -0.0 into 0.0.
    x, y, z = (float(v) + 0.0 for v in np.asarray(values))
    return (x, y, z)


def _space_group(crystal: Crystal) -> str:
    from spglib import get_symmetry_dataset

    dataset: Any = get_symmetry_dataset(crystal.spglib_cell(), symprec=SYMMETRY_TOLERANCE)
    return str(dataset.international)
