"""About how long a campaign takes, from what its preset was measured to cost."""

from __future__ import annotations

from dataclasses import dataclass

from kalloy.workflows.attempt import State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind
from kalloy.workflows.prescreen.choice import expected
from kalloy.workflows.recipes import meshes_keep_symmetry
from kalloy.workflows.spec import On
from kalloy.workflows.spec_members import NoiseTable, VariantsTable, how_many
from kalloy.workflows.steps import selected
from kalloy.workflows.submission.board import standings

GROWTH = 2.5
"""Plane-wave cost grows with the number of atoms to a power between 2 and 3 in this range."""


def calculations(campaign: Campaign) -> dict[str, int]:
    """How many calculations of each stage are still to be done, by stage."""
    left: dict[str, int] = {}
    for number, table in enumerate(campaign.spec.step, 1):
        found = standings(campaign, number)
        for stage in table.stages:
            mine = [s for s in found if s.stage is stage]
            known = selected(campaign, number) is not None
            open_ = sum(s.state is not State.DONE for s in mine) if known else _expected(campaign, table.on)
            left[stage.value] = left.get(stage.value, 0) + open_
    return left


def _expected(campaign: Campaign, on: On | NoiseTable | VariantsTable | str) -> int:
    contents = len({m.content for m in campaign.configurations})
    if isinstance(on, NoiseTable):
        duplicates = 0 if meshes_keep_symmetry(campaign) else how_many(on.duplicate, contents)
        return duplicates + how_many(on.rattle, contents)
    if isinstance(on, VariantsTable):
        return 2 * how_many(on.cells, contents)
    if not isinstance(on, On):
        return sum(not m.kind.is_derived for m in campaign.members.values())
    references = sum(m.kind is Kind.REFERENCE for m in campaign.members.values())
    prescreened = expected(campaign) if on.prescreened else 0
    return on.host + prescreened + on.references * references + on.lowest * contents + len(on.members)


@dataclass(frozen=True)
class Estimate:
    """What the calculations that are left take with all cores free."""

    minutes: float
    """About how many, of those whose cost was measured."""
    unmeasured: tuple[str, ...]
    """The stages that are not in it."""


def estimate(campaign: Campaign) -> Estimate | None:
    """About how long the rest takes; None where the preset's cost was never measured for anything that is left."""
    cost = campaign.preset.cost.get(campaign.spec.calculation.engine)
    if cost is None:
        return None
    scale = (len(campaign.host.crystal) / cost.atoms) ** GROWTH
    left = {Stage(stage): n for stage, n in calculations(campaign).items() if n}
    seconds = [
        cost.cpu_seconds[stage] * scale for stage, n in left.items() if stage in cost.cpu_seconds for _ in range(n)
    ]
    if not seconds:
        return None
    jobs = campaign.spec.machine.side_by_side
    unmeasured = tuple(stage.value for stage in left if stage not in cost.cpu_seconds)
    return Estimate(max(sum(seconds) / jobs, max(seconds)) / 60, unmeasured)
