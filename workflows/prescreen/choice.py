"""The prescreen as a step's rule: whom it keeps, and what a selection's record says of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kalloy.errors import CampaignError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.prescreen.ranking import ranked
from kalloy.workflows.prescreen.store import finished_store


def kept(campaign: Campaign) -> list[str]:
    """The labels that the rule lets through, lowest first.

    Raises
    ------
    CampaignError
        Where the prescreen is not done.
    """
    return [row.member for row in ranked(campaign, finished_store(campaign)) if row.kept]


def expected(campaign: Campaign) -> int:
    """How many will be kept, as far as that is known before the prescreen: at most."""
    try:
        return len(kept(campaign))
    except CampaignError:
        rule, contents = campaign.spec.prescreen.keep, Counter(m.content for m in campaign.configurations)
        return sum(min(number, rule.lowest or number) for number in contents.values())


def choice(campaign: Campaign) -> dict[str, Any]:
    """For the record: which model chose, by which rule, from which energies."""
    store = finished_store(campaign)
    return {
        "model": store.model.to_json(),
        "folder": str(store.folder.relative_to(campaign.root)),
        "keep": campaign.spec.prescreen.keep.model_dump(exclude_none=True),
        "energies": [
            {"member": row.member, "energy_eV": row.energy_eV, "relative_meV_per_formula_unit": row.relative_meV_fu}
            for row in ranked(campaign, store)
        ],
    }
