"""From the configurations that are computed to those that are not: a cluster expansion, or SOD's pair sums.

Nothing is predicted without its error: of the expansion by leaving every energy out in turn, and for a content that was
not computed by leaving whole contents out; of the pair sums against computed energies that they did not use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.errors import CampaignError, InputError
from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.substitution import Substitution
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.prescreen.clusters import Clusters
from kalloy.workflows.prescreen.fitting import ridge, ridge_of
from kalloy.workflows.prescreen.store import finished_store

Floats = NDArray[np.float64]
ENUMERABLE = 20_000
"""Contents with more configurations than this are sampled."""


class Source(StrEnum):
    """Whose energies are fitted."""

    PRESCREEN = "prescreen"
    DFT = "dft"


class Method(StrEnum):
    """How energies are extrapolated."""

    CLUSTER_EXPANSION = "cluster-expansion"
    PAIR_SUMS = "pair-sums"
    """SOD's extrapolation (R. Grau-Crespo et al., J. Phys.: Condens. Matter 19, 256201 (2007)): what one and two
    substituted sites cost, summed over all of them. Nothing is fitted."""


@dataclass(frozen=True)
class Known:
    """A computed configuration, or the host."""

    content: tuple[int, ...]
    """Sites that each substitution takes."""
    occupation: tuple[str, ...]
    energy_eV: float
    """Of the cell."""


@dataclass(frozen=True)
class Predicted:
    """What is expected of a configuration."""

    label: str
    degeneracy: int
    energy_eV: float
    """Of the cell."""
    error_eV: float
    """Standard error of the prediction."""
    relative_meV: float
    """Above the lowest predicted of its content, per cell."""
    computed_eV: float | None
    """Where it is computed: the energy, to compare."""


@dataclass(frozen=True)
class Extrapolation:
    """Predictions of one content, lowest first, and how far to trust them."""

    content: str
    method: Method
    source: str
    """Whose energies, in words."""
    known: int
    """How many energies it rests on."""
    error_meV: float
    """Root mean square error per cell."""
    error_of: str
    """What the error was measured on, in words."""
    spread_meV: float
    """Standard deviation of the known energies within their contents: what knowing nothing would err by."""
    sampled: bool
    """Whether only a random sample of the content was looked at."""
    configurations: tuple[Predicted, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def known_energies(campaign: Campaign, source: Source) -> tuple[list[Known], str]:
    """What is computed, and in words by whom.

    Raises
    ------
    CampaignError
        Where the host's energy, or that of any configuration, is not known.
    """
    energies, words = _prescreened(campaign) if source is Source.PRESCREEN else _dft(campaign)
    if HOST not in energies or len(energies) < 3:
        raise CampaignError(
            f"{len(energies)} energies are known by {words}, the host's {'' if HOST in energies else 'not '}among them",
            mend="compute the host and more configurations, or fit to the other source: --from prescreen, --from dft",
        )
    space = campaign.space
    hosts = tuple(space.host.crystal.species[site] for site in space.site_indices)
    known = [Known((0,) * len(space.substitutions), hosts, energies[HOST])]
    for member in campaign.configurations:
        if member.label in energies and member.configuration is not None:
            counts = space.content(member.content).counts
            known.append(Known(counts, member.configuration.occupation, energies[member.label]))
    return known, words


def _prescreened(campaign: Campaign) -> tuple[dict[str, float], str]:
    store = finished_store(campaign)
    records = store.records([campaign.members[HOST], *campaign.configurations])
    return {m: r.energy_eV for m, r in records.items() if r.converged}, store.model.words


def _dft(campaign: Campaign) -> tuple[dict[str, float], str]:
    from kalloy.workflows.prescreen.ranking import dft_energies

    return dft_energies(campaign), f"static energies, preset {campaign.spec.calculation.preset}"


def extrapolate(
    campaign: Campaign,
    counts: tuple[int, ...],
    *,
    source: Source,
    method: Method,
    triplets: float = 0.0,
    sample: int = 5000,
    seed: int = 0,
) -> Extrapolation:
    """Predict the energies of a content's configurations.

    Parameters
    ----------
    counts : sites that each substitution takes; the content need not be one of the campaign.
    triplets : Å; the expansion's triplets reach so far, and there are none at 0.
    sample : how many draws stand for a content of more than `ENUMERABLE` configurations.

    Raises
    ------
    CampaignError
        Where what is known does not suffice to predict that content with an error.
    InputError
        Where there is no such content.
    """
    known, words = known_energies(campaign, source)
    space = _space(campaign, counts)
    counts = space.contents[0].counts
    clusters = Clusters(space, triplets if method is Method.CLUSTER_EXPANSION else 0.0)
    rows = clusters.correlations(k.occupation for k in known)
    energies = np.array([k.energy_eV for k in known])
    configurations, sampled = _configurations(space, sample, seed)
    wanted = clusters.correlations(c.occupation for c in configurations)
    how = _expanded if method is Method.CLUSTER_EXPANSION else _summed
    predicted, errors, error, error_of = how(known, rows, energies, wanted, counts)
    computed = {k.occupation: k.energy_eV for k in known}
    lowest = float(predicted.min())
    found = [
        Predicted(c.label, c.degeneracy, float(e), float(s), 1000 * (float(e) - lowest), computed.get(c.occupation))
        for c, e, s in zip(configurations, predicted, errors, strict=True)
    ]
    found.sort(key=lambda p: p.energy_eV)
    label, spread = space.contents[0].label, 1000 * _spread(known, energies)
    return Extrapolation(label, method, words, len(known), 1000 * error, error_of, spread, sampled, tuple(found))


def _expanded(
    known: Sequence[Known], rows: Floats, energies: Floats, wanted: Floats, counts: tuple[int, ...]
) -> tuple[Floats, Floats, float, str]:
    """Energies, their errors, the error of all, and what that was measured on."""
    fit = ridge(rows, energies)
    contents = list(dict.fromkeys(k.content for k in known))
    if counts in contents:
        return fit.predict(wanted), fit.uncertainty(wanted), fit.error, f"leaving out each of {len(known)} in turn"
    if len(contents) < 4:
        raise CampaignError(
            f"energies of {len(contents)} contents, the host's among them, do not say what another one costs",
            mend="compute three contents beside the host, so that each can be predicted from the others",
        )
    left_out = []
    for content in contents:
        mine = np.array([k.content == content for k in known])
        if any(content):
            left_out.append(ridge_of(rows[~mine], energies[~mine], fit.strength).predict(rows[mine]) - energies[mine])
    error = float(np.sqrt(np.mean(np.concatenate(left_out) ** 2)))
    errors = fit.uncertainty(wanted)
    return fit.predict(wanted), np.maximum(errors, error), error, "leaving out each computed content in turn"


def _summed(
    known: Sequence[Known], rows: Floats, energies: Floats, wanted: Floats, counts: tuple[int, ...]
) -> tuple[Floats, Floats, float, str]:
    """E = E(0) + Σᵢ Δᵢ + Σᵢⱼ Δᵢⱼ, from the energies of none, one and two substituted sites: as many as unknowns."""
    number = np.array([sum(k.content) for k in known])
    few, many = number <= 2, number > 2
    if np.linalg.matrix_rank(rows[few]) < rows.shape[1]:
        raise CampaignError(
            "pair sums need the host and every configuration of one and two substituted sites",
            mend="compute the contents 1 and 2 whole, or use --model cluster-expansion",
        )
    if not many.any():
        raise CampaignError(
            "the error of pair sums cannot be told: nothing with three or more substituted sites is computed",
            mend="compute some of them; nothing is predicted without its error",
        )
    increments = np.linalg.lstsq(rows[few], energies[few] - energies[0], rcond=None)[0]
    predicted = energies[0] + rows @ increments
    error = float(np.sqrt(np.mean((predicted[many] - energies[many]) ** 2)))
    tested = f"against {int(many.sum())} computed energies of {sorted(set(number[many].tolist()))} substituted sites"
    found = energies[0] + wanted @ increments
    return found, np.full(len(found), error), error, tested


def _space(campaign: Campaign, counts: tuple[int, ...]) -> ConfigurationSpace:
    """The campaign's space with one other content."""
    # Partial occupancies of the host are substitutions by themselves, and stay as they are.
    substitutions = campaign.space.substitutions[: len(campaign.spec.substitution)]
    if len(counts) != len(substitutions):
        raise InputError(f"{len(counts)} numbers for {len(substitutions)} substitutions", where="--to")
    return ConfigurationSpace(
        campaign.space.host,
        [Substitution(s.replace, s.with_, counts=(n,)) for s, n in zip(substitutions, counts, strict=True)],
    )


def _configurations(space: ConfigurationSpace, sample: int, seed: int) -> tuple[list[Configuration], bool]:
    content = space.contents[0]
    if space.count(content) <= ENUMERABLE:
        return list(space.configurations(content)), False
    return list(_drawn(space, sample, seed)), True


def _drawn(space: ConfigurationSpace, sample: int, seed: int) -> Iterator[Configuration]:
    from kalloy.structures.sampling import Sampler

    seen = set()
    for draw in Sampler(space, space.contents[0], seed).draws(sample):
        if draw.configuration.occupation not in seen:
            seen.add(draw.configuration.occupation)
            yield draw.configuration


def _spread(known: Sequence[Known], energies: Floats) -> float:
    """Within contents: between them composition decides, which nobody needs a model for."""
    contents = [k.content for k in known]
    within = [energies[i] - energies[[c == contents[i] for c in contents]].mean() for i in range(len(known))]
    return float(np.std(within))
