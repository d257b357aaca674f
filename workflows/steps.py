"""Selections: who goes on to which stages, by which rule, from which results. Append-only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalloy.errors import CampaignError
from kalloy.workflows.attempt import Attempt, Outcome, attempts, now
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.files import read_record, write_json
from kalloy.workflows.index import Index
from kalloy.workflows.inputs.path import BandPath, band_path
from kalloy.workflows.inputs.preset import LineSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind
from kalloy.workflows.prescreen.choice import choice, kept
from kalloy.workflows.recipes import recipes
from kalloy.workflows.screening.choice import chosen, remarks
from kalloy.workflows.screening.ranking import Ranking, rank
from kalloy.workflows.spec import On, StepTable
from kalloy.workflows.spec_members import DerivedStep


@dataclass(frozen=True)
class Selection:
    """The record of one step: members and stages."""

    step: int
    """From 1."""
    stages: tuple[Stage, ...]
    members: tuple[str, ...]
    rule: dict[str, Any]
    """The step's ``on``, as asked."""
    inputs: tuple[dict[str, Any], ...]
    """The results that the choice rests on."""
    path: BandPath | None
    """The one band path of the set, where the step has a stage on a path."""
    notes: tuple[str, ...] = ()
    """What a reader should know: why nobody was chosen."""


def selection_file(campaign: Campaign, step: int) -> Path:
    """Where a step's record lies."""
    stages = "-".join(campaign.spec.step[step - 1].stages)
    return campaign.selections / f"{step:02d}-{stages}.json"


def selected(campaign: Campaign, step: int) -> Selection | None:
    """The record of a step, where it has been made."""
    path = selection_file(campaign, step)
    if not path.is_file():
        return None
    raw = read_record(path, "step", "stages", "members", "rule", "inputs", "path")
    return Selection(
        raw["step"],
        tuple(Stage(s) for s in raw["stages"]),
        tuple(raw["members"]),
        raw["rule"],
        tuple(raw["inputs"]),
        BandPath.from_json(raw["path"]) if raw["path"] else None,
        tuple(raw.get("notes", ())),
    )


def select(campaign: Campaign, step: int, *, allow_missing: bool = False, allowed: Iterable[str] = ()) -> Selection:
    """Make a step's selection, or return the one on record.

    Parameters
    ----------
    allow_missing : choose among what is done although other calculations of the earlier step are not; goes on record.
    allowed : settings whose difference the user takes on; goes on record.

    Raises
    ------
    CampaignError
        Where the earlier steps are not done: a choice among some is not the choice that was asked for.
    """
    table = campaign.spec.step[step - 1]
    rule = _rule(campaign, table)
    owner = table.path_of if isinstance(table, StepTable) else None
    if (made := selected(campaign, step)) is not None:
        if _said(made.rule) != _said(rule):
            raise CampaignError(
                f"step {step} was selected by another rule than kalloy.toml now has",
                where=str(selection_file(campaign, step)),
                mend="restore the rule, and add a [[step]] for what else you want: what was selected stays on record",
            )
        return made
    missing = unfinished(campaign, step - 1) if step > 1 else []
    if missing and not allow_missing:
        raise CampaignError(
            f"step {step} cannot be selected: {len(missing)} calculations of step {step - 1} are not done "
            f"({', '.join(missing[:4])}{', …' if len(missing) > 4 else ''})",
            mend="run the campaign until they are, or choose without them: kalloy select --allow-missing",
        )
    ranking = _ranking(campaign, allowed) if _needs_energies(campaign, table) else None
    derived, notes = recipes(campaign, table.on, ranking) if isinstance(table, DerivedStep) else ([], [])
    members = [r["label"] for r in derived] if isinstance(table, DerivedStep) else _members(campaign, table, ranking)
    if ranking and isinstance(table.on, On):
        notes = [*notes, *remarks(ranking, table.on)]
    record = {
        "schema": 1,
        "step": step,
        "stages": list(table.stages),
        "rule": rule,
        "made": now(),
        "missing": missing,
        "inputs": ranking.record() if ranking else [],
        "allowed": sorted({line for a in ranking.agreement for line in a.doubts()}) if ranking else [],
        "prescreen": choice(campaign) if _is_prescreened(table) else None,
        "members": members,
        "derived": derived,
        "notes": notes,
        "path": _path(campaign, owner or _winner(campaign, members, ranking)) if _has_lines(campaign, table) else None,
    }
    write_json(selection_file(campaign, step), record)
    made = selected(campaign, step)
    assert made is not None
    return made


