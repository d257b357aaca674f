"""Rules about the electrons: convergence, bands, smearing, density."""

from __future__ import annotations

from kalloy.workflows.inputs.checks.finding import Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.registry import VASP, Fault, Faults, rule
from kalloy.workflows.inputs.stage import Takes


@rule("ediff-zero", Severity.ERROR)
def ediff_zero(inputs: Inputs) -> Faults:
    """Nothing reaches it."""
    if "EDIFF" in inputs.tags and inputs.number("EDIFF", 1) == 0:
        yield Fault("EDIFF = 0 can never be reached", "EDIFF", "EDIFF = 1E-6 (eV)")


@rule("ediff-negative", Severity.WARNING)
def ediff_negative(inputs: Inputs) -> Faults:
    """VASP takes its size."""
    if inputs.number("EDIFF", 1) < 0:
        size = abs(inputs.number("EDIFF", 1))
        yield Fault(
            f"EDIFF = {inputs.tags['EDIFF']} is below zero: VASP takes {size:g} eV", "EDIFF", f"EDIFF = {size:g}"
        )


@rule("ediff-for-forces", Severity.WARNING)
def ediff_for_forces(inputs: Inputs) -> Faults:
    """Forces err to first order of the density: an electronic threshold as large as the ionic one says nothing."""
    force = -inputs.number("EDIFFG", 0)
    if inputs.moves and force > 0 and abs(inputs.number("EDIFF", 1e-4)) > force / 10:
        why = f"EDIFF = {inputs.tags.get('EDIFF', '1E-4 (VASP default)')} is coarse for forces of {force:g} eV/Å"
        yield Fault(why, "EDIFF", "EDIFF = 1E-6")


@rule("density-without-parent", Severity.ERROR)
def density_without_parent(inputs: Inputs) -> Faults:
    """ICHARG = 1 or 11 reads a CHGCAR, and nobody brings one."""
    if inputs.stage and Takes.CHARGE_DENSITY not in inputs.takes and inputs.number("ICHARG", 2) in (1, 11):
        why = f"ICHARG = {inputs.tags['ICHARG']} reads a charge density, and '{inputs.stage}' takes none from a parent"
        yield Fault(why, "ICHARG", "leave ICHARG out")


@rule("density-not-written", Severity.ERROR)
def density_not_written(inputs: Inputs) -> Faults:
    """A later stage is to take what LCHARG = .FALSE. keeps from being written."""
    if Takes.CHARGE_DENSITY in inputs.gives and inputs.tags.get("LCHARG", True) is False:
        yield Fault("LCHARG = .FALSE., but a later stage takes its charge density", "LCHARG", "LCHARG = .TRUE.")


@rule("density-not-read", Severity.WARNING)
def density_not_read(inputs: Inputs) -> Faults:
    """The parent's density is copied in and then set aside."""
    reads = inputs.number("ICHARG", 2) in (0, 1, 5, 10, 11) or inputs.number("ISTART", 0) > 0
    if Takes.CHARGE_DENSITY in inputs.takes and not reads:
        yield Fault("takes its parent's charge density and does not read it", "ICHARG", "ICHARG = 11 (or 1)")


@rule("lmaxmix", Severity.WARNING, engines=VASP)
def lmaxmix(inputs: Inputs) -> Faults:
    """CHGCAR holds the one-centre terms up to LMAXMIX only: 4 with d electrons, 6 with f."""
    reads = inputs.has_fixed_density
    needed = max((_needed_lmaxmix(*pair) for pair in zip(inputs.composition, inputs.datasets, strict=False)), default=2)
    if (reads or Takes.CHARGE_DENSITY in inputs.gives) and inputs.number("LMAXMIX", 2) < needed:
        shell = "f" if needed == 6 else "d"
        what = "is read" if reads else "is read by a later stage"
        why = f"LMAXMIX = {inputs.tags.get('LMAXMIX', '2 (VASP default)')} with {shell} electrons, and CHGCAR {what}"
        yield Fault(why, "LMAXMIX", f"LMAXMIX = {needed}, in the parent too")


def _needed_lmaxmix(element: str, dataset: str) -> int:
    from pymatgen.core import Element

    kind = Element(element)
    if (
        (kind.is_lanthanoid or kind.is_actinoid)
        and element not in ("La", "Lu", "Ac")
        and dataset[-2:] not in ("_2", "_3")
    ):
        return 6
    return 4 if kind.is_transition_metal or dataset.split("_")[1:2] == ["d"] else 2


@rule("nbands-too-few", Severity.ERROR)
def nbands_too_few(inputs: Inputs) -> Faults:
    """Fewer bands than electrons fill."""
    if inputs.filled and "NBANDS" in inputs.tags and inputs.number("NBANDS", 0) < inputs.filled:
        why = f"NBANDS = {inputs.tags['NBANDS']} is fewer than the {inputs.filled} filled bands"
        yield Fault(why, "NBANDS", f"NBANDS = {inputs.filled} and some empty ones")


