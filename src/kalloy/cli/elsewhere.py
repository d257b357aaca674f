"""Verbs of a campaign whose site is reached over ssh: the same words, said there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kalloy.workflows.campaign import Campaign

WORDS = "kalloy.words"
"""In click's context: the verb and everything after it, as typed."""


def elsewhere(campaign: Campaign, typed: str, *, look: bool = False) -> int | None:
    """Say the same verb at the campaign's site.

    Parameters
    ----------
    typed : the campaign's argument; there it is the folder that it lies in.
    look : whether the verb changes nothing: then nothing is brought there or back.

    Returns
    -------
    The exit code there; None where the campaign is driven on this machine.
    """
    from kalloy.errors import RemoteError
    from kalloy.workflows.elsewhere import RECORD, Elsewhere

    place = Elsewhere.of(campaign)
    if place is None:
        return None
    verb, *rest = click.get_current_context().meta[WORDS]
    if typed in rest:
        rest.remove(typed)
    if not look:
        return place.drive([verb, *rest])
    if not (campaign.root / RECORD).is_file():
        raise RemoteError(f"nothing is on {place.host} yet", mend="bring it there with `kalloy submit` or `kalloy run`")
    return place.ask([verb, *rest])
