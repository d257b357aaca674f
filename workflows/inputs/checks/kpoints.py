"""Rules about k-points: enough of them, of the right kind, shared out among the processes."""

from __future__ import annotations

from kalloy.workflows.inputs.checks.finding import Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.registry import VASP, Fault, Faults, rule


@rule("tetrahedra-too-few", Severity.ERROR, "KPOINTS")
def tetrahedra_too_few(inputs: Inputs) -> Faults:
    """VASP stops with fewer than four irreducible points."""
    if inputs.tetrahedra and inputs.divisions and inputs.points is not None and inputs.points < 4:
        why = f"ISMEAR = {inputs.tags['ISMEAR']} needs four irreducible k-points, and there are {inputs.points}"
        yield Fault(why, "ISMEAR", "a denser mesh, or ISMEAR = 0")


@rule("tetrahedra-on-a-path", Severity.ERROR, "KPOINTS")
def tetrahedra_on_a_path(inputs: Inputs) -> Faults:
    """There is no volume between points on lines."""
    if inputs.tetrahedra and inputs.is_on_a_path:
        yield Fault(
            f"ISMEAR = {inputs.tags['ISMEAR']} on a path has no tetrahedra", "ISMEAR", "ISMEAR = 0, SIGMA = 0.05"
        )


@rule("path-self-consistent", Severity.ERROR, "KPOINTS")
def path_self_consistent(inputs: Inputs) -> Faults:
    """A density that is summed over lines is no crystal's."""
    if inputs.is_on_lines and not inputs.has_fixed_density:
        said = inputs.tags.get("ICHARG", "not given")
        yield Fault(f"a path with ICHARG = {said}: its density would be summed over lines", "ICHARG", "ICHARG = 11")


@rule("kspacing-idle", Severity.NOTE, "KPOINTS", engines=VASP)
def kspacing_idle(inputs: Inputs) -> Faults:
    """KPOINTS comes first."""
    if "KSPACING" in inputs.tags and inputs.kpoints is not None:
        yield Fault(f"KSPACING = {inputs.tags['KSPACING']} does nothing beside KPOINTS", "KSPACING", "leave it out")


@rule("kpar-idle", Severity.WARNING, "KPOINTS", engines=VASP)
def kpar_idle(inputs: Inputs) -> Faults:
    """More groups than k-points leave processes without work."""
    kpar = inputs.number("KPAR", 1)
    if kpar > 1 and inputs.points and inputs.points < kpar:
        why = f"KPAR = {kpar} for {inputs.points} irreducible k-points: some processes have nothing to do"
        yield Fault(why, "KPAR", f"KPAR = {inputs.points} or less")


@rule("kpar-not-positive", Severity.ERROR, engines=VASP)
def kpar_not_positive(inputs: Inputs) -> Faults:
    """Groups of processes are counted from one."""
    for tag in ("KPAR", "NCORE", "NPAR"):
        if tag in inputs.tags and inputs.number(tag, 1) < 1:
            yield Fault(f"{tag} = {inputs.tags[tag]} is no number of processes", tag, f"{tag} = 1 or more")
