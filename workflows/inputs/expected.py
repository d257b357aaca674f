"""How many k-points VASP computes from a KPOINTS file: KPAR is spread over them, tetrahedra need four."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.mesh import Mesh, Style
from kalloy.workflows.inputs.reduction import irreducible_points

if TYPE_CHECKING:
    from pymatgen.io.vasp.inputs import Kpoints


def expected_points(kpoints: Kpoints, crystal: Crystal | None, tags: Mapping[str, Any]) -> int | None:
    """The number of k-points of a calculation.

    Of a mesh its irreducible points under the symmetry of structure, moments and ISYM; of lines and lists every point.
    A mesh that breaks the lattice's symmetry is reduced by every operation that joins two of its points; no real list
    of such a mesh is at hand to compare with.

    Parameters
    ----------
    crystal : None where it is not known, which only matters to a mesh.
    tags : of the INCAR.

    Returns
    -------
    None for a mesh on an unknown structure, or one that is moved off Γ by anything but halves of its spacing.
    """
    if kpoints.style.name == "Line_mode":
        return int(kpoints.num_kpts) * (len(kpoints.kpts) // 2)
    if kpoints.num_kpts > 0:
        return int(kpoints.num_kpts)
    if crystal is None:
        return None
    mesh = mesh_from(kpoints, crystal)
    return None if mesh is None else len(irreducible_points(mesh, crystal, tags).points)


def mesh_from(kpoints: Kpoints, crystal: Crystal) -> Mesh | None:
    """The mesh that a KPOINTS file makes in a cell; None for lines, lists, and shifts other than half a spacing."""
    rows = np.array(kpoints.kpts, float)
    halves = 2 * np.array(kpoints.kpts_shift, float)
    style = kpoints.style.name
    if kpoints.num_kpts > 0 or (np.abs(halves - np.rint(halves)) > 1e-6).any():
        return None
    if style in ("Gamma", "Monkhorst"):
        own: Style = "Gamma" if style == "Gamma" else "Monkhorst-Pack"
        uniform = Mesh.uniform((int(rows[0][0]), int(rows[0][1]), int(rows[0][2])), own)
        return Mesh.of(np.array(uniform.matrix), np.rint(halves + uniform.halves))
    if style == "Automatic":
        # https://vasp.at/wiki/KPOINTS: N = max(1, l |b| + 0.5), cut to an integer, Γ-centred.
        lengths = rows[0][0] * np.linalg.norm(crystal.reciprocal, axis=1) + 0.5
        a, b, c = (max(1, int(length)) for length in lengths)
        return Mesh.uniform((a, b, c), "Gamma")
    # Cartesian vectors are in units of 2π over POSCAR's scale, which is gone once the lattice is read.
    return Mesh.of(np.rint(np.linalg.inv(rows)), np.rint(halves)) if style == "Reciprocal" else None
