"""Rules about ions and cell: what moves, until when, and whether the basis bears it."""

from __future__ import annotations

from kalloy.workflows.inputs.checks.finding import Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.registry import VASP, Fault, Faults, rule

PULAY = 1.3
"""VASP's documentation: with a changing cell the cut-off should be this many times ENMAX."""


@rule("moves-when-static", Severity.ERROR)
def moves_when_static(inputs: Inputs) -> Faults:
    """NSW > 0 in a stage that is none of relaxing."""
    if inputs.stage and not inputs.stage.is_relaxation and inputs.moves:
        yield Fault(f"NSW = {inputs.tags['NSW']} moves the ions in '{inputs.stage}'", "NSW", "NSW = 0, IBRION = -1")


@rule("still-when-relaxing", Severity.ERROR)
def still_when_relaxing(inputs: Inputs) -> Faults:
    """A relaxation in which nothing can move."""
    if inputs.stage and inputs.stage.is_relaxation and not inputs.moves:
        said = ", ".join(f"{tag} = {inputs.tags.get(tag, 'not given')}" for tag in ("NSW", "IBRION"))
        yield Fault(f"nothing moves in a relaxation: {said}", "NSW", "NSW = 100, IBRION = 2")


@rule("dynamics", Severity.ERROR)
def dynamics(inputs: Inputs) -> Faults:
    """IBRION = 0, VASP's default with NSW > 1, is molecular dynamics."""
    nsw = inputs.number("NSW", 0)
    if inputs.stage and inputs.stage.is_relaxation and nsw > 1 and inputs.number("IBRION", 0) == 0:
        yield Fault("IBRION = 0 is molecular dynamics, no relaxation", "IBRION", "IBRION = 2")


@rule("ediffg-energy", Severity.WARNING)
def ediffg_energy(inputs: Inputs) -> Faults:
    """EDIFFG > 0 stops at a change of energy, whatever the forces."""
    if inputs.moves and inputs.number("EDIFFG", 1) > 0 and inputs.number("IBRION", 0) in (1, 2, 3):
        given = f"EDIFFG = {inputs.tags['EDIFFG']}" if "EDIFFG" in inputs.tags else "EDIFFG is not given, and"
        yield Fault(f"{given} ends the relaxation by energy, not by forces", "EDIFFG", "EDIFFG = -0.02 (eV/Å)")


@rule("ediffg-never", Severity.WARNING)
def ediffg_never(inputs: Inputs) -> Faults:
    """EDIFFG = 0 runs to NSW."""
    if inputs.moves and "EDIFFG" in inputs.tags and inputs.number("EDIFFG", 1) == 0:
        yield Fault("EDIFFG = 0 goes on for all NSW steps", "EDIFFG", "EDIFFG = -0.02 (eV/Å)")


@rule("encut-below-enmax", Severity.WARNING, engines=VASP)
def encut_below_enmax(inputs: Inputs) -> Faults:
    """A cut-off under what a dataset was made for."""
    if inputs.enmax and "ENCUT" in inputs.tags and inputs.number("ENCUT", inputs.enmax) < inputs.enmax:
        why = f"ENCUT = {inputs.tags['ENCUT']} eV is below the largest ENMAX of the datasets, {inputs.enmax:g} eV"
        yield Fault(why, "ENCUT", f"ENCUT = {inputs.enmax:.0f} or more")


@rule("encut-for-cell", Severity.NOTE, engines=VASP)
def encut_for_cell(inputs: Inputs) -> Faults:
    """The basis is that of the start cell: Pulay stress."""
    relaxes_cell = inputs.moves and inputs.number("ISIF", 2) in (3, 4, 5, 6, 7, 8)
    if not relaxes_cell or not inputs.enmax or "ENCUT" not in inputs.tags:
        return
    advised = PULAY * inputs.enmax
    if inputs.enmax <= inputs.number("ENCUT", advised) < advised:
        why = f"the cell relaxes with ENCUT = {inputs.tags['ENCUT']} eV; {PULAY} ENMAX, {advised:.0f} eV, is advised"
        yield Fault(why, "ENCUT", "restarts from CONTCAR until a restart takes few steps do the same")


@rule("encut-not-given", Severity.WARNING, engines=VASP)
def encut_not_given(inputs: Inputs) -> Faults:
    """VASP's default is the largest ENMAX of the POTCAR, which another composition does not share."""
    if "ENCUT" not in inputs.tags and "ENMAX" not in inputs.tags:
        why = "ENCUT is not given: VASP takes the largest ENMAX of each POTCAR, which differs between compositions"
        yield Fault(why, "ENCUT", "state ENCUT")