def foreseen(campaign: Campaign, step: int) -> list[str] | None:
    """Whom a step that is not selected yet would take, where that rests on no result that is still to come."""
    table = campaign.spec.step[step - 1]
    if isinstance(table, DerivedStep) or _is_prescreened(table) or _needs_energies(campaign, table):
        return None
    return None if step > 1 and unfinished(campaign, step - 1) else _members(campaign, table, None)


def unfinished(campaign: Campaign, step: int) -> list[str]:
    """The calculations of a step that are not done, ``member/stage``; all of them where it is not selected yet."""
    selection = selected(campaign, step)
    if selection is None:
        return [f"step {step}"]
    return [
        f"{member}/{stage}"
        for member in selection.members
        for stage in selection.stages
        if finished(campaign, member, stage) is None
    ]


def finished(campaign: Campaign, member: str, stage: Stage) -> Attempt | None:
    """The newest attempt of a calculation that is done."""
    done = [a for a in attempts(campaign.calculation(member, stage)) if (e := a.end) and e["outcome"] == Outcome.DONE]
    return done[-1] if done else None


def _rule(campaign: Campaign, table: StepTable | DerivedStep) -> dict[str, Any]:
    """The step's ``on``, with the prescreen's own rule and the path's owner where they are asked."""
    rule = {"on": "all"} if table.on == "all" else table.on.model_dump()
    if isinstance(table, StepTable) and table.path_of is not None:
        rule["path_of"] = table.path_of
    return rule | ({"prescreen": campaign.spec.prescreen.model_dump()} if _is_prescreened(table) else {})


def _said(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule without what it leaves at nothing: a key that came to kalloy later does not change an older record."""
    return {key: value for key, value in rule.items() if value not in (None, False, 0, [])}


def _is_prescreened(table: StepTable | DerivedStep) -> bool:
    return isinstance(table.on, On) and table.on.prescreened


def _needs_energies(campaign: Campaign, table: StepTable | DerivedStep) -> bool:
    """For the choice of the lowest, and for the band path, which is the winner's unless somebody else is named."""
    if isinstance(table, DerivedStep):
        return table.on.needs_energies
    return (isinstance(table.on, On) and table.on.needs_energies) or (_has_lines(campaign, table) and not table.path_of)


def _has_lines(campaign: Campaign, table: StepTable | DerivedStep) -> bool:
    return any(isinstance(campaign.preset.kpoints[stage], LineSettings) for stage in table.stages)


def _ranking(campaign: Campaign, allowed: Iterable[str]) -> Ranking:
    index = Index(campaign)
    index.collect()
    return rank(campaign, index.results(), allowed=allowed)


def _members(campaign: Campaign, table: StepTable, ranking: Ranking | None) -> list[str]:
    references = [m.label for m in campaign.members.values() if m.kind is Kind.REFERENCE]
    if not isinstance(table.on, On):
        # The band path of the set means nothing in another lattice.
        left_out = references if _has_lines(campaign, table) else []
        return [m.label for m in campaign.members.values() if not m.kind.is_derived and m.label not in left_out]
    named = [campaign.member(label).label for label in table.on.members]
    prescreened = kept(campaign) if table.on.prescreened else []
    by_rule = prescreened + (chosen(ranking, table.on) if ranking else [])
    return list(dict.fromkeys([HOST] * table.on.host + by_rule + named + references * table.on.references))


def _winner(campaign: Campaign, members: list[str], ranking: Ranking | None) -> str:
    """The winner (of the first content), else the first configuration selected, else the host."""
    configurations = [m for m in members if campaign.member(m).is_ranked]
    return ranking.lowest(1)[0] if ranking and ranking.lowest(1) else (configurations or members)[0]


def _path(campaign: Campaign, owner: str) -> dict[str, Any]:
    """The one band path of the set, laid through the zone of one member."""
    return band_path(_last_structure(campaign, owner), owner).to_json()


def _last_structure(campaign: Campaign, member: str) -> Any:
    """The structure that the member's spectra will be computed on: its static one, atoms in the order of POSCAR."""
    from pymatgen.io.vasp.inputs import Poscar

    from kalloy.structures.crystal import Crystal

    static = finished(campaign, member, Stage.STATIC)
    if static is None:
        raise CampaignError(f"{member} has no static structure to lay a band path through", mend="run its static stage")
    return Crystal.from_pymatgen(Poscar.from_file(static.folder / "CONTCAR", check_for_potcar=False).structure)
