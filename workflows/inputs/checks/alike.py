"""Whether all members are computed alike: the same INCAR but SYSTEM, the same KPOINTS, datasets and electrons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Any

from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.survey import Case
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind

_OWN = ("SYSTEM", "MAGMOM", "EMIN", "EMAX", "NBANDS")
"""Tags that belong to a member: its name, its atoms, and what is taken from its parent's bands."""
_BY_SPECIES = ("LDAUL", "LDAUU", "LDAUJ")
"""Lists that go by POSCAR's species: compared element by element."""
_NUMERICAL = """
ALGO IALGO AMIX BMIX AMIN AMIX_MAG BMIX_MAG WC IMIX MAXMIX NELM NELMIN NELMDL TIME POTIM IBRION NSW ISTART
NCORE NPAR KPAR NSIM LPLANE LSCALAPACK LSCALU LASYNC NCSHMEM LWAVE LCHARG SYMPREC
"""
"""Tags that change the way to a result and not the result; a run may have mended them."""


def check_alike(cases: Collection[Case]) -> Iterator[Finding]:
    """Findings about members that differ from most of the others at the same stage; datasets at any stage."""
    yield from _datasets(cases)
    by_stage: dict[Stage, list[Case]] = {}
    for case in cases:
        by_stage.setdefault(case.stage, []).append(case)
    for stage, found in by_stage.items():
        kin = [case for case in found if case.member.kind is not Kind.REFERENCE]
        yield from _differences(stage, "incar-differs", "INCAR", kin, lambda case: id(case.inputs.tags), _physics)
        yield from _moments(stage, kin)
        yield from _differences(stage, "kpoints-differ", "KPOINTS", kin, _mesh_key, _mesh)
        yield from _species(stage, kin)
        yield from _electrons(stage, kin)


def _differences(
    stage: Stage,
    code: str,
    file: str,
    cases: list[Case],
    key: Callable[[Case], Hashable],
    values_of: Callable[[Case], dict[str, str]],
) -> Iterator[Finding]:
    """Each value that differs from the usual one; the values are taken once for all cases of one key."""
    counts = Counter(key(case) for case in cases)
    values = {key(case): case for case in cases}
    shared = {k: values_of(case) for k, case in values.items() if k is not None}
    for name in dict.fromkeys(name for each in shared.values() for name in each):
        tally: Counter[str | None] = Counter()
        for k, each in shared.items():
            tally[each.get(name)] += counts[k]
        if len(tally) < 2:
            continue
        usual = tally.most_common(1)[0][0]
        for case in cases:
            if key(case) is not None and (mine := shared[key(case)].get(name)) != usual:
                message = f"{_said(name, mine)} where most members have {_said(name, usual)}"
                yield Finding(
                    Severity.ERROR, code, message, _MEND, stage.value, file, name or None, (case.member.label,)
                )


_MEND = "what is ranked must be computed alike: take back the change, or start a new campaign with it"


def _said(name: str, value: str | None) -> str:
    if not name:
        return f"'{value if value is None or len(value) < 60 else value[:57] + '…'}'"
    return f"no {name}" if value is None else f"{name} = {value}"


def _physics(case: Case) -> dict[str, str]:
    skipped = {*_OWN, *_NUMERICAL.split(), *_BY_SPECIES}
    return {tag: _text(value) for tag, value in case.inputs.tags.items() if tag not in skipped}


def _of_species(case: Case) -> dict[str, str]:
    """What DFT+U does to each element; nothing where a list has another length, which is another error."""
    if not case.inputs.flag("LDAU"):
        return {}
    found: dict[str, str] = {}
    for tag in _BY_SPECIES:
        values = case.inputs.tags.get(tag, ())
        values = values if isinstance(values, list | tuple) else (values,)
        if len(values) == len(case.inputs.composition):
            found |= {f"{tag} of {e}": _text(v) for e, v in zip(case.inputs.composition, values, strict=True)}
    return found


