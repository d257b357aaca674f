"""Which configurations are kept: by space group, by the shortest distance between two species."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kalloy.errors import SubstitutionError
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.geometry import Geometry
from kalloy.structures.reading import VACANCY

Filter = Callable[[Configuration], bool]


@dataclass(frozen=True)
class MinimumDistance:
    """That two species are nowhere closer than this."""

    one: str
    other: str
    distance: float
    """Å."""

    @classmethod
    def parse(cls, text: str) -> MinimumDistance:
        """Read ``K-K:6.0``; SubstitutionError for anything else."""
        match = re.fullmatch(r"\s*(\w+)\s*-\s*(\w+)\s*:\s*(\d+\.?\d*)\s*", text)
        if not match:
            raise SubstitutionError(f"'{text}' is no minimum distance", mend="write two species and Å: K-K:6.0")
        return cls(match[1], match[2], float(match[3]))

    def on(self, space: ConfigurationSpace) -> Filter:
        """The filter for one space; SubstitutionError where a species is on none of its sublattices."""
        known = {s.species for s in space.sublattices} | {s.with_ for s in space.substitutions}
        for name in (self.one, self.other):
            if name not in known:
                raise SubstitutionError(
                    f"'{name}' is not on a substituted sublattice",
                    where=f"{self.one}-{self.other}",
                    mend=f"distances are between {', '.join(sorted(known - {VACANCY}))}",
                )
        geometry = Geometry(space)

        def keeps(configuration: Configuration) -> bool:
            found = geometry.between(configuration, self.one, self.other)
            return not found or found[0] >= self.distance

        return keeps


def space_groups(names: Iterable[str]) -> Filter:
    """Keep configurations of these space groups, named by symbol (``P321``) or number."""
    wanted = {name.strip() for name in names}
    known = _all_space_groups()
    for name in sorted(wanted - known):
        raise SubstitutionError(f"'{name}' is no space group", mend="write a number or a symbol such as P321 or P3_121")

    def keeps(configuration: Configuration) -> bool:
        return bool(wanted & {configuration.space_group.symbol, str(configuration.space_group.number)})

    return keeps


def _all_space_groups() -> set[str]:
    """Every number and every short symbol that spglib uses."""
    import spglib

    types = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
    return {name for found in types if found for name in (str(found.number), str(found.international_short))}
