"""How far apart two energies must be to mean anything: the k-mesh's noise and the relaxation's scatter, measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.recipes import meshes_keep_symmetry
from kalloy.workflows.screening.agreement import disagreements
from kalloy.workflows.screening.columns import Results


@dataclass(frozen=True)
class Repeat:
    """One configuration computed twice."""

    member: str
    again: str
    """Its duplicate, or its rattled relaxation."""
    difference_meV: float | None
    """E(again) − E(member) per cell, of the static stages; None where it cannot be said."""
    note: str
    """Why it cannot."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        return {
            "member": self.member,
            "again": self.again,
            "difference_meV_per_cell": self.difference_meV,
            "note": self.note,
        }


@dataclass(frozen=True)
class NoiseFloor:
    """What an energy difference between two configurations is uncertain by."""

    duplicates: tuple[Repeat, ...]
    """The same configuration where the k-mesh meets it differently; relaxed and computed like all others."""
    rattled: tuple[Repeat, ...]
    """The same configuration relaxed from displaced atoms."""
    mesh_is_zero: bool
    """Whether every operation of the host maps the meshes on themselves: then a duplicate's energy is the same."""
    formula_units: int
    """Of the host in the cell."""

    @property
    def mesh_meV(self) -> float | None:
        """Largest |E(c) − E(duplicate)| per cell; 0 where symmetry says so; None where it was not measured."""
        measured = _largest(self.duplicates)
        return 0.0 if measured is None and self.mesh_is_zero else measured

    @property
    def relaxation_meV(self) -> float | None:
        """Largest |E(c) − E(rattled)| per cell; None where it was not measured."""
        return _largest(self.rattled)

    @property
    def by_content(self) -> dict[str, float]:
        """Per cell and content: the largest difference that was measured, from whichever cause."""
        found: dict[str, float] = {}
        for repeat in (*self.duplicates, *self.rattled):
            if repeat.difference_meV is not None:
                content = repeat.member.split("/")[0]
                found[content] = max(found.get(content, 0.0), abs(repeat.difference_meV))
        return found

    @property
    def mesh_meV_fu(self) -> float | None:
        """The mesh's noise per formula unit of the host."""
        return self._per_unit(self.mesh_meV)

    @property
    def relaxation_meV_fu(self) -> float | None:
        """The relaxation's scatter per formula unit of the host."""
        return self._per_unit(self.relaxation_meV)

    def _per_unit(self, value: float | None) -> float | None:
        return None if value is None else value / self.formula_units

    @property
    def lines(self) -> list[str]:
        """In words, one line each."""
        return [*_mesh_lines(self), *_relaxation_lines(self)]

    def to_json(self) -> dict[str, Any]:
        """Plain data, units in the names."""
        return {
            "mesh_meV_per_formula_unit": self.mesh_meV_fu,
            "mesh_is_zero_by_symmetry": self.mesh_is_zero,
            "relaxation_meV_per_formula_unit": self.relaxation_meV_fu,
            "duplicates": [r.to_json() for r in self.duplicates],
            "rattled": [r.to_json() for r in self.rattled],
        }


def noise_floor(campaign: Campaign, results: Results) -> NoiseFloor:
    """What has been measured of a campaign's noise, or is known of it by symmetry."""
    derived = campaign.members.values()
    return NoiseFloor(
        duplicates=tuple(_repeat(m, results) for m in derived if m.kind is Kind.DUPLICATE),
        rattled=tuple(_repeat(m, results) for m in derived if m.kind is Kind.RATTLED),
        mesh_is_zero=meshes_keep_symmetry(campaign),
        formula_units=campaign.host.crystal.formula_units,
    )


def _repeat(member: Member, results: Results) -> Repeat:
    assert member.of is not None
    first, again = (results.get((label, Stage.STATIC)) for label in (member.of, member.label))
    for label, result in ((member.of, first), (member.label, again)):
        if result is None or not result.is_usable:
            return Repeat(member.of, member.label, None, f"{label}: {result.why_not if result else 'not computed yet'}")
    assert first is not None
    assert again is not None
    if differing := disagreements([first, again]):
        return Repeat(member.of, member.label, None, f"not computed alike: {', '.join(differing)} differ")
    assert first.energy_eV is not None
    assert again.energy_eV is not None
    return Repeat(member.of, member.label, 1000 * (again.energy_eV - first.energy_eV), "")


def _largest(repeats: tuple[Repeat, ...]) -> float | None:
    return max((abs(r.difference_meV) for r in repeats if r.difference_meV is not None), default=None)


def _mesh_lines(floor: NoiseFloor) -> list[str]:
    if not floor.duplicates:
        if floor.mesh_is_zero:
            return ["mesh noise is zero by symmetry: every operation of the host maps the k-meshes on themselves"]
        return [
            "the k-meshes break the lattice's symmetry: energies depend on a configuration's orientation, by how much "
            "is not measured ([noise] duplicate = true does)"
        ]
    return [
        f"mesh noise: {r.again} {_difference(r, floor)}, the same structure in another orientation"
        for r in floor.duplicates
    ]


def _relaxation_lines(floor: NoiseFloor) -> list[str]:
    return [f"relaxation: {r.again} {_difference(r, floor)}, relaxed from displaced atoms" for r in floor.rattled]


def _difference(repeat: Repeat, floor: NoiseFloor) -> str:
    if repeat.difference_meV is None:
        return f"cannot be compared ({repeat.note})"
    return f"is {repeat.difference_meV / floor.formula_units:+.2f} meV/f.u. from {repeat.member}"
