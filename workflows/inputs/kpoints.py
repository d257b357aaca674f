"""KPOINTS: uniform meshes as stated, and one path for a whole set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.preset import MeshSettings
from kalloy.workflows.inputs.stage import Stage

if TYPE_CHECKING:
    from pymatgen.io.vasp.inputs import Kpoints

SYMMETRY_TOLERANCE = 0.01
"""Å; within which relaxed structures are taken as symmetric when a path is laid through their Brillouin zone."""


def mesh_points(settings: MeshSettings) -> NDArray[np.float64]:
    """All points of a mesh in the first cell.

    VASP's definition: Γ-centred (n)/N; Monkhorst–Pack is shifted by 1/2N along every even subdivision.

    Returns
    -------
    Shape (N1·N2·N3, 3), fractional, in [0, 1).
    """
    axes = []
    for n in settings.mesh:
        shift = 0.5 if settings.style == "Monkhorst-Pack" and n % 2 == 0 else 0.0
        axes.append((np.arange(n) + shift) / n)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def holds_gamma(settings: MeshSettings) -> bool:
    """Whether Γ is on the mesh."""
    return settings.style == "Gamma" or all(n % 2 for n in settings.mesh)


def images_off_mesh(settings: MeshSettings, rotations: NDArray[np.int_]) -> float:
    """The share of the symmetry images of a mesh's points that fall off the mesh.

    Parameters
    ----------
    rotations : shape (operations, 3, 3); a crystal's rotations W in fractional coordinates, x' = W x. They act on k as
        the inverse transposed.

    Returns
    -------
    0 for a mesh that keeps the symmetry.
    """
    divisions = np.array(settings.mesh)
    # On the doubled grid every point of either style has integer coordinates.
    doubled = np.rint(mesh_points(settings) * 2 * divisions).astype(int)
    on_mesh = {tuple(p) for p in doubled}
    off = 0
    for rotation in rotations:
        images = (mesh_points(settings) @ np.linalg.inv(rotation)) * 2 * divisions
        rounded = np.rint(images)
        fits = np.all(np.abs(images - rounded) < 1e-6, axis=1)
        wrapped = np.mod(rounded.astype(int), 2 * divisions)
        off += sum(not ok or tuple(p) not in on_mesh for ok, p in zip(fits, wrapped, strict=True))
    return off / (len(rotations) * len(doubled))


def mesh_warnings(meshes: dict[Stage, MeshSettings], host: Crystal) -> list[str]:
    """One line for each mesh that is wrong for this host: which stages it is for, and every fault it has.

    That a mesh holds no Γ is a fault where gaps are read from it, not where atoms only relax on it.
    """
    from spglib import get_symmetry_dataset

    dataset: Any = get_symmetry_dataset(host.spglib_cell(), symprec=SYMMETRY_TOLERANCE)
    lines = []
    for mesh in dict.fromkeys(meshes.values()):
        stages = [stage for stage, m in meshes.items() if m == mesh]
        faults = []
        if off := images_off_mesh(mesh, dataset.rotations):
            faults.append(f"breaks the symmetry of the lattice ({off:.0%} of the images of its points fall off it)")
        if not holds_gamma(mesh) and not all(stage.is_relaxation for stage in stages):
            faults.append("holds no Γ")
        if faults:
            name = f"{mesh.style.replace('-', '–')} mesh {'x'.join(map(str, mesh.mesh))}"
            lines.append(f"{', '.join(stages)}: the {name} {' and '.join(faults)}; a Γ-centred mesh would not")
    return lines


def mesh_kpoints(settings: MeshSettings, comment: str) -> Kpoints:
    """KPOINTS of a uniform mesh, exactly as stated."""
    from pymatgen.io.vasp.inputs import Kpoints

    make = Kpoints.gamma_automatic if settings.style == "Gamma" else Kpoints.monkhorst_automatic
    kpoints: Kpoints = make(settings.mesh)
    kpoints.comment = comment
    return kpoints


@dataclass(frozen=True)
class BandPath:
    """Symmetry lines through the Brillouin zone of one member, in the basis of its POSCAR as written."""

    member: str
    """Whose zone it is."""
    space_group: str
    """Of that member's structure."""
    segments: tuple[tuple[str, str], ...]
    """Labels at both ends of each segment."""
    points: dict[str, tuple[float, float, float]]
    """Label to fractional coordinates."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "member": self.member,
            "space_group": self.space_group,
            "segments": [list(s) for s in self.segments],
            "points": {k: list(v) for k, v in self.points.items()},
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> BandPath:
        """From `to_json`."""
        points = {k: (float(v[0]), float(v[1]), float(v[2])) for k, v in raw["points"].items()}
        return cls(raw["member"], raw["space_group"], tuple((a, b) for a, b in raw["segments"]), points)

    def kpoints(self, line_points: int) -> Kpoints:
        """KPOINTS in line mode.

        Parameters
        ----------
        line_points : points on each segment, both ends included.
        """
        from pymatgen.io.vasp.inputs import Kpoints

        labels = [label for segment in self.segments for label in segment]
        return Kpoints(
            comment=f"path of {self.member} ({self.space_group}), the same for the whole set",
            num_kpts=line_points,
            style=Kpoints.supported_modes.Line_mode,
            coord_type="Reciprocal",
            kpts=[self.points[label] for label in labels],
            labels=[label.replace("Γ", "GAMMA") for label in labels],
        )


def band_path(crystal: Crystal, member: str) -> BandPath:
    """The recommended path of a structure, in that structure's own basis.

    Source: Hinuma, Pizzi, Kumagai, Oba, Tanaka, Comput. Mater. Sci. 128, 140 (2017), through seekpath. The cell is
    never restandardised: the k-points refer to the reciprocal vectors of ``crystal`` as it stands.
    """
    from seekpath import get_path_orig_cell

    found = get_path_orig_cell(crystal.spglib_cell(), with_time_reversal=True, symprec=SYMMETRY_TOLERANCE)
    named = {label: label.replace("GAMMA", "Γ") for label in found["point_coords"]}
    # Adding zero turns -0.0 into 0.0.
    rounded = {k: [round(float(x), 12) + 0.0 for x in v] for k, v in found["point_coords"].items()}
    points = {named[k]: (v[0], v[1], v[2]) for k, v in rounded.items()}
    segments = tuple((named[a], named[b]) for a, b in found["path"])
    used = {label for segment in segments for label in segment}
    return BandPath(member, _space_group(crystal), segments, {k: v for k, v in points.items() if k in used})


def _space_group(crystal: Crystal) -> str:
    from spglib import get_symmetry_dataset

    dataset: Any = get_symmetry_dataset(crystal.spglib_cell(), symprec=SYMMETRY_TOLERANCE)
    return str(dataset.international)
