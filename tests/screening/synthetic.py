"""Campaigns with results that nobody computed: written straight into the index, for tests of what comes after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index, store
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult

SPEC = """
[host]
structure = "Cs4PbBr6"
cell = "{cell}"

[[substitution]]
replace = "Cs"
with = "K"
count = {count}

[calculation]
preset = "laptop"
engine = "gpaw"

[[step]]
stages = ["relax", "static"]
on = "all"
{more}
"""

SETTINGS: dict[str, Any] = {
    "program": "gpaw",
    "version": "26.7",
    "ENCUT (eV)": 400.0,
    "EDIFF (eV)": 1e-6,
    "GGA": "PE",
    "ISMEAR": 0,
    "NELECT": 184.0,
    "k-mesh": "Gamma 2x2x2",
    "datasets": {"Cs": "Cs 1", "Pb": "Pb 1", "Br": "Br 1"},
    "atoms": 22,
}


def make_campaign(folder: Path, *, cell: str = "primitive", count: str = "[3]", more: str = "") -> Campaign:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kalloy.toml").write_text(SPEC.format(cell=cell, count=count, more=more))
    return Campaign(folder)


def result(
    member: Member, stage: Stage, energy: float | None, *, lattice: Any = None, gap: float = 3.9, **settings: Any
) -> CampaignResult:
    """A usable result, or a failed one where the energy is None."""
    cell = np.asarray(member.crystal.lattice if lattice is None else lattice, float)
    parsed = {
        "energy_eV": energy,
        "volume_A3": float(abs(np.linalg.det(cell))),
        "complete": True,
        "electronic_converged": True,
        "ionic_converged": True if stage.is_relaxation else None,
        "gap_eV": gap,
        "metal": False,
        "direct_gap_eV": gap + 0.05,
        "vbm_eV": 1.0,
        "cbm_eV": 1.0 + gap,
        "vbm_k": [[0.0, 0.0, 0.0]],
        "cbm_k": [[0.5, 0.0, 0.0]],
        "gap_source": "mesh",
        "warnings": [],
    }
    failed = energy is None
    return CampaignResult(
        member.label,
        stage,
        "a01",
        f"{member.label}/{stage}/a01",
        Outcome.FAILED if failed else Outcome.DONE,
        "told to fail" if failed else None,
        None if failed else parsed,
        None if failed else cell.tolist(),
        None if failed else "P1",
        0.01,
        0.1,
        {} if failed else {**SETTINGS, **settings},
    )


Energy = Callable[[Member], float | None]


def fill(campaign: Campaign, energy: Energy, changed: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Put a relaxation and a static result of every member into the index.

    Parameters
    ----------
    energy : eV per cell of a member; None for one that failed.
    changed : keyword arguments of `result` for some members.
    """
    with Index(campaign).open() as connection:
        for member in campaign.members.values():
            for stage in (Stage.RELAX, Stage.STATIC):
                given = (changed or {}).get(member.label, {})
                store(connection, result(member, stage, energy(member), **given), "synthetic")
