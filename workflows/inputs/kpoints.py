"""KPOINTS: what a preset asks for in the cell that is computed, and the text of the files."""

from __future__ import annotations

from itertools import product
from math import ceil, pi
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import InputError
from kalloy.structures.cells import parse_cell, recell
from kalloy.structures.crystal import Crystal
from kalloy.structures.symmetry import dataset
from kalloy.workflows.inputs.equivalence import equivalent_mesh, mesh_name
from kalloy.workflows.inputs.mesh import Integers, Mesh, Row
from kalloy.workflows.inputs.path import BandPath
from kalloy.workflows.inputs.preset import LineSettings, MeshSettings
from kalloy.workflows.inputs.reduction import Irreducible
from kalloy.workflows.inputs.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.io.vasp.inputs import Kpoints

MOST_POINTS = 100_000
"""Of one mesh; more is a slip of the pen in a spacing."""


def host_mesh(settings: MeshSettings, host: Crystal) -> Mesh:
    """The mesh of a whole set, in the basis of the cell that is computed.

    A spacing is turned into subdivisions once, from the host's cell, and every member gets the same.

    Parameters
    ----------
    host : in the cell that is computed.

    Raises
    ------
    InputError
        Where a mesh of another cell (``of``) has no equivalent here, or a mesh is beyond any calculation.
    """
    divisions, cell = stated_mesh(settings, host)
    if np.prod(divisions) > MOST_POINTS:
        raise InputError(
            f"a mesh of {'x'.join(map(str, divisions))} has more than {MOST_POINTS:,} points",
            where="k-mesh",
            mend="give a larger kspacing (1/Å, with 2π, as VASP's KSPACING)",
        )
    mesh = Mesh.uniform(divisions, settings.style)
    return equivalent_mesh(mesh, cell.lattice, host.lattice) if settings.of else mesh


def stated_mesh(settings: MeshSettings, host: Crystal) -> tuple[Row, Crystal]:
    """Subdivisions, and the cell that they are stated for: the host's own, or the one that ``of`` names."""
    cell = recell(host, parse_cell(settings.of)) if settings.of else host
    return settings.mesh or _divisions(cell, settings), cell


def _divisions(cell: Crystal, settings: MeshSettings) -> Row:
    """VASP's KSPACING: N = max(1, ceil(2π |b| / spacing)); what is within 1e-5 of an integer is that integer.

    https://vasp.at/wiki/KSPACING.
    """
    assert settings.kspacing is not None
    lengths = 2 * pi * np.linalg.norm(cell.reciprocal, axis=1)
    a, b, c = (max(1, ceil(round(float(length) / settings.kspacing, 5))) for length in lengths)
    return (a, b, c)


def mesh_of(settings: MeshSettings | LineSettings) -> MeshSettings | None:
    """The mesh on which a stage finds its charge density; None for lines alone, which take it from elsewhere."""
    return settings if isinstance(settings, MeshSettings) else settings.mesh


def mesh_warnings(settings: Mapping[Stage, MeshSettings | LineSettings], host: Crystal) -> list[str]:
    """One line for each mesh that is wrong for this host: which stages it is for, and every fault it has.

    That a mesh holds no Γ is a fault where gaps are read from it, not where atoms only relax on it or where a path
    is computed beside it.
    """
    rotations = np.asarray(dataset(host).rotations, np.int64)
    lines = []
    meshes = {stage: asked for stage, s in settings.items() if (asked := mesh_of(s))}
    for asked in dict.fromkeys(meshes.values()):
        stages = [stage for stage, m in meshes.items() if m == asked]
        mesh = host_mesh(asked, host)
        faults = []
        if off := mesh.share_off(rotations):
            faults.append(f"breaks the symmetry of the lattice ({off:.0%} of the images of its points fall off it)")
        if not mesh.holds_gamma and any(_reads_gaps(stage, settings[stage]) for stage in stages):
            faults.append("holds no Γ")
        if faults:
            who, what = ", ".join(stages), " and ".join(faults)
            lines.append(f"{who}: the {_named(asked, mesh)} {what}; {_advice(asked, host, rotations)}")
    return lines


def _advice(asked: MeshSettings, host: Crystal, rotations: Integers) -> str:
    """The Γ-centred mesh with the fewest points, none of its subdivisions smaller, that keeps the symmetry."""
    divisions, cell = stated_mesh(asked, host)
    n1, n2, n3 = (range(n, max(divisions) + 1) for n in divisions)
    for finer in sorted(product(n1, n2, n3), key=lambda n: (np.prod(n), n)):
        uniform = Mesh.uniform(finer, "Gamma")
        try:
            mesh = equivalent_mesh(uniform, cell.lattice, host.lattice)
        except InputError:
            continue
        if mesh.keeps(rotations):
            return f"{'a Γ-centred mesh' if finer == divisions else f'the {mesh_name(uniform)}'} would not"
    return "a Γ-centred mesh of equal subdivisions would not"


def _named(asked: MeshSettings, mesh: Mesh) -> str:
    whose = f" of the {asked.of} cell" if asked.of else ""
    name = mesh_name(Mesh.uniform(asked.mesh, asked.style)) if asked.mesh else mesh_name(mesh)
    return name + whose


