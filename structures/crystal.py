"""The one crystal type that all of kalloy shares; conversions to other packages live at its edge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic arrangement of atoms; immutable, its arrays read-only."""

    lattice: NDArray[np.float64]
    """Shape (3, 3), Å; rows are the lattice vectors a, b, c."""
    species: tuple[str, ...]
    """Element symbols, one a site, in site order."""
    positions: NDArray[np.float64]
    """Shape (sites, 3), fractional coordinates in the rows of ``lattice``."""
    labels: tuple[str, ...] = field(default=())
    """Site labels as the source file names them (``Cs1``), or empty."""

    def __post_init__(self) -> None:
        for name, shape in (("lattice", (3, 3)), ("positions", (len(self.species), 3))):
            array = np.array(getattr(self, name), dtype=np.float64).reshape(shape)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "labels", tuple(self.labels))
        if self.labels and len(self.labels) != len(self.species):
            raise ValueError(f"{len(self.labels)} labels for {len(self.species)} sites")

    def __len__(self) -> int:
        return len(self.species)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Crystal)
            and self.species == other.species
            and self.labels == other.labels
            and np.array_equal(self.lattice, other.lattice)
            and np.array_equal(self.positions, other.positions)
        )

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def volume(self) -> float:
        """Å3."""
        return float(abs(np.linalg.det(self.lattice)))

    @cached_property
    def lengths(self) -> tuple[float, float, float]:
        """a, b, c in Å."""
        a, b, c = np.linalg.norm(self.lattice, axis=1)
        return float(a), float(b), float(c)

    @cached_property
    def angles(self) -> tuple[float, float, float]:
        """α (between b and c), β, γ in degrees."""
        unit = self.lattice / np.linalg.norm(self.lattice, axis=1)[:, None]
        cosines = (unit[1] @ unit[2], unit[2] @ unit[0], unit[0] @ unit[1])
        alpha, beta, gamma = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        return float(alpha), float(beta), float(gamma)

    @cached_property
    def reciprocal(self) -> NDArray[np.float64]:
        """Shape (3, 3), 1/Å without 2π; rows are the reciprocal vectors: ``lattice @ reciprocal.T`` is one."""
        return np.asarray(np.linalg.inv(self.lattice).T, dtype=np.float64)

    @property
    def composition(self) -> dict[str, int]:
        """Atoms by element, in order of first appearance."""
        return dict(Counter(self.species))

    @property
    def formula(self) -> str:
        """The cell's whole content, in order of first appearance: ``Cs24Pb6Br36``."""
        return "".join(f"{s}{n if n > 1 else ''}" for s, n in self.composition.items())

    @property
    def formula_units(self) -> int:
        """How many reduced formulas the cell holds."""
        return gcd(*self.composition.values())

    def with_species(self, species: Iterable[str | None]) -> Crystal:
        """The same sites otherwise occupied; ``None`` leaves a site vacant.

        Parameters
        ----------
        species : one entry a site.
        """
        new = tuple(species)
        if len(new) != len(self):
            raise ValueError(f"{len(new)} species for {len(self)} sites")
        kept = [i for i, s in enumerate(new) if s is not None]
        return Crystal(
            self.lattice,
            tuple(s for s in new if s is not None),
            self.positions[kept],
            tuple(self.labels[i] for i in kept) if self.labels else (),
        )

    def grouped(self) -> Crystal:
        """The same crystal with atoms of one element together, elements in order of first appearance (as POSCAR)."""
        rank = {s: i for i, s in enumerate(self.composition)}
        order = sorted(range(len(self)), key=lambda i: rank[self.species[i]])
        return Crystal(
            self.lattice,
            tuple(self.species[i] for i in order),
            self.positions[order],
            tuple(self.labels[i] for i in order) if self.labels else (),
        )

    def scaled(self, factor: ArrayLike) -> Crystal:
        """Lattice vectors a, b, c multiplied by one factor or by three; fractional coordinates kept."""
        return Crystal(
            self.lattice * np.broadcast_to(np.asarray(factor, float), 3)[:, None],
            self.species,
            self.positions,
            self.labels,
        )

    # -- the edge ------------------------------------------------------------

    def to_pymatgen(self) -> Structure:
        """A pymatgen ``Structure`` with the same sites in the same order."""
        from pymatgen.core import Lattice, Structure

        properties = {"label": list(self.labels)} if self.labels else {}
        return Structure(Lattice(self.lattice), list(self.species), self.positions, site_properties=properties)

    @classmethod
    def from_pymatgen(cls, structure: Structure) -> Crystal:
        """From an ordered pymatgen ``Structure``; oxidation states are dropped."""
        species = tuple(getattr(site.specie, "element", site.specie).symbol for site in structure)
        return cls(structure.lattice.matrix, species, structure.frac_coords)

    def to_ase(self) -> Atoms:
        """An ASE ``Atoms`` with the same sites in the same order, periodic in all directions."""
        from ase import Atoms

        return Atoms(list(self.species), scaled_positions=self.positions, cell=self.lattice, pbc=True)

    @classmethod
    def from_ase(cls, atoms: Atoms) -> Crystal:
        """From an ASE ``Atoms``."""
        return cls(atoms.cell[:], tuple(atoms.get_chemical_symbols()), atoms.get_scaled_positions(wrap=False))

    def spglib_cell(self) -> tuple[Any, Any, list[int]]:
        """Lattice, positions and type numbers as spglib takes them."""
        index = {s: i for i, s in enumerate(dict.fromkeys(self.species))}
        return self.lattice, self.positions, [index[s] for s in self.species]


def has_volume(lattice: NDArray[np.float64]) -> bool:
    """Whether three vectors, as rows, span a cell: all finite, and not in one plane."""
    return bool(np.isfinite(lattice).all() and abs(np.linalg.det(lattice)) > 0)
