"""Rules about spins, and about lists that go atom by atom or species by species."""

from __future__ import annotations

from kalloy.workflows.inputs.checks.finding import Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.registry import VASP, Fault, Faults, rule
from kalloy.workflows.inputs.incar import BY_ELEMENT


@rule("magmom-length", Severity.ERROR)
def magmom_length(inputs: Inputs) -> Faults:
    """One moment an atom, three for spinors."""
    moments = inputs.tags.get("MAGMOM")
    if not isinstance(moments, list | tuple) or (inputs.number("ISPIN", 1) == 1 and not inputs.is_spinor):
        return
    given = sum(len(m) if isinstance(m, list | tuple) else 1 for m in moments)
    wanted = inputs.atoms * (3 if inputs.is_spinor else 1)
    if given != wanted:
        each = "three an atom" if inputs.is_spinor else "one an atom"
        yield Fault(f"MAGMOM has {given} numbers and {each} are {wanted}", "MAGMOM", f'MAGMOM = "{wanted}*0"')


@rule("spin-without-moments", Severity.WARNING)
def spin_without_moments(inputs: Inputs) -> Faults:
    """VASP starts from 1 μB on every atom, which may be no minimum at all."""
    if inputs.number("ISPIN", 1) == 2 and "MAGMOM" not in inputs.tags and not inputs.has_fixed_density:
        yield Fault("ISPIN = 2 without MAGMOM starts from 1 μB on every atom", "MAGMOM", "state MAGMOM")


@rule("moments-without-spin", Severity.WARNING)
def moments_without_spin(inputs: Inputs) -> Faults:
    """Moments of a calculation that has none."""
    moments = inputs.tags.get("MAGMOM")
    if moments and inputs.number("ISPIN", 1) == 1 and not inputs.is_spinor:
        yield Fault("MAGMOM does nothing with ISPIN = 1", "MAGMOM", "ISPIN = 2, or leave MAGMOM out")


@rule("spinors-without-moments", Severity.WARNING, engines=VASP)
def spinors_without_moments(inputs: Inputs) -> Faults:
    """VASP's default for spinors is 1 μB along each direction, on every atom."""
    if inputs.is_spinor and "MAGMOM" not in inputs.tags and not inputs.has_fixed_density:
        mend = f'MAGMOM = "{3 * inputs.atoms}*0" for what has no moments'
        yield Fault("spinors without MAGMOM start with a moment on every atom", "MAGMOM", mend)


@rule("species-length", Severity.ERROR, engines=VASP)
def species_length(inputs: Inputs) -> Faults:
    """Lists that go by POSCAR's species."""
    on = inputs.flag("LDAU")
    for tag in ("LDAUL", "LDAUU", "LDAUJ", "RWIGS"):
        values = inputs.tags.get(tag)
        if isinstance(values, list | tuple) and len(values) != len(inputs.composition) and (on or tag == "RWIGS"):
            species = " ".join(inputs.composition)
            message = f"{tag} has {len(values)} numbers for {len(inputs.composition)} species ({species})"
            table = ", ".join(
                f"{element} = {value}" for element, value in zip(inputs.composition, values, strict=False)
            )
            mend = f"give it by element in kalloy.toml, for members differ in theirs: {tag} = {{ {table} }}"
            yield Fault(message, tag, mend if tag in BY_ELEMENT else None)
