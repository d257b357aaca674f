"""Which k-points are a mesh and which a path, and what the corners of the path are called."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from kalloy.parsers.bands import Bands, Floats, Segment, is_path, straight_segments
from kalloy.parsers.model import BandData, KPoints
from kalloy.parsers.opening import open_binary
from kalloy.parsers.source import LONGEST_ELEMENT
from kalloy.structures.crystal import Crystal

_CORNER = re.compile(r"^\s*([-+.\deE]+)\s+([-+.\deE]+)\s+([-+.\deE]+)\s*(.*)$")
_SAME_K = 1e-4

Corners = tuple[tuple[tuple[float, float, float], str], ...]


def split_bands(data: BandData, crystal: Crystal | None, electrons_per_band: int, corners: Corners = ()) -> list[Bands]:
    """Bands on the mesh, and apart from them those on a path (zero weights, line mode, or a list that is one).

    Parameters
    ----------
    data : eigenvalues as read.
    crystal : gives the reciprocal vectors.
    electrons_per_band : electrons a full band holds.
    corners : named corners of the path, from KPOINTS, where known.
    """
    points = data.kpoints
    zero = points.weights == 0
    if zero.any() and not zero.all():
        return [
            _bands(data, ~zero, crystal, electrons_per_band, path=False, corners=corners),
            _bands(data, zero, crystal, electrons_per_band, path=True, corners=corners),
        ]
    every = np.ones(len(zero), dtype=bool)
    return [_bands(data, every, crystal, electrons_per_band, path=_runs_along_a_path(points), corners=corners)]


def path_bands(data: BandData, crystal: Crystal | None, electrons_per_band: int, corners: Corners = ()) -> Bands:
    """All of a band structure's points as a path (KPOINTS_OPT)."""
    every = np.ones(len(data.kpoints.weights), dtype=bool)
    path = is_path(data.kpoints.coordinates, data.kpoints.weights) or bool(corners)
    return _bands(data, every, crystal, electrons_per_band, path=path, corners=corners)


def _runs_along_a_path(points: KPoints) -> bool:
    if points.generation is not None:
        return points.generation.lower().startswith("listgen")
    return is_path(points.coordinates, points.weights)


def _bands(
    data: BandData, chosen: np.ndarray, crystal: Crystal | None, electrons_per_band: int, path: bool, corners: Corners
) -> Bands:
    kpoints = data.kpoints.coordinates[chosen]
    return Bands(
        kpoints=kpoints,
        weights=data.kpoints.weights[chosen],
        eigenvalues=data.eigenvalues[:, chosen],
        occupations=data.occupations[:, chosen],
        reciprocal=crystal.reciprocal if crystal is not None else None,
        source="path" if path else "mesh",
        segments=_segments(data.kpoints, kpoints, corners) if path else (),
        electrons_per_band=electrons_per_band,
    )


def _segments(points: KPoints, kpoints: Floats, corners: Corners) -> tuple[Segment, ...]:
    """By the number of points a segment where the file gives it, else by straightness."""
    count = points.divisions[0] if len(points.divisions) == 1 else 0
    if count > 1 and len(kpoints) % count == 0:
        segments = tuple(Segment(i, i + count) for i in range(0, len(kpoints), count))
    else:
        segments = straight_segments(kpoints)
    return tuple(
        replace(s, labels=(_label(kpoints[s.start], corners), _label(kpoints[s.stop - 1], corners))) for s in segments
    )


def _label(kpoint: Floats, corners: Corners) -> str:
    return next((name for at, name in corners if np.allclose(at, kpoint, atol=_SAME_K)), "")


def read_corners(path: Path) -> Corners:
    """Named points of a KPOINTS or KPOINTS_OPT file: line mode's corners, or an explicit list's remarks.

    Returns
    -------
    (fractional coordinates, name) of every line that carries a name; nothing for a mesh or in Cartesian coordinates.

    Raises
    ------
    ParseError
        If the file cannot be opened.
    """
    with open_binary(path) as file:
        lines = file.read(LONGEST_ELEMENT).decode("latin-1").splitlines()
    if len(lines) < 4:
        return ()
    line_mode = lines[2].strip()[:1].lower() == "l"
    style = lines[3 if line_mode else 2].strip()[:1].lower()
    if style != "r":
        return ()
    corners = []
    for line in lines[4 if line_mode else 3 :]:
        match = _CORNER.match(line)
        name = _name(match.group(4), line_mode) if match else ""
        if match and name:
            try:
                at = (float(match[1]), float(match[2]), float(match[3]))
            except ValueError:
                continue
            corners.append((at, name))
    return tuple(corners)


def _name(rest: str, line_mode: bool) -> str:
    """What stands after the numbers (and, in a list, after the weight): ``! \\Gamma`` is GAMMA."""
    words = rest.replace("!", " ").split()
    if not line_mode and words:
        words = words[1:]
    if not words or re.fullmatch(r"[-+.\d]+", words[0]):
        return ""
    name = words[0].strip("\\")
    return "GAMMA" if name.lower() in {"g", "gamma", "γ", "\u0393"} or name in {"Γ", "Î\x93"} else name
