"""Rules about what lies in an attempt's folder: before its parents are done, and once it has taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from kalloy.errors import VaspInputError
from kalloy.workflows.attempt import TAKEN, Attempt
from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.survey import Case
from kalloy.workflows.inputs.potcar import folder_blocks
from kalloy.workflows.inputs.potcar_blocks import require_order


def check_folder(case: Case) -> Iterator[Finding]:
    """Findings about a written attempt that has yet to run."""
    if case.attempt is None or not case.is_open:
        return
    folder = case.attempt.folder
    composition = poscar_composition(folder / "POSCAR")
    if composition is not None and composition != dict(case.member.crystal.composition):
        said = "".join(f"{e}{n}" for e, n in composition.items())
        yield _finding(case, "poscar-differs", f"POSCAR is {said}, the member {case.member.crystal.formula}", "POSCAR")
    if case.attempt.written["identity"] != case.member.identity:
        message = f"holds another structure than kalloy.toml now asks for as {case.member.label}"
        yield _finding(case, "host-changed", message, "POSCAR", "restore the host, or start a new campaign for another")
    yield from _order(case, folder, poscar_groups(folder / "POSCAR") or tuple(case.member.crystal.composition))
    if (folder / TAKEN).is_file():
        yield from _completed(case, folder, composition)
    else:
        yield from _edited(case, case.attempt)


def _order(case: Case, folder: Path, groups: tuple[str, ...]) -> Iterator[Finding]:
    """POTCAR's blocks against POSCAR's groups of atoms, one by one; an element may have two groups."""
    try:
        if (blocks := folder_blocks(folder)) is not None:
            require_order(blocks, groups)
    except VaspInputError as error:
        yield _finding(case, "potcar-order", error.what, "POTCAR", error.mend)


def _completed(case: Case, folder: Path, composition: dict[str, int] | None) -> Iterator[Finding]:
    """The level after the parents: what was to be taken is there."""
    if composition is None:
        yield _finding(case, "poscar-missing", "there is no POSCAR that can be read", "POSCAR", "write it again")
    density = folder / ("CHGCAR" if case.inputs.engine == "vasp" else "gpaw.gpw")
    if case.inputs.number("ICHARG", 2) in (1, 11) and not (density.is_file() and density.stat().st_size):
        mend = f"{density.name} of its parent belongs there"
        yield _finding(case, "density-missing", f"reads {density.name}, which is not there", density.name, mend)


def _edited(case: Case, attempt: Attempt) -> Iterator[Finding]:
    """Somebody's own hand: obeyed, and said."""
    recorded = attempt.written["inputs"]
    for name in ("INCAR", "KPOINTS", "POSCAR", "POTCAR"):
        path = attempt.folder / name
        if name not in recorded:
            continue
        if not path.is_file():
            yield _finding(
                case, "input-missing", f"{name} was written and is gone", name, "kalloy write makes a new one"
            )
        elif sha256(path.read_bytes()).hexdigest() != recorded[name]:
            message = f"{name} is not as it was written: somebody changed it by hand, and it is obeyed"
            yield _finding(case, "edited-by-hand", message, name, severity=Severity.WARNING)


def poscar_groups(path: Path) -> tuple[str, ...]:
    """The elements of POSCAR's line six as they stand there; none where it is not there or does not say so."""
    return tuple(name for name, _ in _groups(path))


def poscar_composition(path: Path) -> dict[str, int] | None:
    """Atoms by element as POSCAR's lines six and seven say; None where it is not there or does not say so."""
    found: dict[str, int] = {}
    for name, count in _groups(path):
        found[name] = found.get(name, 0) + count
    return found or None


def _groups(path: Path) -> list[tuple[str, int]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [file.readline() for _ in range(7)]
    except OSError:
        return []
    names, counts = lines[5].split(), lines[6].split()
    if len(names) != len(counts) or not all(c.isdigit() for c in counts):
        return []
    return [(name, int(count)) for name, count in zip(names, counts, strict=True)]


def _finding(
    case: Case, code: str, message: str, file: str, mend: str | None = None, severity: Severity = Severity.ERROR
) -> Finding:
    return Finding(severity, code, message, mend, case.stage.value, file, None, (case.member.label,))
