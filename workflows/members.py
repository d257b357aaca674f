"""Members: the structures that a campaign computes, what kind each is, and whom it takes its start from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf, isnan
from typing import Any

from kalloy.structures.configuration import Configuration
from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.stage import Stage, Takes


class Kind(StrEnum):
    """What a member is for."""

    HOST = "host"
    CONFIGURATION = "configuration"
    DUPLICATE = "duplicate"
    RATTLED = "rattled"
    VARIANT = "variant"
    REFERENCE = "reference"

    @property
    def purpose(self) -> str:
        """In words."""
        return _PURPOSES[self]

    @property
    def is_derived(self) -> bool:
        """Whether it is made from another member, once a selection names that one."""
        return self in (Kind.DUPLICATE, Kind.RATTLED, Kind.VARIANT)


_PURPOSES = {
    Kind.HOST: "what every shift is measured from",
    Kind.CONFIGURATION: "ranked within its content",
    Kind.DUPLICATE: "the same configuration in another orientation: what the k-mesh adds to energies by itself",
    Kind.RATTLED: "the same configuration relaxed from displaced atoms: the scatter of the relaxation",
    Kind.VARIANT: "one composition in the other's relaxed cell: which part of a shift is strain",
    Kind.REFERENCE: "an end of a reaction: mixing and exchange energies",
}


@dataclass(frozen=True)
class Parent:
    """A calculation that must be done first, and what is taken from it."""

    member: str
    stage: Stage
    takes: tuple[Takes, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as attempt.json holds it."""
        return {"member": self.member, "stage": self.stage.value, "takes": [t.value for t in self.takes]}


@dataclass(frozen=True)
class Member:
    """One structure that a campaign computes."""

    label: str
    """``host``, a configuration's ``K03/c12``, ``K03/c12~dup1``, ``refs/KBr``, …; also its folder in the campaign."""
    crystal: Crystal
    """Unrelaxed; atoms of one element together, elements in the order of POSCAR."""
    degeneracy: int
    """Arrangements of the sublattice that are equivalent to this one; 1 for what is no configuration."""
    identity: str
    """Hash of occupation and cell: what says that a folder belongs to this member."""
    symmetry: Callable[[], str] = field(repr=False, compare=False)
    """Finds the space group: asked of few of many members."""
    configuration: Configuration | None
    """The occupation; None for the host and for reference phases."""
    kind: Kind
    of: str | None = None
    """Label of the member that it is derived from."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How a derived member was made, as its selection recorded it."""

    @cached_property
    def space_group(self) -> str:
        """Of the unrelaxed structure, Hermann–Mauguin."""
        return self.symmetry()

    @property
    def is_host(self) -> bool:
        """Whether nothing is substituted."""
        return self.kind is Kind.HOST

    @property
    def is_ranked(self) -> bool:
        """Whether it takes part in the ranking of its content: configurations alone do."""
        return self.kind is Kind.CONFIGURATION

    @property
    def content(self) -> str:
        """``K03``; the host is a content of its own."""
        return self.label.split("/")[0].split("~")[0]

    def parents(self, stage: Stage, asked: Collection[Stage]) -> tuple[Parent, ...]:
        """The calculations that a stage of this member waits for.

        Parameters
        ----------
        asked : the stages of the campaign: a parent that it leaves out is none.
        """
        if self.kind is Kind.VARIANT and stage is Stage.STATIC:
            assert self.of is not None
            own = Parent(self.of, Stage.RELAX, (Takes.STRUCTURE,))
            return own, Parent(self.recipe["cell_of"], Stage.RELAX, (Takes.CELL,))
        return own_parents(self.label, stage, asked)


def own_parents(label: str, stage: Stage, asked: Collection[Stage]) -> tuple[Parent, ...]:
    """The calculations of the same member that a stage waits for; all of them but for derived members."""
    return tuple(Parent(label, parent, takes) for parent, takes in stage.parents.items() if parent in asked)


def _electronegativity(element: str) -> float:
    """Pauling's; infinite for elements that have none."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen's, that there is none
        found = float(Element(element).X)
    return inf if isnan(found) else found


def in_poscar_order(crystal: Crystal) -> Crystal:
    """Elements from the most electropositive on, so that every member of a set names them in one order; those without
    an electronegativity (He, Ne, Ar) last."""
    rank = {species: (_electronegativity(species), species) for species in set(crystal.species)}
    order = sorted(range(len(crystal)), key=lambda i: rank[crystal.species[i]])
    return Crystal(crystal.lattice, tuple(crystal.species[i] for i in order), crystal.positions[order])
