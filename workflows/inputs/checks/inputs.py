"""What one calculation would be given, read once: the neutral thing that the rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.stage import Stage, Takes


@dataclass(frozen=True)
class Inputs:
    """INCAR, KPOINTS and POSCAR of one calculation, with what its datasets say."""

    tags: Mapping[str, Any]
    """Upper case; typed as `checks.vasp_tags.read_tags` types them."""
    composition: Mapping[str, int]
    """Atoms by element, in POSCAR's order."""
    engine: str = "vasp"
    stage: Stage | None = None
    """None for a folder of which it is not known."""
    kpoints: Any = None
    """pymatgen's Kpoints; None where the k-points are not known yet."""
    crystal: Crystal | None = None
    takes: frozenset[Takes] = frozenset()
    """What it takes from its parents."""
    gives: frozenset[Takes] = frozenset()
    """What its children take from it."""
    datasets: tuple[str, ...] = ()
    """Names in POSCAR's order."""
    valences: Mapping[str, float] = field(default_factory=dict)
    """Electrons an atom by element, as far as known."""
    enmax: float | None = None
    """The largest ENMAX of the datasets, eV; None without POTCARs."""

    def number(self, tag: str, default: float) -> float:
        """A numeric tag, or VASP's default where it is missing or no number."""
        value = self.tags.get(tag, default)
        return default if isinstance(value, bool) or not isinstance(value, int | float) else value

    def flag(self, tag: str, default: bool = False) -> bool:
        """A truth value."""
        return self.tags.get(tag, default) is True

    def word(self, tag: str, default: str) -> str:
        """A word in lower case."""
        return str(self.tags.get(tag, default)).strip().lower()

    @property
    def atoms(self) -> int:
        """How many."""
        return sum(self.composition.values())

    @property
    def moves(self) -> bool:
        """Whether ions or cell move: NSW steps of a minimiser or of molecular dynamics."""
        nsw = self.number("NSW", 0)
        return nsw > 0 and self.number("IBRION", 0 if nsw > 1 else -1) in (0, 1, 2, 3)

    @property
    def has_fixed_density(self) -> bool:
        """ICHARG of 10 and above: the charge density is read and kept."""
        return self.number("ICHARG", 2) >= 10

    @property
    def is_spinor(self) -> bool:
        """Noncollinear, with or without spin-orbit coupling."""
        return self.flag("LSORBIT") or self.flag("LNONCOLLINEAR")

    @property
    def tetrahedra(self) -> bool:
        """ISMEAR -4, -5, and the Fermi-weighted -14, -15."""
        return self.number("ISMEAR", 1) in (-4, -5, -14, -15)

    @property
    def electrons(self) -> float | None:
        """NELECT as stated, else of the neutral cell, as far as the valences are known."""
        if "NELECT" in self.tags:
            return self.number("NELECT", 0)
        if not self.composition.keys() <= self.valences.keys():
            return None
        return sum(n * self.valences[e] for e, n in self.composition.items())

    @property
    def filled(self) -> int | None:
        """Bands that the electrons fill: half of their number, all of it for spinors."""
        electrons = self.electrons
        return None if electrons is None else -int(-electrons // (1 if self.is_spinor else 2))

    # -- k-points -------------------------------------------------------------------

    @property
    def is_on_lines(self) -> bool:
        """KPOINTS in line mode."""
        return self.kpoints is not None and self.kpoints.style.name == "Line_mode"

    @property
    def is_on_a_path(self) -> bool:
        """Whether the points hold no volume between them: on lines now, or once the path is known."""
        return self.is_on_lines or (self.kpoints is None and self.stage is not None and self.stage.is_on_a_path)

    @property
    def divisions(self) -> tuple[int, int, int] | None:
        """Subdivisions of a uniform mesh; None for every other kind of KPOINTS."""
        if self.kpoints is None or self.kpoints.style.name not in ("Gamma", "Monkhorst"):
            return None
        a, b, c = (round(float(n)) for n in self.kpoints.kpts[0])
        return a, b, c

    @cached_property
    def points(self) -> int | None:
        """How many k-points are computed; of a mesh the irreducible ones, None where the structure is not known."""
        from kalloy.workflows.inputs.expected import expected_points

        return None if self.kpoints is None else expected_points(self.kpoints, self.crystal, self.tags)
