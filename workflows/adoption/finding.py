"""Whose calculation a folder holds: its atoms laid on the sites of every member."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from kalloy.structures.crystal import Crystal
from kalloy.structures.images import moved
from kalloy.structures.matching import MOST_DISPLACED, Fit, fits
from kalloy.workflows.adoption.reading import Found, Refusal
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.members import Kind, Member

TELLING_APART = 0.05
"""Å: two members that a structure fits this nearly alike cannot be told apart."""
SAME = 1e-3
"""Å: two ways to lie on the sites that differ by less are one by the member's own symmetry."""


@dataclass(frozen=True)
class Owner:
    """The member that a structure is, and how it lies on that member's sites."""

    member: Member
    fits: tuple[Fit, ...]
    """Every way that is as near as the nearest: more than one where the member has symmetry of its own."""

    @property
    def fit(self) -> Fit:
        """The one that is taken."""
        return self.fits[0]

    def preferring(self, fit: Fit) -> Owner:
        """The same with another of the ways taken."""
        return replace(self, fits=(fit, *(other for other in self.fits if other is not fit)))


def find_owner(campaign: Campaign, found: Found, strain: float) -> Owner:
    """The member whose structure a folder started from.

    Species are compared exactly, occupations through the permutations of the host's group; only cell and positions
    may be off, by what a relaxation does.

    Parameters
    ----------
    strain : how far the cell may be from the member's unrelaxed one along any direction.

    Raises
    ------
    Refusal
        Where it is nobody's, naming who is nearest and what differs; or where it may be two members'.
    """
    crystal = found.start
    alike = [m for m in campaign.members.values() if not m.kind.is_derived and _same_atoms(m.crystal, crystal)]
    if not alike:
        raise Refusal(_no_such_composition(campaign, crystal), where=str(found.folder))
    owners = _substituted(campaign, crystal, alike, strain)
    owners += [m for m in alike if m.kind is Kind.REFERENCE and fits(crystal, m.crystal, strain=strain)]
    if len(owners) > 1:
        names = ", ".join(m.label for m in owners)
        raise Refusal(
            f"may be any of {names}", where=str(found.folder), mend="adopt an earlier, less relaxed structure"
        )
    if not owners:
        raise Refusal(_nearest(crystal, alike, strain), where=str(found.folder))
    member = owners[0]
    # On the member's own sites, in the order of its POSCAR; exact in species, so only its own orientation fits.
    laid = fits(crystal, member.crystal, strain=strain)
    if not laid:
        raise Refusal(f"lies on no site of {member.label}", where=str(found.folder))
    return Owner(member, tuple(fit for fit in laid if fit.rms <= laid[0].rms + SAME))


def _same_atoms(one: Crystal, other: Crystal) -> bool:
    return Counter(one.species) == Counter(other.species)


def _substituted(campaign: Campaign, crystal: Crystal, alike: list[Member], strain: float) -> list[Member]:
    """Host and configurations by the occupation of the host's sites, whichever image of theirs it is."""
    space = campaign.space
    sites = set(space.site_indices)
    may = {s.with_ for s in space.substitutions}
    allowed = [
        {species} | may if site in sites else {species} for site, species in enumerate(campaign.host.crystal.species)
    ]
    laid = fits(crystal, campaign.host.crystal, allowed, strain=strain)
    near = [fit for fit in laid if fit.rms <= laid[0].rms + TELLING_APART]
    labels: dict[str, Member] = {}
    for fit in near:
        occupation = fit.occupation(crystal, space.site_indices)
        orbit = {moved(occupation, permutation) for permutation in space.permutations}
        labels |= {m.label: m for m in alike if _occupation(campaign, m) in orbit}
    return list(labels.values())


def _occupation(campaign: Campaign, member: Member) -> tuple[str, ...]:
    if member.is_host:
        return tuple(campaign.host.crystal.species[i] for i in campaign.space.site_indices)
    return member.configuration.occupation if member.configuration else ()


def _no_such_composition(campaign: Campaign, crystal: Crystal) -> str:
    """The nearest member by its atoms, for the person who has confused two folders."""

    def apart(member: Member) -> int:
        own, other = Counter(member.crystal.species), Counter(crystal.species)
        return sum(((own - other) + (other - own)).values())

    nearest = min((m for m in campaign.members.values() if not m.kind.is_derived), key=apart)
    return f"holds {crystal.formula}, as no member does; nearest is {nearest.label} with {nearest.crystal.formula}"


def _nearest(crystal: Crystal, alike: list[Member], strain: float) -> str:
    """Which limit it breaks, and by how much: cell first, then atoms."""
    whose = alike[0].label if len(alike) == 1 else f"{alike[0].label} and {len(alike) - 1} others of {crystal.formula}"
    member = alike[0]
    if loose := fits(crystal, member.crystal, [set(crystal.species)] * len(crystal), strain=0.5, displaced=1e9):
        nearest = min(loose, key=lambda fit: (fit.strain, fit.rms))
        if nearest.strain > strain:
            return (
                f"has the atoms of {whose}, but its cell is strained by {nearest.strain:.1%} against theirs, more than "
                f"{strain:.1%}; --strain {nearest.strain + 0.005:.2f} would allow that"
            )
        return (
            f"has the atoms and the cell of {whose}, but an atom is {nearest.largest:.2f} Å from the nearest site "
            f"(at most {MOST_DISPLACED:g} Å), or a site holds another species"
        )
    return f"has the atoms of {whose}, but its lattice is none of theirs, strained by less than 50 %"
