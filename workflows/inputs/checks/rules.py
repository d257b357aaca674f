"""Every rule: importing this fills the table."""

from __future__ import annotations

from kalloy.workflows.inputs.checks import electrons, ions, kpoints, magnetism, spectra
from kalloy.workflows.inputs.checks.registry import RULES, apply_rules

__all__ = ["RULES", "apply_rules", "electrons", "ions", "kpoints", "magnetism", "spectra"]
