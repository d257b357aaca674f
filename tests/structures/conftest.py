"""What the tests of this room share: brute force to prove things against, and hosts of several crystal systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import pytest

Permutation = tuple[int, ...]


def closure(generators: Sequence[Permutation]) -> list[Permutation]:
    """The whole group that some permutations generate."""
    identity = tuple(range(len(generators[0])))
    group = {identity}
    fresh = [identity]
    while fresh:
        fresh = [
            made
            for made in {tuple(g[i] for i in element) for g in generators for element in fresh}
            if made not in group
        ]
        group.update(fresh)
    return sorted(group)


def occupations(stages: Sequence[tuple[Sequence[int], int]], size: int) -> Iterator[tuple[int, ...]]:
    """Every way to put species 1, 2, … on so many of the given sites, as the species on each site (0: none)."""
    if not stages:
        yield (0,) * size
        return
    *earlier, (sites, count) = stages
    for base in occupations(earlier, size):
        for chosen in combinations([site for site in sites if base[site] == 0], count):
            yield tuple(len(stages) if site in chosen else base[site] for site in range(size))


def brute_force(
    group: Sequence[Permutation], stages: Sequence[tuple[Sequence[int], int]]
) -> dict[frozenset[tuple[int, ...]], int]:
    """All orbits of occupations, each with its size, by applying every operation to every occupation."""
    size = len(group[0])
    orbits: dict[frozenset[tuple[int, ...]], int] = {}
    seen: set[tuple[int, ...]] = set()
    for occupation in occupations(stages, size):
        if occupation in seen:
            continue
        orbit = set()
        for g in group:
            image = [0] * size
            for site, species in enumerate(occupation):
                image[g[site]] = species
            orbit.add(tuple(image))
        seen |= orbit
        orbits[frozenset(orbit)] = len(orbit)
    return orbits


def as_occupation(choices: Sequence[int], size: int) -> tuple[int, ...]:
    """Integers, one a stage, as the species on each site."""
    occupation = [0] * size
    for species, choice in enumerate(choices, start=1):
        for site in range(size):
            if choice >> (size - 1 - site) & 1:
                assert occupation[site] == 0, "two species on one site"
                occupation[site] = species
    return tuple(occupation)


@pytest.fixture(scope="session")
def brute() -> Callable[..., dict[frozenset[tuple[int, ...]], int]]:
    return brute_force


@pytest.fixture(scope="session")
def close() -> Callable[[Sequence[Permutation]], list[Permutation]]:
    return closure


@pytest.fixture(scope="session")
def occupied() -> Callable[[Sequence[int], int], tuple[int, ...]]:
    return as_occupation


PROTOTYPES = {
    # name: space group, cell (a b c α β γ), species, positions: structure types of several crystal systems
    "rock-salt": ("Fm-3m", (4.21, 4.21, 4.21, 90, 90, 90), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "spinel": (
        "Fd-3m",
        (8.08, 8.08, 8.08, 90, 90, 90),
        ["Mg", "Al", "O"],
        [[0.125, 0.125, 0.125], [0.5, 0.5, 0.5], [0.2624, 0.2624, 0.2624]],
    ),
    "double-perovskite": (
        "Fm-3m",
        (11.27, 11.27, 11.27, 90, 90, 90),
        ["Ag", "Bi", "Cs", "Br"],
        [[0.5, 0.5, 0.5], [0, 0, 0], [0.25, 0.25, 0.25], [0.2504, 0, 0]],
    ),
    "baddeleyite": (
        "P2_1/c",
        (5.15, 5.21, 5.32, 90, 99.2, 90),
        ["Zr", "O", "O"],
        [[0.2754, 0.0395, 0.2083], [0.0700, 0.3317, 0.3447], [0.4496, 0.7569, 0.4792]],
    ),
}


@pytest.fixture(scope="session", params=PROTOTYPES)
def prototype(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A space-group symbol and a CIF of a crystal with it, every atom written."""
    from pymatgen.core import Lattice, Structure

    symbol, cell, species, positions = PROTOTYPES[request.param]
    structure = Structure.from_spacegroup(symbol, Lattice.from_parameters(*cell), species, positions)
    path = tmp_path_factory.mktemp("prototypes") / f"{request.param}.cif"
    structure.to(str(path))
    return symbol, path


@pytest.fixture(scope="session")
def shared_structures() -> Path:
    """Published structure files beside the repository."""
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "structures"
    if not folder.is_dir():
        pytest.skip("the published structure files are not beside this repository")
    return folder
