"""Rules about what is read off in the end: densities of states, bands, optical spectra."""

from __future__ import annotations

from kalloy.workflows.inputs.checks.finding import Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.registry import VASP, Fault, Faults, rule
from kalloy.workflows.inputs.stage import Stage, Takes

READS_CHARACTER = (Stage.STATIC, Stage.DOS, Stage.BANDS)


@rule("optics-without-nbands", Severity.WARNING, engines=VASP)
def optics_without_nbands(inputs: Inputs) -> Faults:
    """VASP's default has hardly any empty bands to go to."""
    if inputs.flag("LOPTICS") and "NBANDS" not in inputs.tags and Takes.BANDS not in inputs.takes:
        mend = f"NBANDS = {3 * inputs.filled}" if inputs.filled else "NBANDS of two to three times the filled bands"
        yield Fault("LOPTICS without NBANDS has hardly any empty bands", "NBANDS", mend)


@rule("optics-few-bands", Severity.WARNING, engines=VASP)
def optics_few_bands(inputs: Inputs) -> Faults:
    """The sum over empty bands is cut short."""
    filled = inputs.filled
    if inputs.flag("LOPTICS") and filled and filled <= inputs.number("NBANDS", 0) < 2 * filled:
        why = f"LOPTICS with NBANDS = {inputs.tags['NBANDS']} for {filled} filled bands"
        yield Fault(why, "NBANDS", f"NBANDS = {2 * filled} to {3 * filled}")


@rule("nedos-coarse", Severity.NOTE)
def nedos_coarse(inputs: Inputs) -> Faults:
    """VASP's default of 301 points over the whole range of energies."""
    spectrum = inputs.stage is Stage.DOS or inputs.flag("LOPTICS")
    wanted = 2000 if inputs.flag("LOPTICS") else 300
    if spectrum and inputs.number("NEDOS", 301) < wanted:
        yield Fault(f"NEDOS = {inputs.tags.get('NEDOS', '301 (VASP default)')} is coarse", "NEDOS", "NEDOS = 3000")


@rule("character-not-written", Severity.NOTE)
def character_not_written(inputs: Inputs) -> Faults:
    """Projections tell what a band edge is made of."""
    if inputs.stage in READS_CHARACTER and inputs.number("LORBIT", 0) < 10:
        said = inputs.tags.get("LORBIT", "not given")
        yield Fault(f"LORBIT = {said}: no projections, so no character of the band edges", "LORBIT", "LORBIT = 11")


@rule("energy-window-empty", Severity.WARNING)
def energy_window_empty(inputs: Inputs) -> Faults:
    """EMIN at EMAX and above is set aside."""
    low, high = inputs.number("EMIN", 0), inputs.number("EMAX", 0)
    if "EMIN" in inputs.tags and "EMAX" in inputs.tags and low >= high:
        yield Fault(f"EMIN = {low:g} is not below EMAX = {high:g}: both are set aside", "EMIN", "EMIN below EMAX")
