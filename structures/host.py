"""The crystal on which atoms are substituted: a bundled one or a file, in the cell that will be computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from kalloy.errors import HostError, nearest
from kalloy.structures.cells import in_order, parse_cell, recell
from kalloy.structures.crystal import Crystal
from kalloy.structures.reading import Mixture, Reading, read_structure
from kalloy.structures.symmetry import TOLERANCE, SpaceGroup, dataset, space_group, wyckoff_sets

LOOSER = 5.0
"""How much larger the tolerance is that is tried once, to warn of a symmetry that is only just missed."""


@dataclass(frozen=True)
class Host:
    """A crystal in the cell that is computed, its sites in an order that is the same on every machine."""

    name: str
    """The bundled name, or the file's name without its folder and suffix."""
    crystal: Crystal
    """Sites in the order of their fractional coordinates; a mixed site holds its main element."""
    cell: str
    """As asked: given, primitive, conventional, or the integers of a supercell."""
    source: str
    """Where the structure comes from, in words."""
    space_group: SpaceGroup
    """Of the crystal with its kinds of sites told apart."""
    tolerance: float
    """Å; within which symmetry was sought."""
    kinds: tuple[str, ...]
    """One a site: the element, or for a site of partial occupancy its mixture (``Cs0.9 K0.1``)."""
    mixtures: Mapping[str, Mixture] = field(repr=False)
    """What each kind holds."""
    warnings: tuple[str, ...] = ()
    """What a person should know about this host before trusting it."""

    @property
    def marked(self) -> Crystal:
        """The crystal whose species are its kinds of sites: what symmetry is sought in."""
        return self.crystal.with_species(self.kinds)

    @cached_property
    def wyckoff(self) -> tuple[tuple[str, int], ...]:
        """One a site: its Wyckoff position, ``18e``, and the number of its orbit."""
        return wyckoff_sets(self.marked, self.tolerance)

    @cached_property
    def identity(self) -> str:
        """A hash of lattice, positions and kinds: 16 hexadecimal digits, the same on every machine."""
        digest = sha256()
        for array in (self.crystal.lattice, self.crystal.positions):
            # An irrational step, so that no decimal coordinate lies between two multiples and rounds by its noise.
            digest.update(np.rint(array / (1e-5 * np.sqrt(2))).astype("<i8").tobytes())
        digest.update("\n".join(self.kinds).encode())
        return digest.hexdigest()[:16]


def bundled_hosts() -> list[str]:
    """The names of the hosts that come with kalloy."""
    folder = files("kalloy.structures") / "hosts"
    return sorted(entry.name.removesuffix(".cif") for entry in folder.iterdir() if entry.name.endswith(".cif"))


def load_host(text: str, cell: str = "given", tolerance: float = TOLERANCE) -> Host:
    """A host by its bundled name or its file.

    Parameters
    ----------
    text : a bundled name, or a path to a CIF, a POSCAR or anything that pymatgen reads.
    cell : ``given``, ``primitive``, ``conventional``, three integers, or nine (rows are the new vectors).
    tolerance : Å; within which symmetry is sought.

    Raises
    ------
    HostError : no such host, a file that cannot be read, or a cell that cannot be made.
    """
    if not 0 < tolerance < 1:
        raise HostError(f"{tolerance:g} Å is no tolerance", mend="give one between 0 and 1 Å, such as 0.01")
    wanted = parse_cell(cell)
    name, source, reading = _found(text)
    crystal, turned = _right_handed(reading.crystal)
    marked = in_order(recell(crystal, wanted, tolerance))
    symmetry = space_group(marked, tolerance)
    return Host(
        name=name,
        crystal=marked.with_species([reading.mixtures[kind].main for kind in marked.species]),
        cell=" ".join(cell.split()).lower(),
        source=source,
        space_group=symmetry,
        tolerance=tolerance,
        kinds=marked.species,
        mixtures=reading.mixtures,
        warnings=(*reading.warnings, *turned, *_nearly_symmetric(marked, symmetry, tolerance)),
    )


def _right_handed(crystal: Crystal) -> tuple[Crystal, tuple[str, ...]]:
    """The same crystal with right-handed lattice vectors, for VASP stops at a negative triple product."""
    if np.linalg.det(crystal.lattice) > 0:
        return crystal, ()
    order = [1, 0, 2]
    said = "the cell's vectors are left-handed, which VASP refuses: a and b are exchanged, and cells count from those"
    return Crystal(crystal.lattice[order], crystal.species, crystal.positions[:, order]), (said,)


def _found(text: str) -> tuple[str, str, Reading]:
    """The host's name, its provenance, and its file's content."""
    if text in bundled_hosts():
        with as_file(files("kalloy.structures") / "hosts" / f"{text}.cif") as path:
            return text, f"bundled with kalloy: {_first_comment(path)}", read_structure(path)
    path = Path(text).expanduser()
    if not path.exists():
        raise HostError(
            f"no host '{text}'", mend=f"give a file, or a bundled name ({nearest(path.name, bundled_hosts())})"
        )
    reading = read_structure(path)
    return path.name.split(".")[0] or path.name, f"file {path.name}", reading


def _first_comment(path: Path) -> str:
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()


def _nearly_symmetric(marked: Crystal, symmetry: SpaceGroup, tolerance: float) -> tuple[str, ...]:
    """A warning where a somewhat larger tolerance finds more symmetry, translations included."""
    try:
        now, more = (dataset(marked, factor * tolerance) for factor in (1.0, LOOSER))
    except HostError:
        return ()
    found, number = SpaceGroup(str(more.international), int(more.number)), len(more.rotations)
    if number <= len(now.rotations):
        return ()
    return (
        f"the host is {symmetry} within {tolerance:g} Å but {found}, with {number} operations instead of "
        f"{len(now.rotations)}, within {LOOSER * tolerance:g} Å: a larger tolerance would merge configurations "
        "that are now counted apart",
    )
