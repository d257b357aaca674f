"""Configurations as text: POSCAR, CIF and extended XYZ, prepared once a host so that millions can be written.

Only species change between the configurations of a host; each site's numbers are formatted once and reused.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.reading import VACANCY


class StructureFormat(ABC):
    """Writes the configurations of one space in one file format."""

    suffix: str
    """Of the file's name, with its dot."""
    many = False
    """Whether one file can hold many structures."""

    def __init__(self, space: ConfigurationSpace) -> None:
        self.crystal = space.host.crystal
        self.sites = space.site_indices
        self.name = space.host.name
        self.order = _species_order(space)

    @abstractmethod
    def text(self, configuration: Configuration) -> str:
        """The whole file, or for a format of many structures its part of it."""

    def occupants(self, configuration: Configuration) -> list[str]:
        """The species on every site of the host's crystal, vacancies included."""
        species = list(self.crystal.species)
        for site, occupant in zip(self.sites, configuration.occupation, strict=True):
            species[site] = occupant
        return species

    def grouped(self, configuration: Configuration) -> list[tuple[str, list[int]]]:
        """The sites by species, in the same order of species for every configuration; no empty groups."""
        groups: dict[str, list[int]] = {name: [] for name in self.order}
        for site, occupant in enumerate(self.occupants(configuration)):
            if occupant != VACANCY:
                groups[occupant].append(site)
        return [(name, sites) for name, sites in groups.items() if sites]


class PoscarFormat(StructureFormat):
    """VASP's POSCAR; atoms of one element together."""

    suffix = ".vasp"

    def __init__(self, space: ConfigurationSpace) -> None:
        super().__init__(space)
        self.lattice = "".join(_numbers(row) + "\n" for row in self.crystal.lattice)
        self.lines = [_numbers(position) + "\n" for position in self.crystal.positions]

    def text(self, configuration: Configuration) -> str:
        """One POSCAR in direct coordinates."""
        groups = self.grouped(configuration)
        return "".join(
            [
                f"{self.name} {configuration.label} degeneracy {configuration.degeneracy}\n1.0\n",
                self.lattice,
                " ".join(name for name, _ in groups) + "\n",
                " ".join(str(len(sites)) for _, sites in groups) + "\nDirect\n",
                *[self.lines[site] for _, sites in groups for site in sites],
            ]
        )


class CifFormat(StructureFormat):
    """CIF without symmetry (P1): every atom written."""

    suffix = ".cif"

    def __init__(self, space: ConfigurationSpace) -> None:
        super().__init__(space)
        cell = zip(("a", "b", "c"), self.crystal.lengths, strict=True)
        angles = zip(("alpha", "beta", "gamma"), self.crystal.angles, strict=True)
        self.head = (
            "_symmetry_space_group_name_H-M 'P 1'\n_space_group_IT_number 1\n"
            + "".join(f"_cell_length_{name} {value:.8f}\n" for name, value in cell)
            + "".join(f"_cell_angle_{name} {value:.8f}\n" for name, value in angles)
            + "loop_\n_space_group_symop_operation_xyz\n'x, y, z'\n"
            + "loop_\n_atom_site_label\n_atom_site_type_symbol\n"
            + "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        )
        self.lines = [_numbers(position) + " 1\n" for position in self.crystal.positions]

    def text(self, configuration: Configuration) -> str:
        """One CIF."""
        atoms = [
            f"{name}{number} {name} {self.lines[site]}"
            for name, sites in self.grouped(configuration)
            for number, site in enumerate(sites, start=1)
        ]
        title = f"# {self.name} {configuration.label}, degeneracy {configuration.degeneracy}\n"
        return f"{title}data_{configuration.label.replace('/', '_')}\n{self.head}{''.join(atoms)}"


class ExtxyzFormat(StructureFormat):
    """Extended XYZ: one file can hold every configuration, one after the other."""

    suffix = ".extxyz"
    many = True

    def __init__(self, space: ConfigurationSpace) -> None:
        super().__init__(space)
        cell = _numbers(self.crystal.lattice.ravel())
        self.head = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 pbc="T T T"'
        self.lines = [_numbers(position) + "\n" for position in self.crystal.positions @ self.crystal.lattice]

    def text(self, configuration: Configuration) -> str:
        """One frame; Cartesian positions in Å, sites in the host's order."""
        atoms = [
            f"{occupant} {self.lines[site]}"
            for site, occupant in enumerate(self.occupants(configuration))
            if occupant != VACANCY
        ]
        comment = f"{self.head} label={configuration.label} degeneracy={configuration.degeneracy}"
        return f"{len(atoms)}\n{comment}\n{''.join(atoms)}"


FORMATS: dict[str, type[StructureFormat]] = {"poscar": PoscarFormat, "cif": CifFormat, "extxyz": ExtxyzFormat}


def _species_order(space: ConfigurationSpace) -> list[str]:
    """The host's species in their order, each followed by what replaces it."""
    order: list[str] = []
    for species in space.host.crystal.composition:
        for name in (species, *(s.with_ for s in space.substitutions if s.species == species)):
            if name not in order and name != VACANCY:
                order.append(name)
    return order


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.10f}" for value in np.round(values, 10) + 0.0)  # no −0
