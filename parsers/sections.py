"""The short sections of vasprun.xml: settings, atoms, structures, energies, each from its own text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from xml.sax.saxutils import unescape

import numpy as np
from numpy.typing import NDArray

from kalloy.parsers.elements import element_symbol
from kalloy.parsers.model import Atoms, Floats, Header, KPoints, Settings, Value
from kalloy.parsers.scanning import row_numbers, to_float
from kalloy.parsers.source import MalformedError
from kalloy.parsers.tables import read_rows
from kalloy.structures.crystal import Crystal, has_volume

# What an element holds up to its own end; stops at the next of its kind, so that what never closes costs one pass.
_ITEM = re.compile(rb"<(i|v)\b([^<>]*)>([^<]*(?:<(?!/?(?:i|v|separator)\b)[^<]*)*)</\1>")
_NAME = re.compile(rb'name\s*=\s*"([^"]*)"')
_TYPE = re.compile(rb'type\s*=\s*"([^"]*)"')
_CELL = re.compile(rb"<c>([^<]*)</c>")
_ROW = re.compile(rb"<rc>([^<]*(?:<(?!/?rc\b)[^<]*)*)</rc>")
_VARRAY = re.compile(rb"<varray\b([^<>]*)>([^<]*(?:<(?!/?varray\b)[^<]*)*)</varray>")
_GENERATION = re.compile(
    rb'<generation\b[^<>]*param\s*=\s*"([^"<>]*)"[^<>]*>([^<]*(?:<(?!/?generation\b)[^<]*)*)</generation>'
)
_ARRAY = re.compile(rb'<array name="(atoms|atomtypes)"[^<>]*>([^<]*(?:<(?!/?array\b)[^<]*)*)</array>')
_ENERGY = re.compile(rb'<i name="(e_fr_energy|e_wo_entrp|e_0_energy)">([^<]*)</i>')
_PLAIN_ITEM = re.compile(rb"<i\b([^<>]*)>([^<]*)</i>")
_SOUND_ATTRIBUTES = re.compile(rb'(?:\s+[A-Za-z_][\w:.-]*+\s*=\s*"[^"<>]*")*+\s*')
_STARS = re.compile(r"\*+")


def text(raw: bytes) -> str:
    """As VASP declares its files: Latin-1; without outer blanks."""
    return raw.decode("latin-1").strip()


def settings(section: bytes) -> Settings:
    """``<i>`` and ``<v>`` items by name; where a name comes twice, the first one, which is the general one.

    ``NELM`` stands again among the response functions, where it means something else.

    Raises
    ------
    MalformedError
        If an item's attributes are damaged.
    """
    found: dict[str, Value] = {}
    for match in _ITEM.finditer(section):
        said = _name_and_type(match.group(2))
        if said is None:
            raise MalformedError(f"damaged attributes '{text(match.group(2))}'")
        name, kind = said
        if name and name not in found:
            found[name] = _value(text(match.group(3)), kind, vector=match.group(1) == b"v")
    return found


@lru_cache(maxsize=4096)
def _name_and_type(attributes: bytes) -> tuple[str | None, str] | None:
    """An item's name and type, or None where its attributes are damaged; they are the same in file after file."""
    if not _SOUND_ATTRIBUTES.fullmatch(attributes):
        return None
    return _attribute(_NAME, attributes), _attribute(_TYPE, attributes) or "float"


def _attribute(pattern: re.Pattern[bytes], attributes: bytes) -> str | None:
    match = pattern.search(attributes)
    return text(match.group(1)) if match else None


def _value(written: str, kind: str, vector: bool) -> Value:
    if not vector:
        return _scalar(written, kind)
    return tuple(_scalar(word, kind) for word in written.split())


def _scalar(written: str, kind: str) -> str | int | float | bool | None:
    """One setting by its declared type; None where it did not fit its field (``******``) or is damaged."""
    if kind == "string":
        return written
    if kind == "logical":
        return {"T": True, "F": False}.get(written[:1].upper())
    if _STARS.fullmatch(written) or not written:
        return None
    try:
        return int(written) if kind == "int" else to_float(written.encode("latin-1"))
    except ValueError:
        return None


def header(section: bytes) -> Header:
    """``<generator>``."""
    said = settings(section)
    words = {name: str(said[name]) for name in ("program", "version", "date", "time") if said.get(name)}
    differences = tuple(unescape(str(value)) for name, value in said.items() if name.startswith("difference"))
    return Header(**words, differences=differences)


def varrays(section: bytes) -> Mapping[str, bytes]:
    """The texts of ``<varray>`` elements by name; the first where a name comes twice."""
    found: dict[str, bytes] = {}
    for match in _VARRAY.finditer(section):
        found.setdefault(_attribute(_NAME, match.group(1)) or "", match.group(2))
    return found


def matrix(raw: bytes, columns: int = 3) -> Floats:
    """A table of rows of a given width.

    Raises
    ------
    MalformedError
        If it is not.
    """
    rows = read_rows(raw)
    if rows.shape[1] != columns:
        raise MalformedError(f"rows of {rows.shape[1]} numbers where {columns} belong")
    return rows


