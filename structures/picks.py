"""All configurations of a content, a random sample of them, or the most random-like: one stream, whichever is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kalloy.structures.configuration import Configuration, ConfigurationSpace, Content
from kalloy.structures.sampling import Over, Sampler


@dataclass(frozen=True)
class Pick:
    """A configuration, and what is known of how it was chosen."""

    configuration: Configuration
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Of a sample ``probability``; of a quasirandom structure ``mismatch`` and ``exhaustive``; else empty."""

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**self.configuration.record(), **self.chosen}


def every(space: ConfigurationSpace, content: Content) -> Iterator[Pick]:
    """Each symmetry-distinct configuration once."""
    return (Pick(configuration) for configuration in space.configurations(content))


def sampled(space: ConfigurationSpace, content: Content, number: int, seed: int, over: Over) -> Iterator[Pick]:
    """Independent draws, with replacement."""
    for sample in Sampler(space, content, seed, over).draws(number):
        yield Pick(sample.configuration, {"probability": sample.probability, "over": over.value, "seed": seed})


def most_random(space: ConfigurationSpace, content: Content, number: int, seed: int) -> Iterator[Pick]:
    """Special quasirandom structures, the best first."""
    from kalloy.structures.quasirandom import quasirandom

    for found in quasirandom(space, content, number, seed=seed):
        yield Pick(found.configuration, {"mismatch": found.mismatch, "exhaustive": found.exhaustive})
