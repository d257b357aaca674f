"""The structures of SHRY and bsym are ours, one to one, with the same degeneracies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kalloy.structures.configuration import Configuration, ConfigurationSpace
from kalloy.structures.crystal import Crystal
from kalloy.structures.host import load_host
from kalloy.structures.substitution import parse_replacement
from kalloy.workflows.inputs.poscar import poscar_text
from tests.conftest import REPOSITORY

CASES = {
    "the study's 70": ("Cs4PbBr6", "given", ("Cs=K:3",), 70, 2024),
    "half of the primitive cell's Cs": ("Cs4PbBr6", "primitive", ("Cs=K:4",), 12, 70),
    "two species on one sublattice": ("Cs4PbBr6", "primitive", ("Cs=K:2", "Cs=Rb:3"), 57, 560),
    "a supercell's translations": ("CsPbBr3", "2 1 1", ("Br=Cl:3",), 5, 20),
    "rock salt": ("KBr", "2 1 1", ("K=Rb:4",), 8, 70),
}
DRIVERS = REPOSITORY / "benchmarks" / "peers"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("peer", ["shry", "bsym"])
@pytest.mark.parametrize(("host", "cell", "replaced", "distinct", "total"), CASES.values(), ids=list(CASES))
def test_every_structure_is_one_of_ours(
    peer: str,
    host: str,
    cell: str,
    replaced: tuple[str, ...],
    distinct: int,
    total: int,
    python_of: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    space = ConfigurationSpace(load_host(host, cell), [parse_replacement(words) for words in replaced])
    (content,) = space.contents
    ours = list(space.configurations(content))
    arrangements = _arrangements(space, ours)
    assert (len(ours), len(arrangements)) == (distinct, total)
    found = _found(python_of(peer), peer, space, replaced, tmp_path)
    matcher = StructureMatcher(primitive_cell=False, scale=False, ltol=0.02, stol=0.02, angle_tol=0.5)
    degeneracies = {}
    for crystal, degeneracy in found:
        own = arrangements[_occupation(crystal, space)]
        assert own.label not in degeneracies
        degeneracies[own.label] = degeneracy
        assert matcher.fit(crystal.to_pymatgen(), own.crystal().to_pymatgen()), own.label
    assert degeneracies == {own.label: own.degeneracy for own in ours}


def _arrangements(space: ConfigurationSpace, ours: list[Configuration]) -> dict[tuple[str, ...], Configuration]:
    """Which configuration each arrangement belongs to."""
    return {
        tuple(own.occupation[site] for site in permutation): own for own in ours for permutation in space.permutations
    }


def _found(
    python: Path, peer: str, space: ConfigurationSpace, replaced: tuple[str, ...], folder: Path
) -> list[tuple[Crystal, int]]:
    """The peer's structures and degeneracies."""
    (folder / "POSCAR").write_text(poscar_text(space.host.crystal, "host"))
    species = space.substitutions[0].species
    asked = [words.partition("=")[2].replace(":", "=") for words in replaced]
    command = [str(python), "-W", "ignore", str(DRIVERS / f"{peer}_structures.py"), "POSCAR", species, *asked]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    lattice = np.array(said["lattice"])
    np.testing.assert_allclose(lattice, space.host.crystal.lattice, atol=1e-8)
    return [
        (Crystal(lattice, tuple(one["species"]), np.array(one["positions"])), one["degeneracy"])
        for one in said["structures"]
    ]


def _occupation(crystal: Crystal, space: ConfigurationSpace) -> tuple[str, ...]:
    """What a structure has on the host's substitutable sites; every site must hold one atom."""
    host = space.host.crystal
    apart = crystal.positions - host.positions[:, None, :]
    apart -= np.rint(apart)
    atoms = np.linalg.norm(apart @ host.lattice, axis=2).argmin(axis=1)
    assert len(set(atoms.tolist())) == len(host)
    return tuple(crystal.species[atoms[site]] for site in space.site_indices)
