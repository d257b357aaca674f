"""What a campaign knows of each ended calculation: the parsed result with its provenance and doubts, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.errors import CampaignError, ParseError
from kalloy.structures.crystal import Crystal
from kalloy.workflows.attempt import Attempt, Outcome
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member


@dataclass(frozen=True)
class CampaignResult:
    """One calculation's result."""

    member: str
    stage: Stage
    attempt: str
    """``a01``."""
    folder: str
    """Relative to the campaign."""
    outcome: Outcome
    """How the attempt ended."""
    cause: str | None
    """Why, where it is not done."""
    parsed: dict[str, Any] | None
    """What `kalloy parse` says of the folder; None where nothing can be read."""
    lattice_A: list[list[float]] | None
    """Last lattice, rows a, b, c in Å."""
    space_group: str | None
    """Of the last structure, Hermann–Mauguin."""
    largest_force_eV_A: float | None
    """Of the last ionic step."""
    largest_stress_kB: float | None
    """Largest component of the last stress."""
    settings: dict[str, Any]
    """What was effective, for `kalloy.workflows.screening.agreement`."""
    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    differences: list[str] = field(default_factory=list)
    """What the engine says it does otherwise than VASP, one sentence each."""

    @property
    def is_usable(self) -> bool:
        """Whether it is done, and its files say so: complete, and converged by its own criteria."""
        if self.outcome is not Outcome.DONE or self.parsed is None:
            return False
        ionic = self.parsed["ionic_converged"]
        moved = ionic is True if self.stage.is_relaxation else ionic is not False
        return bool(self.parsed["complete"]) and self.parsed["electronic_converged"] is True and moved

    @property
    def why_not(self) -> str:
        """In words, where it is not usable."""
        if self.cause:
            return self.cause
        return f"{self.folder} does not say that it is complete and converged"

    @property
    def energy_eV(self) -> float | None:
        """E(σ→0) of the cell."""
        return self.parsed["energy_eV"] if self.parsed else None

    @property
    def volume_A3(self) -> float | None:
        """Of the cell."""
        return self.parsed["volume_A3"] if self.parsed else None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> CampaignResult:
        """From `to_json`."""
        known = {f.name for f in fields(cls)}
        plain = {k: v for k, v in raw.items() if k in known}
        return cls(**{**plain, "stage": Stage(raw["stage"]), "outcome": Outcome(raw["outcome"])})


COMPARED = (
    *("ENMAX", "EDIFF", "EDIFFG", "PREC", "GGA", "METAGGA", "LHFCALC", "AEXX", "HFSCREEN", "LDAU", "IVDW", "LUSE_VDW"),
    *("LASPH", "LREAL"),
    *("LSORBIT", "ISPIN", "ISYM", "ISMEAR", "SIGMA", "NELECT"),
)
"""Parameters that decide whether two energies may be compared, by VASP's names."""
_BY_SPECIES = ("LDAUL", "LDAUU", "LDAUJ")
SETTING_NAMES = {"ENMAX": "ENCUT (eV)", "EDIFF": "EDIFF (eV)", "SIGMA": "SIGMA (eV)"}
"""What a parameter is called among the effective settings, where that is not VASP's name."""


def _hash_or_none(path: Path) -> str | None:
    return hash_of(path) if path.is_file() else None


def parse_attempt(attempt: Attempt, root: Path) -> CampaignResult:
    """Read an ended attempt."""
    from kalloy.parsers.result import read_result

    end, written = attempt.end, attempt.written
    assert end is not None
    common = {
        "member": written["member"],
        "stage": Stage(written["stage"]),
        "attempt": attempt.folder.name,
        "folder": str(attempt.folder.relative_to(root)),
        "outcome": Outcome(end["outcome"]),
        "cause": end["cause"],
        "cpu_seconds": end.get("cpu_seconds"),
        "wall_seconds": end.get("wall_seconds"),
    }
    try:
        result = read_result(attempt.folder)
    except ParseError:
        # The end record says why there is nothing to read.
        nothing = dict.fromkeys(("parsed", "lattice_A", "space_group", "largest_force_eV_A", "largest_stress_kB"))
        return CampaignResult(**common, **nothing, settings={})  # type: ignore[arg-type]
    parsed = result.to_json() | {"folder": common["folder"]}
    changed = end.get("outputs", {}).get("vasprun.xml") not in (None, _hash_or_none(attempt.folder / "vasprun.xml"))
    if changed:
        parsed["warnings"] = [*parsed["warnings"], "vasprun.xml is not the one that the engine left"]
    step = result.vasprun.last_complete_step if result.vasprun else None
    lattice, settings = result.crystal.lattice if result.crystal else None, effective_settings(result)
    if adopted := written.get("adopted"):
        parsed, lattice, settings = _in_basis(adopted, parsed, lattice, settings)
    return CampaignResult(
        **common,
        parsed=parsed,
        lattice_A=lattice.tolist() if lattice is not None else None,
        space_group=_space_group(result.crystal) if result.crystal else None,
        largest_force_eV_A=_largest_row(step.forces) if step else None,
        largest_stress_kB=float(abs(step.stress).max()) if step is not None and step.stress is not None else None,
        settings=settings,
        differences=list(result.vasprun.header.differences) if result.vasprun else [],
    )


