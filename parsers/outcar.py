"""Read OUTCAR into the same neutral data as vasprun.xml, for where that is missing or broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kalloy.errors import ParseError
from kalloy.parsers.elements import element_symbol
from kalloy.parsers.lines import MOST_ROWS, Lines
from kalloy.parsers.model import Atoms, BandData, Floats, Header, IonicStep, KPoints, Value, Vasprun
from kalloy.parsers.runs import OneRun
from kalloy.parsers.scanning import row_numbers
from kalloy.parsers.source import CutOffError, MalformedError
from kalloy.structures.crystal import Crystal, has_volume

_SETTING = re.compile(rb"\b([A-Z][A-Z_]+)\s*=\s*([-+.\dEeTF*]+)")
_INTEGERS = {"NELM", "NSW", "IBRION", "ISIF", "ISPIN", "ICHARG", "NBANDS", "NKPTS", "NIONS", "ISMEAR", "NEDOS", "IALGO"}
_LOGICALS = {"LNONCOLLINEAR", "LSORBIT", "LEPSILON", "LOPTICS", "LHFCALC"}
_REALS = {"NELECT", "EDIFF", "EDIFFG", "ENCUT", "SIGMA", "NUPDOWN"}
_VERSION = re.compile(rb"^\s*([A-Za-z]+)[.\s]\s*(\d\S*)")
_LATTICE_NUMBER = re.compile(rb"-?\d+\.\d{9}")
"""Columns of 13 with nine decimals each: from 100 Å on nothing stands between two of them."""
_ITERATION = re.compile(rb"Iteration\s*(\d+|\*+)\s*\(\s*(\d+|\*+)\s*\)")
_KPOINT = re.compile(rb"^\s*k-point\s*(?:\d+|\*+)\s*:(.*)")
_NUMBER = re.compile(rb"=\s*([-+.\dEe*]+)")
_OF_THE_BLOCK = (b"k-point", b"band", b"spin component", b"Fermi energy", b"add alpha+bet", b"*")
"""How lines within a list of eigenvalues start, other than by a digit."""
_KEY = 6  # characters of a line, blanks before them left out, that say what it starts


def read_outcar(path: str | Path) -> Vasprun:
    """Read one OUTCAR, plain or compressed; of several runs in one file the last.

    Returns
    -------
    What it says; no densities of states, for it holds none. ``complete`` is False and ``defects`` names the place
    where the file breaks off before its timing report.

    Raises
    ------
    ParseError
        If it cannot be opened or is no OUTCAR.
    """
    file = Lines(Path(path))
    try:
        first = file.next()
    except CutOffError:
        raise ParseError("is empty", where=str(path)) from None
    match = _VERSION.match(first)
    if match is None:
        raise ParseError("is no OUTCAR: its first line names no program", where=str(path))
    earlier = 0
    while True:
        lines = OneRun(file)
        run = _Reader(lines, Header(match[1].decode().lower(), match[2].decode("latin-1"))).read()
        if lines.following is None or (match := _VERSION.match(lines.following)) is None:
            return replace(run, earlier_runs=earlier)
        earlier += 1


class _Reader:
    """One pass over one run; the last line it understood decides what the next lines are."""

    def __init__(self, lines: OneRun, header: Header) -> None:
        self._lines = lines
        self._header = header
        self._settings: dict[str, Value] = {}
        self._titles: list[str] = []
        self._symbols: list[str] = []
        self._masses: list[float] = []
        self._valences: list[float] = []
        self._counts: list[int] = []
        self._lattice: Floats | None = None
        self._initial: Crystal | None = None
        self._kpoints: KPoints | None = None
        self._eigenvalue_lines: list[bytes] = []
        self._steps: list[IonicStep] = []
        self._electronic = 0
        self._crystal: Crystal | None = None
        self._forces: Floats | None = None
        self._stress: Floats | None = None
        self._free: float | None = None
        self._learned = False
        self._closed = self._reached_accuracy = False
        self._defects: list[str] = []
        self._starts: dict[bytes, Callable[[bytes], None]] = {
            b"TITEL ": self._title,
            b"VRHFIN": self._symbol,
            b"POMASS": self._mass,
            b"ions p": self._ions_per_type,
            b"direct": self._lattice_vectors,
            b"k-poin": self._kpoint_list,
            b"positi": self._initial_positions,
            b"------": self._iteration,
            b"E-ferm": self._eigenvalues,
            b"in kB ": self._pressure,
            b"POSITI": self._positions_and_forces,
            b"free  ": self._free_energy,
            b"energy": self._energies,
            b"ML ene": self._energies,
            b"reache": self._accuracy,
            b"Genera": self._end,
        }

    def read(self) -> Vasprun:
        """The whole run, as far as it goes."""
        try:
            for line in self._lines:
                self._understand(line)
        except CutOffError:
            self._defects.append(f"OUTCAR line {self._lines.number}: the file ends in the middle of a block")
        return self._assemble()

    def _understand(self, line: bytes) -> None:
        start = self._starts.get(line.lstrip()[:_KEY])
        if start is not None:
            self._guarded(start, line)
        elif b"=" in line and not self._steps:
            self._collect_settings(line)

    def _guarded(self, start: Callable[[bytes], None], line: bytes) -> None:
        try:
            start(line)
        except (MalformedError, ValueError, IndexError) as error:
            self._defects.append(f"OUTCAR line {self._lines.number}: {error}")

    # -- what stands before the first step -------------------------------------

    def _title(self, line: bytes) -> None:
        self._titles.append(line.partition(b"=")[2].decode("latin-1").strip())

    def _symbol(self, line: bytes) -> None:
        self._symbols.append(re.split(r"[:\s]", line.partition(b"=")[2].decode("latin-1").strip())[0])

    def _mass(self, line: bytes) -> None:
        found = _NUMBER.findall(line)
        if b"ZVAL" in line and len(found) == 2:
            self._masses.append(float(found[0]))
            self._valences.append(float(found[1]))

    def _ions_per_type(self, line: bytes) -> None:
        counts = [int(word) for word in line.partition(b"=")[2].split()]
        if not 0 < sum(counts) < MOST_ROWS or min(counts) < 0:
            raise MalformedError(f"{sum(counts)} ions")
        self._counts = counts

    def _collect_settings(self, line: bytes) -> None:
        for name, written in _SETTING.findall(line):
            key = name.decode()
            if key in _LOGICALS:
                self._settings[key] = written.startswith(b"T")
            elif b"*" in written:
                continue
            elif key in _INTEGERS and re.fullmatch(rb"[-+]?\d+", written):
                self._settings[key] = int(written)
            elif key in _REALS and re.fullmatch(rb"[-+]?\d*\.?\d+(?:[Ee][-+]?\d+)?\.?|[-+]?\d+\.", written):
                self._settings[key] = float(written)

    @property
    def _species(self) -> tuple[str, ...]:
        types = zip(self._elements, self._counts, strict=False)
        return tuple(element for element, count in types for _ in range(count))

    @property
    def _elements(self) -> tuple[str, ...]:
        titles = self._titles[: len(self._counts)]
        symbols = self._symbols + [""] * len(titles)
        return tuple(element_symbol(symbol, title) for symbol, title in zip(symbols, titles, strict=False))

    def _rows(self, count: int, columns: int) -> Floats:
        rows = [row_numbers(self._lines.next()) for _ in range(count)]
        if any(len(row) < columns for row in rows):
            raise MalformedError(f"fewer than {columns} numbers in a row")
        return np.array([row[:columns] for row in rows])

    def _lattice_vectors(self, line: bytes) -> None:
        if line.lstrip().startswith(b"direct lattice vectors"):
            lines = [self._lines.next() for _ in range(3)]
            columns = [_LATTICE_NUMBER.findall(line) for line in lines]
            rows = [c if len(c) == 6 else row_numbers(line) for c, line in zip(columns, lines, strict=True)]
            if any(len(row) < 3 for row in rows):
                raise MalformedError("fewer than 3 numbers in a row")
            self._lattice = np.array([[float(number) for number in row[:3]] for row in rows])

    def _initial_positions(self, line: bytes) -> None:
        if b"fractional" in line and self._initial is None and self._lattice is not None and self._species:
            self._initial = self._crystal_at(self._rows(len(self._species), 3))

    def _crystal_at(self, fractional: Floats) -> Crystal:
        assert self._lattice is not None
        if not has_volume(self._lattice):
            raise MalformedError("a cell without volume")
        return Crystal(self._lattice, self._species, fractional)

    def _kpoint_list(self, line: bytes) -> None:
        if b"reciprocal lattice and weights" not in line or self._kpoints is not None:
            return
        rows: list[list[float]] = []
        while (line := self._lines.next()).strip() and len(rows) < MOST_ROWS:
            rows.append(row_numbers(line)[:4])
        points = np.array(rows)
        if points.ndim != 2 or points.shape[1] != 4:
            raise MalformedError("a list of k-points that is none")
        self._kpoints = KPoints(points[:, :3], _weights(points[:, 3]))

    # -- the steps ---------------------------------------------------------------

    def _iteration(self, line: bytes) -> None:
        match = _ITERATION.search(line)
        if match is None:
            return
        # A second line for the same step (linear response, timing) counts once.
        self._electronic = int(match[2]) if match[2].isdigit() else self._electronic + 1

    def _eigenvalues(self, line: bytes) -> None:
        """Keep the block's text; only the last one of the file is turned into numbers."""
        block: list[bytes] = []
        for following in self._lines:
            bare = following.strip()
            if bare and not bare[:1].isdigit() and not bare.startswith(_OF_THE_BLOCK):
                break
            block.append(following)
            if len(block) > MOST_ROWS:
                raise MalformedError(f"a block of more than {MOST_ROWS} lines")
        else:
            raise CutOffError
        if any(_KPOINT.match(line) for line in block):
            self._eigenvalue_lines = block
        self._understand(following)

    def _pressure(self, line: bytes) -> None:
        numbers = row_numbers(line.partition(b"kB")[2])
        if len(numbers) == 6:
            xx, yy, zz, xy, yz, zx = numbers
            self._stress = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])

    def _positions_and_forces(self, line: bytes) -> None:
        if b"TOTAL-FORCE" not in line or self._lattice is None:
            return
        self._lines.next()
        rows = self._rows(len(self._species), 6)
        self._crystal = self._crystal_at(rows[:, :3] @ np.linalg.inv(self._lattice))
        self._forces = rows[:, 3:]

    def _free_energy(self, line: bytes) -> None:
        said = line.lstrip()
        if said.startswith((b"free  energy   TOTEN", b"free  energy ML TOTEN")):
            self._free = float(_NUMBER.findall(line)[0])
            self._learned = said.startswith(b"free  energy ML")

    def _energies(self, line: bytes) -> None:
        """The last line of an ionic step's report; the electronic ones are spelt with one blank less."""
        if self._free is None or not line.lstrip().removeprefix(b"ML ").startswith(b"energy  without entropy"):
            return
        without, zero = (float(number) for number in _NUMBER.findall(line)[:2])
        if np.isfinite([self._free, without, zero]).all():
            self._steps.append(
                IonicStep(
                    self._crystal or self._initial,
                    self._free,
                    without,
                    zero,
                    self._forces,
                    self._stress,
                    self._electronic,
                    closed=True,
                    learned=self._learned,
                )
            )
        self._electronic, self._free = 0, None
        self._crystal = self._forces = self._stress = None

    def _accuracy(self, line: bytes) -> None:
        said = line.lstrip().startswith(b"reached required accuracy - stopping structural")
        self._reached_accuracy = self._reached_accuracy or said

    def _end(self, line: bytes) -> None:
        self._closed = self._closed or line.lstrip().startswith(b"General timing and accounting")

    # -- the whole -----------------------------------------------------------------

    def _assemble(self) -> Vasprun:
        if self._electronic and not self._closed:
            # A step under way when the program stopped.
            self._steps.append(IonicStep(electronic_steps=self._electronic))
        if not self._closed:
            reason = self._lines.stream_error or "the file ends before its timing report"
            self._defects.append(f"OUTCAR line {self._lines.number}: {reason}")
        bands = None
        try:
            bands = self._bands()
        except (MalformedError, ValueError) as error:
            self._defects.append(f"OUTCAR, eigenvalues: {error}")
        return Vasprun(
            header=self._header,
            parameters=self._settings,
            atoms=self._atoms(),
            initial=self._initial,
            steps=tuple(self._steps),
            kpoints=self._kpoints,
            bands=bands,
            closed=self._closed,
            reached_accuracy=self._reached_accuracy,
            defects=tuple(self._defects),
            files=(self._lines.path.name,),
        )

    def _atoms(self) -> Atoms | None:
        count = len(self._counts)
        if not count or len(self._elements) != count or len(self._valences) < count:
            return None
        types = tuple(t for t, n in enumerate(self._counts) for _ in range(n))
        return Atoms(
            self._species,
            types,
            self._elements,
            tuple(self._masses[:count]),
            tuple(self._valences[:count]),
            tuple(self._titles[:count]),
            tuple(self._symbols[:count]) or self._elements,
        )

    def _bands(self) -> BandData | None:
        if not self._eigenvalue_lines or self._kpoints is None:
            return None
        per_k = _per_kpoint(self._eigenvalue_lines)
        spins = 2 if self._settings.get("ISPIN") == 2 else 1
        count = len(self._kpoints.coordinates)
        if len(per_k) != spins * count:
            raise MalformedError(f"{len(per_k)} lists of eigenvalues for {spins} × {count} k-points")
        if len({len(rows) for rows in per_k}) != 1:
            raise MalformedError("unequal numbers of bands")
        table = np.array(per_k).reshape(spins, count, -1, 2)
        spinors = self._settings.get("LNONCOLLINEAR") is True or self._settings.get("LSORBIT") is True
        full = 2.0 if spins == 1 and not spinors else 1.0
        return BandData(self._kpoints, table[..., 0].copy(), table[..., 1] / full)