@rule("nbands-no-empty", Severity.WARNING)
def nbands_no_empty(inputs: Inputs) -> Faults:
    """Without an empty band there is no gap to read."""
    if inputs.filled and inputs.number("NBANDS", 0) == inputs.filled:
        yield Fault(f"NBANDS = {inputs.filled} has no empty band, so no gap can be read", "NBANDS", "some more bands")


@rule("smearing-of-metals", Severity.WARNING)
def smearing_of_metals(inputs: Inputs) -> Faults:
    """VASP's documentation: never ISMEAR > 0 for semiconductors and insulators; it is VASP's default."""
    if inputs.number("ISMEAR", 1) > 0 and not _all_metals(inputs):
        given = f"ISMEAR = {inputs.tags['ISMEAR']}" if "ISMEAR" in inputs.tags else "ISMEAR is not given, and VASP's 1"
        yield Fault(f"{given} is for metals: wrong energies where there is a gap", "ISMEAR", "ISMEAR = 0, SIGMA = 0.05")


@rule("tetrahedra-in-relaxation", Severity.WARNING)
def tetrahedra_in_relaxation(inputs: Inputs) -> Faults:
    """The tetrahedron method with corrections is not variational: forces of metals are wrong by 5 to 10 %."""
    if inputs.moves and inputs.tetrahedra and _all_metals(inputs):
        yield Fault("tetrahedra give wrong forces in a metal", "ISMEAR", "ISMEAR = 1, SIGMA = 0.2 to relax")


@rule("sigma-wide", Severity.WARNING)
def sigma_wide(inputs: Inputs) -> Faults:
    """A Gaussian of a tenth of an eV and more is wider than what is compared."""
    if inputs.number("ISMEAR", 1) in (0, -1) and inputs.number("SIGMA", 0.2) > 0.1 and not _all_metals(inputs):
        given = inputs.tags.get("SIGMA", "0.2 (VASP default)")
        yield Fault(f"SIGMA = {given} eV is wide where there is a gap", "SIGMA", "SIGMA = 0.05")


@rule("sigma-not-positive", Severity.ERROR)
def sigma_not_positive(inputs: Inputs) -> Faults:
    """No width."""
    if not inputs.tetrahedra and inputs.number("ISMEAR", 1) >= -1 and inputs.number("SIGMA", 0.2) <= 0:
        yield Fault(f"SIGMA = {inputs.tags['SIGMA']} is no width", "SIGMA", "SIGMA = 0.05")


@rule("hybrid-fixed-density", Severity.ERROR, engines=VASP)
def hybrid_fixed_density(inputs: Inputs) -> Faults:
    """Exact exchange depends on the orbitals: it cannot be had from a charge density."""
    if inputs.flag("LHFCALC") and inputs.has_fixed_density:
        mend = "leave ICHARG out; give the path as points of zero weight or in KPOINTS_OPT"
        yield Fault(f"LHFCALC with ICHARG = {inputs.tags['ICHARG']}", "ICHARG", mend)


@rule("hybrid-algorithm", Severity.WARNING, engines=VASP)
def hybrid_algorithm(inputs: Inputs) -> Faults:
    """RMM-DIIS is not supported with exact exchange."""
    if inputs.flag("LHFCALC") and inputs.word("ALGO", "normal")[:1] in ("f", "v"):
        yield Fault(
            f"ALGO = {inputs.tags['ALGO']} is not supported with LHFCALC", "ALGO", "ALGO = All, Damped or Normal"
        )


@rule("prec-old", Severity.WARNING)
def prec_old(inputs: Inputs) -> Faults:
    """Of VASP 4; VASP's documentation advises against all three."""
    if inputs.word("PREC", "normal")[:1] in ("l", "m", "h"):
        yield Fault(f"PREC = {inputs.tags['PREC']} is kept for old inputs only", "PREC", "PREC = Accurate or Normal")


@rule("lreal-small-cell", Severity.NOTE, engines=VASP)
def lreal_small_cell(inputs: Inputs) -> Faults:
    """Real-space projectors cost accuracy and save time in large cells alone."""
    if inputs.tags.get("LREAL", False) not in (False, "False") and inputs.atoms < 16:
        yield Fault(
            f"LREAL = {inputs.tags['LREAL']} with {inputs.atoms} atoms", "LREAL", "LREAL = .FALSE. is more exact"
        )


@rule("npar-and-ncore", Severity.WARNING, engines=VASP)
def npar_and_ncore(inputs: Inputs) -> Faults:
    """One of them is set aside."""
    if "NPAR" in inputs.tags and "NCORE" in inputs.tags:
        yield Fault("NPAR and NCORE say the same thing twice; VASP takes NPAR", "NCORE", "give NCORE alone")


def _all_metals(inputs: Inputs) -> bool:
    from pymatgen.core import Element

    return all(Element(element).is_metal for element in inputs.composition)
