"""The host's axes as a yardstick: cells of alloys in the host's conventional setting, and how they are strained."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kalloy.structures.host import Host
from kalloy.structures.symmetry import dataset

Floats = NDArray[np.float64]

CELL = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
"""What a row of `HostMetric.parameters` holds."""


class HostMetric:
    """Reads any lattice that a member of the campaign relaxed to in the conventional axes of its host.

    A member's cell is the host's, strained: the integer (or rational) combination of vectors that leads from the
    computed cell to the conventional one is the host's for all of them, whatever symmetry the member itself has.
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    @cached_property
    def to_conventional(self) -> Floats:
        """Shape (3, 3): conventional rows = this @ computed rows."""
        found = dataset(self.host.marked, self.host.tolerance)
        # spglib: (a b c) = (a_s b_s c_s) P with vectors as columns, before it turns and idealises the cell.
        return np.asarray(np.linalg.inv(np.asarray(found.transformation_matrix)).T)

    @cached_property
    def rotations(self) -> Floats:
        """Shape (operations, 3, 3): the host's point group on fractional coordinates of the computed cell."""
        found = dataset(self.host.marked, self.host.tolerance)
        return np.unique(np.asarray(found.rotations, np.float64), axis=0)

    @cached_property
    def translations(self) -> Floats:
        """Shape (translations, 3): the host's lattice points within the computed cell, fractional."""
        found = dataset(self.host.marked, self.host.tolerance)
        pure = (np.asarray(found.rotations) == np.eye(3, dtype=int)).all(axis=(1, 2))
        return np.asarray(found.translations)[pure]

    def conventional(self, lattices: ArrayLike) -> Floats:
        """Shape (…, 3, 3), Å, rows a, b, c of the conventional cell.

        Parameters
        ----------
        lattices : shape (…, 3, 3), Å, rows are the vectors of the computed cell.
        """
        return np.asarray(self.to_conventional @ np.asarray(lattices, np.float64))

    def parameters(self, lattices: ArrayLike) -> Floats:
        """Shape (…, 6): a, b, c in Å and α, β, γ in degrees of the conventional cell."""
        return parameters(self.conventional(lattices))

    def mean_parameters(self, lattices: ArrayLike) -> Floats:
        """Shape (…, 6): the same, the mean over all arrangements that a configuration stands for.

        They are its images under the host's operations, which differ in their lengths and angles (a with b, say), so
        that those of the one that was computed would hang on which it happened to be.

        Parameters
        ----------
        lattices : shape (…, 3, 3), Å, rows are the vectors of the computed cell.
        """
        cells = np.asarray(lattices, np.float64)
        return np.asarray(np.mean([self.parameters(rotation.T @ cells) for rotation in self.rotations], axis=0))

    def symmetrised(self, metric: Floats) -> Floats:
        """The mean of a metric tensor G = L Lᵀ over the host's point group, shape (3, 3), Å².

        The arrangements that a configuration stands for are its images under the host's operations, so that the mean
        cell of an ensemble has the host's crystal system although none of its members need have it.
        """
        rotations = self.rotations
        return np.asarray(np.einsum("gki,kl,glj->ij", rotations, metric, rotations) / len(rotations))


def parameters(lattices: Floats) -> Floats:
    """Shape (…, 6): lengths in Å and angles in degrees of lattices whose rows are the vectors."""
    lengths = np.linalg.norm(lattices, axis=-1)
    unit = lattices / lengths[..., None]
    pairs = [(1, 2), (2, 0), (0, 1)]
    cosines = np.stack([(unit[..., i, :] * unit[..., j, :]).sum(axis=-1) for i, j in pairs], axis=-1)
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))], axis=-1)


def from_metric(metric: Floats) -> Floats:
    """A lattice (rows) with this metric tensor: a along x, b in the xy plane."""
    return np.asarray(np.linalg.cholesky(metric))


def strain(lattice: ArrayLike, reference: ArrayLike) -> Floats:
    """The strain tensor from one lattice to another, without the rotation between them.

    With row vectors L = L₀ D and D = U R, U symmetric: ε = U − 1 (Biot). For the home case ε_zz is the change of c.

    Parameters
    ----------
    lattice, reference : shape (3, 3), Å, rows a, b, c of the strained and the unstrained cell.

    Returns
    -------
    Shape (3, 3), symmetric, dimensionless, in the reference's Cartesian axes.
    """
    from scipy.linalg import polar

    deformation = np.linalg.solve(np.asarray(reference, np.float64), np.asarray(lattice, np.float64))
    _, stretch = polar(deformation, side="left")
    return np.asarray(stretch - np.eye(3))