def _weights(printed: Floats) -> Floats:
    """Weights that sum to one, from three printed decimals.

    Points that take no part stand at the end of the list; where a printed zero comes before a weight it is a small
    weight, and half of what rounding hides stands for it.
    """
    zero = printed == 0
    if zero.any() and not zero.all() and not zero[np.argmax(zero) :].all():
        printed = np.where(zero, 2.5e-4, printed)
    return printed / printed.sum() if printed.sum() > 0 else printed


def _per_kpoint(lines: list[bytes]) -> list[Floats]:
    """Energies and occupations of every k-point's bands, shape (bands, 2) each, both spins one after the other."""
    per_k: list[list[bytes]] = []
    for line in lines:
        if _KPOINT.match(line):
            per_k.append([])
        elif per_k and line.strip() and b"band" not in line and b"spin" not in line and b":" not in line:
            per_k[-1].append(line)
    return [_band_rows(rows) for rows in per_k]


def _band_rows(rows: list[bytes]) -> Floats:
    """Shape (bands, 2): energy and occupation of rows ``number energy occupation``."""
    try:
        return np.array(b" ".join(rows).split(), dtype=float).reshape(len(rows), 3)[:, 1:]
    except ValueError:
        # Numbers that did not fit their field, or damage: look at each row.
        numbers = [row_numbers(row) for row in rows]
    if any(len(row) != 3 for row in numbers):
        raise MalformedError("a band without its three numbers")
    return np.array(numbers)[:, 1:]