def kpoints(section: bytes) -> KPoints:
    """``<kpoints>``.

    Raises
    ------
    MalformedError
        If coordinates and weights do not match.
    """
    arrays = varrays(section)
    if "kpointlist" not in arrays:
        raise MalformedError("no k-point list")
    coordinates = matrix(arrays["kpointlist"])
    weights = matrix(arrays["weights"], 1)[:, 0] if "weights" in arrays else np.full(len(coordinates), np.nan)
    if len(weights) != len(coordinates):
        raise MalformedError(f"{len(weights)} weights for {len(coordinates)} k-points")
    generation = _GENERATION.search(section)
    if generation is None:
        return KPoints(coordinates, weights)
    said = settings(generation.group(2))
    divisions = said.get("divisions")
    wanted = divisions if isinstance(divisions, tuple) else (divisions,)
    corners = re.findall(rb"<v>([^<]*)</v>", generation.group(2))
    return KPoints(
        coordinates,
        weights,
        text(generation.group(1)),
        tuple(d for d in wanted if isinstance(d, int)),
        corners=read_rows(b"".join(b"<v>" + c + b"</v>" for c in corners)) if len(corners) > 1 else None,
        generators=_generators(said),
        shift=_three(said.get("shift")),
        user_shift=_three(said.get("usershift")),
    )


def _generators(said: Settings) -> Floats | None:
    rows = [_three(said.get(name)) for name in ("genvec1", "genvec2", "genvec3", "shift")]
    return np.array(rows[:3]) if all(rows) else None


def _three(value: object) -> tuple[float, ...]:
    """Three numbers, or none."""
    numbers = tuple(float(x) for x in value if isinstance(x, int | float)) if isinstance(value, tuple) else ()
    return numbers if len(numbers) == 3 else ()


def atoms(section: bytes) -> Atoms:
    """``<atominfo>``.

    Raises
    ------
    MalformedError
        If atoms and types do not match.
    """
    arrays = dict(_ARRAY.findall(section))
    if set(arrays) != {b"atoms", b"atomtypes"}:
        raise MalformedError("no list of atoms and types")
    try:
        of_atom = [[text(c) for c in _CELL.findall(row)] for row in _ROW.findall(arrays[b"atoms"])]
        of_type = [[text(c) for c in _CELL.findall(row)] for row in _ROW.findall(arrays[b"atomtypes"])]
        types = tuple(int(cells[1]) - 1 for cells in of_atom)
        titles = tuple(cells[4] if len(cells) > 4 else "" for cells in of_type)
        written = tuple(cells[1] for cells in of_type)
        elements = tuple(element_symbol(w, t) for w, t in zip(written, titles, strict=True))
        return Atoms(
            tuple(elements[t] for t in types),
            types,
            elements,
            tuple(to_float(cells[2].encode()) for cells in of_type),
            tuple(to_float(cells[3].encode()) for cells in of_type),
            titles,
            written,
        )
    except (IndexError, ValueError) as error:
        raise MalformedError(f"the list of atoms cannot be read ({error})") from None


def structure(section: bytes, species: tuple[str, ...]) -> Crystal:
    """``<structure>``.

    Raises
    ------
    MalformedError
        If cell or positions are missing or do not match the atoms.
    """
    arrays = varrays(section)
    if "basis" not in arrays or "positions" not in arrays:
        raise MalformedError("a structure without cell or positions")
    lattice, positions = matrix(arrays["basis"]), matrix(arrays["positions"])
    if lattice.shape != (3, 3) or len(positions) != len(species):
        raise MalformedError(f"a structure of {len(positions)} positions for {len(species)} atoms")
    if not has_volume(lattice):
        raise MalformedError("a cell without volume")
    return Crystal(lattice, species, positions)


def mobile(section: bytes, count: int) -> NDArray[np.bool_] | None:
    """Which coordinates may move, shape (atoms, 3), or None where the structure does not say."""
    raw = varrays(section).get("selective")
    if raw is None:
        return None
    flags = [word == b"T" for word in re.findall(rb"\b[TF]\b", raw)]
    return np.array(flags).reshape(-1, 3) if len(flags) == 3 * count else None


def refuse_damaged_items(section: bytes) -> None:
    """Look for numbers that are none among the ``<i>`` items of a step's report.

    Raises
    ------
    MalformedError
        If there is one, or an item's attributes are damaged.
    """
    for attributes, written in _PLAIN_ITEM.findall(section):
        if _name_and_type(attributes) is None:
            raise MalformedError(f"damaged attributes '{text(attributes)}'")
        if b"string" not in attributes and len(row_numbers(written)) != 1:
            raise MalformedError(f"'{text(written)}' is no number")


def energies(section: bytes) -> dict[str, float]:
    """The energies of an ``<energy>`` block by the names that VASP gives them, eV.

    Raises
    ------
    MalformedError
        If one is no number.
    """
    refuse_damaged_items(section)
    found: dict[str, float] = {}
    for name, written in _ENERGY.findall(section):
        found[name.decode()] = to_float(written.strip())
    return found


def final_energies(found: Mapping[str, float], version: str | None) -> tuple[float, float | None, float]:
    """Sort the last energy block of an ionic step into F, E and E(σ→0).

    Up to 6.0.8 VASP writes E(σ→0) under ``e_wo_entrp`` and the entropy term under ``e_0_energy``. E(σ→0) lies
    between F and E, which tells the two apart whatever the version string says; only where the energies are as
    small as an entropy term does the version decide.

    Returns
    -------
    F, E (None where the block does not give it), E(σ→0), all eV.

    Raises
    ------
    MalformedError
        If one of the three is missing.
    """
    try:
        free, without, zero = (found[k] for k in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
    except KeyError as error:
        raise MalformedError(f"an energy block without {error.args[0]}") from None
    slack = 2e-7 + 1e-7 * abs(free - without)
    between = min(free, without) - slack <= zero <= max(free, without) + slack
    if between and not (abs(zero) < 1.0 and _mixes_energies_up(version)):
        return free, without, zero
    return free, None, without


def _mixes_energies_up(version: str | None) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    return numbers is not None and (int(numbers[1]), int(numbers[2])) < (6, 1)