def _reads_gaps(stage: Stage, settings: MeshSettings | LineSettings) -> bool:
    return not stage.is_relaxation and isinstance(settings, MeshSettings)


# -- files ---------------------------------------------------------------------------


def kpoints_files(
    settings: MeshSettings | LineSettings, mesh: Mesh | None, cell: Crystal, path: BandPath | None, comment: str
) -> dict[str, str]:
    """KPOINTS, and KPOINTS_OPT where asked for, by name.

    Nothing where zero-weight points are asked for: that list starts with the irreducible points of the member's own
    structure, so it is written once that is known (`point_list.complete_kpoints`).

    Parameters
    ----------
    mesh : in the basis of the cell that is computed; None for lines alone.
    cell : whose metric the basis of a mesh by generating vectors is reduced in: the host's, for the whole set.
    path : the set's, for lines.
    comment : the comment line of a mesh.
    """
    if isinstance(settings, MeshSettings):
        assert mesh is not None
        return {"KPOINTS": mesh_text(mesh, cell, comment)}
    assert path is not None
    lines = line_text(path, settings.line_points)
    if settings.as_ == "line":
        return {"KPOINTS": lines}
    if settings.as_ == "kpoints-opt":
        assert mesh is not None
        return {"KPOINTS": mesh_text(mesh, cell, comment), "KPOINTS_OPT": lines}
    return {}


def mesh_text(mesh: Mesh, cell: Crystal, comment: str) -> str:
    """KPOINTS of a mesh: by its subdivisions and at most a shift, else by generating vectors."""
    from pymatgen.io.vasp.inputs import Kpoints

    if mesh.divisions is None:
        return generating_text(mesh, cell, comment)
    modes = Kpoints.supported_modes
    # Where neither style makes the mesh, it is the Γ-centred one moved by halves of its spacing.
    shift = (0, 0, 0) if mesh.style else tuple(half / 2 for half in mesh.halves)
    style = modes.Monkhorst if mesh.style == "Monkhorst-Pack" else modes.Gamma
    return _text(Kpoints(comment, 0, style, [mesh.divisions], shift))


def generating_text(mesh: Mesh, cell: Crystal, comment: str) -> str:
    """KPOINTS by generating vectors in units of the reciprocal ones, shifted by multiples of the generating ones.

    The basis of the mesh is Niggli-reduced, in the metric of ``cell``, so that VASP sees the mesh's own lattice type.
    pymatgen leaves out a shift of zero, which its own reader then misses; so the last line is ours.
    """
    from pymatgen.io.vasp.inputs import Kpoints
    from spglib import niggli_reduce

    vectors = mesh.generators @ cell.reciprocal
    reduced: Any = niggli_reduce(vectors)
    change = np.rint(reduced @ np.linalg.inv(vectors))
    rows = np.rint(change @ mesh.generators * mesh.count) / mesh.count
    shift = np.array(mesh.halves) / 2 @ np.rint(np.linalg.inv(change)) % 1
    text = _text(Kpoints(comment, 0, Kpoints.supported_modes.Reciprocal, [_plain(row) for row in rows], _plain(shift)))
    return text if shift.any() else text + "0.0 0.0 0.0\n"


def line_text(path: BandPath, line_points: int) -> str:
    """KPOINTS in line mode.

    Parameters
    ----------
    line_points : points on each segment, both ends included.
    """
    from pymatgen.io.vasp.inputs import Kpoints

    return _text(
        Kpoints(
            comment=_path_words(path),
            num_kpts=line_points,
            style=Kpoints.supported_modes.Line_mode,
            coord_type="Reciprocal",
            kpts=[point for _, point in path.ends],
            labels=[_ascii(label) for label, _ in path.ends],
        )
    )


def list_text(mesh: Irreducible, path: BandPath, line_points: int, comment: str) -> str:
    """KPOINTS as a list: a mesh's irreducible points with their weights, then the path's with weight zero."""
    from pymatgen.io.vasp.inputs import Kpoints

    walk = path.walk(line_points)
    points = [*(_plain(point) for point in mesh.points), *(point for _, point in walk)]
    return _text(
        Kpoints(
            comment=f"{comment}, then the {_path_words(path)}",
            num_kpts=len(points),
            style=Kpoints.supported_modes.Reciprocal,
            kpts=points,
            kpts_weights=[*(int(w) for w in mesh.weights), *[0] * len(walk)],
            labels=[*[""] * len(mesh.points), *(_ascii(label) for label, _ in walk)],
        )
    )


def _text(kpoints: Kpoints) -> str:
    return "".join(f"{line.rstrip()}\n" for line in str(kpoints).splitlines())


def _path_words(path: BandPath) -> str:
    return f"path of {path.member} ({path.space_group}), the same for the whole set"


def _ascii(label: str) -> str:
    return label.replace("Γ", "GAMMA")


def _plain(row: NDArray[np.float64]) -> tuple[float, float, float]:
    a, b, c = (float(x) + 0.0 for x in row)
    return (a, b, c)
