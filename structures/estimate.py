"""What a content costs before it is made: size on disk, core-hours, and a way that keeps it within a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import ConfigurationSpace, Content
from kalloy.structures.formats import PoscarFormat
from kalloy.structures.host import Host, load_host
from kalloy.structures.substitution import Substitution

LIMIT = 1000
"""How many configurations of one content are proposed to be computed in full, unless the user says otherwise."""
BLOCK = 4096
"""Bytes; what a file takes on disk is a multiple of this on nearly every file system."""
SMALLER = ("given", "primitive")
"""Cells that are tried where the one that was asked for has too many configurations."""


@dataclass(frozen=True)
class Estimate:
    """The cost of computing every configuration of a content."""

    distinct: int
    bytes: int
    """On disk, of the structures alone, one POSCAR a file."""
    core_hours: float | None
    """Null where the time per calculation is not known."""
    proposal: str
    """``full``, ``sampled``, or the cell (``primitive``) in which the same fractions have few enough."""


def estimate(
    space: ConfigurationSpace,
    content: Content,
    *,
    limit: int = LIMIT,
    hours: float | None = None,
    smaller: Sequence[Host] = (),
) -> Estimate:
    """The cost of a content.

    Parameters
    ----------
    limit : up to so many configurations, all are proposed.
    hours : core-hours that one calculation takes.
    smaller : the host in smaller cells, the first to be proposed first.
    """
    distinct = space.count(content)
    proposal = "full"
    if distinct > limit:
        cells = (host.cell for host in smaller if _count_alike(space, content, host) in range(1, limit + 1))
        proposal = next(cells, "sampled")
    core_hours = None if hours is None else distinct * hours
    return Estimate(distinct, distinct * _file_size(space), core_hours, proposal)


def smaller_hosts(space: ConfigurationSpace, text: str) -> list[Host]:
    """The space's host in the standard cells that are smaller than its own, the largest first.

    Parameters
    ----------
    text : how the host was loaded, a name or a file.
    """
    hosts: dict[int, Host] = {}
    for cell in SMALLER:
        host = load_host(text, cell, space.host.tolerance)
        if len(host.crystal) < len(space.host.crystal):
            hosts.setdefault(len(host.crystal), host)
    return [hosts[size] for size in sorted(hosts, reverse=True)]


def _file_size(space: ConfigurationSpace) -> int:
    """Bytes that a POSCAR of this space takes, in whole blocks."""
    unsubstituted = space.configuration("", [0] * len(space.substitutions), 1)
    return -(-len(PoscarFormat(space).text(unsubstituted)) // BLOCK) * BLOCK


def _count_alike(space: ConfigurationSpace, content: Content, host: Host) -> int:
    """How many configurations the same fractions have on another cell of the host; 0 where they cannot be made."""
    same = [
        Substitution(put.replace, put.with_, fractions=(fraction,))
        for put, fraction in zip(space.substitutions, content.fractions, strict=True)
    ]
    try:
        found = ConfigurationSpace(host, same)
    except SubstitutionError:
        return 0
    return found.count(found.contents[0])