def _moments(stage: Stage, cases: list[Case]) -> Iterator[Finding]:
    """Moments that differ among atoms of one element, while the order of these is each configuration's own."""
    if not any(case.member.is_ranked for case in cases):
        return
    for case in cases:
        if element := _unequal_moments(case):
            message = (
                f"MAGMOM gives atoms of {element} different moments, and which of them is where differs from "
                "configuration to configuration"
            )
            mend = f"give moments by element, MAGMOM = {{ {element} = 5 }}, or only to members whose order you know"
            yield Finding(
                Severity.WARNING, "moments-by-atom", message, mend, stage.value, "INCAR", "MAGMOM", (case.member.label,)
            )


def _unequal_moments(case: Case) -> str | None:
    """The first element whose atoms have not all the same moment."""
    moments, each = case.inputs.tags.get("MAGMOM"), 3 if case.inputs.is_spinor else 1
    if not isinstance(moments, list | tuple) or (case.inputs.number("ISPIN", 1) == 1 and not case.inputs.is_spinor):
        return None
    flat = [number for m in moments for number in (m if isinstance(m, list | tuple) else (m,))]
    if len(flat) != each * case.inputs.atoms:
        return None  # which is an error of its own
    start = 0
    for element, count in case.inputs.composition.items():
        own = [tuple(flat[each * i : each * (i + 1)]) for i in range(start, start + count)]
        if len(set(own)) > 1:
            return element
        start += count
    return None


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mesh_key(case: Case) -> str | None:
    """KPOINTS but its first line, of members in the host's cell: a mesh in another cell has other numbers."""
    if case.kpoints is None or case.member.kind in (Kind.VARIANT, Kind.DUPLICATE):
        return None
    return case.kpoints.partition("\n")[2]


def _mesh(case: Case) -> dict[str, str]:
    return {"": " ".join((_mesh_key(case) or "").split())}


def _species(stage: Stage, cases: list[Case]) -> Iterator[Finding]:
    """DFT+U of each element; not every member holds every element."""
    shared = {id(case.inputs.tags): _of_species(case) for case in cases}
    tallies: dict[str, Counter[str]] = {}
    for case in cases:
        for name, value in shared[id(case.inputs.tags)].items():
            tallies.setdefault(name, Counter())[value] += 1
    usual = {name: tally.most_common(1)[0][0] for name, tally in tallies.items() if len(tally) > 1}
    for case in cases if usual else ():
        for name, value in shared[id(case.inputs.tags)].items():
            if value != usual.get(name, value):
                message = f"{name} is {value} where most members have {usual[name]}"
                mend = f"give it by element: {name.split()[0]} = {{ {name.split()[-1]} = {usual[name]} }}"
                label = (case.member.label,)
                yield Finding(Severity.ERROR, "incar-differs", message, mend, stage.value, "INCAR", name, label)


def _electrons(stage: Stage, cases: list[Case]) -> Iterator[Finding]:
    """NELECT within each content."""
    contents: dict[str, list[Case]] = {}
    for case in cases:
        contents.setdefault(case.member.content, []).append(case)
    for content, found in contents.items():
        counts = Counter(case.inputs.electrons for case in found if case.inputs.electrons is not None)
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        for case in found:
            mine = case.inputs.electrons
            if mine is not None and mine != usual:
                message = f"NELECT = {mine:g} where most of {content} have {usual:g}"
                yield Finding(
                    Severity.ERROR, "nelect-differs", message, None, stage.value, "POTCAR", None, (case.member.label,)
                )


def _datasets(cases: Collection[Case]) -> Iterator[Finding]:
    """One dataset an element over the whole campaign: by name, and by hash where there was a POTCAR."""
    names: dict[str, Counter[str]] = {}
    for case in cases:
        for row in case.datasets:
            for key, value in _identities(row):
                names.setdefault(key, Counter())[value] += 1
    usual = {key: tally.most_common(1)[0][0] for key, tally in names.items() if len(tally) > 1}
    for case in cases if usual else ():
        for row in case.datasets:
            for key, value in _identities(row):
                if value != usual.get(key, value):
                    message = f"{row['element']} by {value} where most calculations have {usual[key]}"
                    label = (case.member.label,)
                    yield Finding(
                        Severity.ERROR, "dataset-differs", message, _MEND, case.stage.value, "POTCAR", None, label
                    )


def _identities(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "element" in row:
        yield f"{row['element']} name", row["dataset"]
        if "sha256" in row:
            yield f"{row['element']} hash", f"{row['titel']} (sha256 {row['sha256'][:8]})"