def _in_basis(adopted: dict[str, Any], parsed: Any, lattice: Any, settings: Any) -> tuple[Any, Any, Any]:
    """What an adopted calculation says of directions, in the lattice vectors of the campaign's member.

    L' = M L for the lattice; k' = M k for what is fractional in the reciprocal vectors, as k · a does not change.
    """
    import numpy as np

    basis = np.array(adopted["basis"])
    turned = {name: (np.array(parsed[name]) @ basis.T).tolist() for name in ("vbm_k", "cbm_k") if parsed[name]}
    mesh = {"k-mesh": adopted["k_mesh"]} if adopted["k_mesh"] else {}
    return parsed | turned, None if lattice is None else basis @ lattice, settings | mesh


def require_identity(attempt: Attempt, member: Member) -> None:
    """Refuse an attempt that was made for another structure than its member's: the host or the cell was changed."""
    if attempt.written["identity"] != member.identity:
        raise CampaignError(
            f"holds another structure than kalloy.toml now asks for as {member.label}",
            where=str(attempt.folder),
            mend="restore the host, or start a new campaign for another one",
        )


def effective_settings(result: Any) -> dict[str, Any]:
    """What decides whether two energies may be compared, as the engine says it used it."""
    vasprun = result.vasprun
    if vasprun is None:
        return {}
    parameters, atoms, kpoints = vasprun.parameters, vasprun.atoms, vasprun.kpoints
    return {
        "program": vasprun.header.program,
        "version": vasprun.header.version,
        **{SETTING_NAMES.get(name, name): parameters.get(name) for name in COMPARED},
        "GGA": _functional(parameters.get("GGA"), atoms),
        "Hubbard U": hubbard(_with_whole_lists(vasprun), atoms.elements if atoms else ()),
        "k-mesh": _mesh(kpoints),
        "datasets": dict(zip(atoms.elements, atoms.titles, strict=True)) if atoms else {},
        "atoms": len(atoms.species) if atoms else None,
    }


def _functional(tag: Any, atoms: Any) -> Any:
    """VASP takes the datasets' own functional where GGA is not set (``--``); of the PBE ones it is PE."""
    if tag == "--" and atoms and all(title.startswith("PAW_PBE ") for title in atoms.titles):
        return "PE"
    return tag


def _with_whole_lists(vasprun: Any) -> dict[str, Any]:
    """The effective parameters, but what goes by species as INCAR has it: VASP writes one number among the former."""
    asked = {name: vasprun.incar[name] for name in _BY_SPECIES if isinstance(vasprun.incar.get(name), tuple)}
    return {**vasprun.parameters, **asked}


def hubbard(parameters: Mapping[str, Any], elements: Sequence[str]) -> dict[str, str]:
    """U and J of each element that has them, in words; U = J = 0 is none, whatever the l.

    Parameters
    ----------
    parameters : by VASP's names; their lists are in the order of ``elements``.
    """
    if parameters.get("LDAU") is not True:
        return {}
    lists, found = [parameters.get(name) for name in _BY_SPECIES], {}
    kind = parameters.get("LDAUTYPE", 2)  # VASP's default
    kind = kind[0] if isinstance(kind, list | tuple) and kind else kind  # which vasprun.xml writes as a list of one
    for at, element in enumerate(elements):
        shell, u, j = (said[at] if isinstance(said, list | tuple) and at < len(said) else 0 for said in lists)
        if shell != -1 and (u != 0 or j != 0):
            found[element] = f"LDAUTYPE {kind}, l = {shell}, U = {_number(u)}, J = {_number(j)} eV"
    return found


def _number(value: object) -> str:
    """As it is compared; a number that did not fit its field is unknown."""
    return f"{value:g}" if isinstance(value, int | float) else "unknown"


def _mesh(kpoints: Any) -> str | None:
    if kpoints is None:
        return None
    if len(kpoints.divisions) == 3:
        moved = f" shifted by {' '.join(f'{x:g}' for x in kpoints.user_shift)}" if any(kpoints.user_shift) else ""
        return f"{kpoints.generation} {'x'.join(map(str, kpoints.divisions))}{moved}"
    if kpoints.generators is not None and abs(np.linalg.det(kpoints.generators)) > 0:
        return _generated(kpoints)
    return f"{len(kpoints.weights)} points"


def _generated(kpoints: Any) -> str:
    """A mesh by generating vectors, the same words for the same points whatever basis they are written in."""
    mesh = Mesh.of(np.rint(np.linalg.inv(kpoints.generators)), np.rint(2 * np.array(kpoints.shift)))
    periods = ", ".join(" ".join(map(str, row)) for row in mesh.matrix)
    return f"generated {mesh.count} points ({periods}; shift {' '.join(map(str, mesh.halves))} halves)"


def _largest_row(forces: Any) -> float | None:
    return float((forces**2).sum(axis=1).max() ** 0.5) if forces is not None else None


def _space_group(crystal: Crystal) -> str:
    from kalloy.structures.symmetry import space_group

    return space_group(crystal, 0.01).symbol
