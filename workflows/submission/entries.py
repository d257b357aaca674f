"""Which calculations go together: a configuration's pending stages in one job, jobs of the same needs in one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from kalloy.workflows.attempt import Attempt, State
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.spec_sites import Needs
from kalloy.workflows.submission.board import Standing


@dataclass
class Load:
    """Jobs that need the same of their machine, so that one array can hold them."""

    needs: Needs
    jobs: list[list[Attempt]] = field(default_factory=list)
    """What each runs, in order."""


def many_jobs(number: int) -> str:
    """``1 job``, ``3 jobs``."""
    return f"{number} job{'' if number == 1 else 's'}"


def loads(campaign: Campaign, found: Iterable[Standing]) -> list[Load]:
    """Everything that is ready, and what can follow it in the same job."""
    by_member: dict[str, list[Standing]] = {}
    for standing in found:
        if standing.state in (State.READY, State.BLOCKED) and standing.attempt and not standing.place:
            by_member.setdefault(standing.member, []).append(standing)
    together: dict[str, Load] = {}
    for pending in by_member.values():
        for chain in _chains(campaign, pending):
            needs = _needs(campaign, chain[0].stage)
            load = together.setdefault(_key(needs), Load(needs))
            load.jobs.append([s.attempt for s in chain if s.attempt])
    for load in together.values():
        load.jobs = [[a for job in jobs for a in job] for jobs in _packs(load.jobs, campaign.spec.machine.jobs.pack)]
    return list(together.values())


def followers(campaign: Campaign, sent: list[list[Attempt]], found: Iterable[Standing]) -> Iterator[Load]:
    """Stages whose parents are all in the jobs just sent, index by index: they may wait in the queue as well."""
    index = {a: i for i, job in enumerate(sent) for a in job}
    by_label = {(s.member, s.stage): s.attempt for s in found}
    waiting: dict[Stage, list[list[Attempt]]] = {}
    for standing in found:
        if standing.state is not State.BLOCKED or standing.place or standing.attempt is None:
            continue
        parents = [by_label.get(key) for key in standing.waits_for]
        if len(parents) == 1 and parents[0] in index:
            waiting.setdefault(standing.stage, [[] for _ in sent])[index[parents[0]]].append(standing.attempt)
    for stage, jobs in waiting.items():
        yield Load(_needs(campaign, stage), jobs)


def _chains(campaign: Campaign, pending: list[Standing]) -> Iterator[list[Standing]]:
    """A member's ready stages, each followed by what waits for nothing but the stages before it in the same job."""
    chains: list[list[Standing]] = []
    for standing in pending:
        if standing.state is State.READY and not chains:
            chains.append([standing])
            continue
        chain = next((c for c in chains if _may_follow(campaign, c, standing)), None)
        if chain is not None:
            chain.append(standing)
        elif standing.state is State.READY:
            chains.append([standing])
    yield from chains


def _may_follow(campaign: Campaign, chain: list[Standing], standing: Standing) -> bool:
    if campaign.spec.machine.jobs.per == "stage":
        return False
    before = {(s.member, s.stage) for s in chain}
    first, this = (_key(_needs(campaign, s.stage)) for s in (chain[0], standing))
    return set(standing.waits_for) <= before and first == this


def _needs(campaign: Campaign, stage: Stage) -> Needs:
    return campaign.spec.machine.for_stage(stage)


def _key(needs: Needs) -> str:
    return f"{sorted(needs.options.items())} {sorted(needs.commands.items())}"


def _packs(jobs: list[list[Attempt]], size: int) -> list[list[list[Attempt]]]:
    return [[job for _, job in group] for _, group in groupby(enumerate(jobs), key=lambda pair: pair[0] // size)]
