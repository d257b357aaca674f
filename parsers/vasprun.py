"""Read vasprun.xml, of VASP 5.2 to 6.x or of any program that writes it, in one forward pass.

The file is walked element by element; short elements are read whole, tables of numbers in pieces, what was not asked
for is passed over. What is whole is returned; what is cut off or damaged is left out and named in ``defects``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.errors import ParseError
from kalloy.parsers import sections
from kalloy.parsers.markup import DOCUMENT_TYPE, Tag, Walker
from kalloy.parsers.model import BandData, Dielectric, Floats, IonicStep, KPoints, Projections, Vasprun
from kalloy.parsers.source import CutOffError, MalformedError, Source
from kalloy.parsers.spectra import band_arrays, dielectric_part, projection_weights, read_dos
from kalloy.structures.crystal import Crystal

_STEP_ENERGY = re.compile(rb'<i name="e_fr_energy">([^<]*)</i>')
_BORN_TENSOR = re.compile(rb"<set>((?:\s*<v>[^<]*</v>)++)\s*</set>")


def read_vasprun(path: str | Path, projections: bool = False) -> Vasprun:
    """Read one vasprun.xml, plain or compressed by gzip, bzip2 or xz.

    Parameters
    ----------
    path : the file.
    projections : whether to read the weight of atomic orbitals in the bands, by far the longest part.

    Returns
    -------
    What the file says; ``complete`` is False and ``defects`` names the place where it is cut off or damaged.

    Raises
    ------
    ParseError
        If it cannot be opened, is no vasprun.xml, or declares entities.
    """
    with Source(Path(path)) as source:
        return _Reader(source, projections).read()


@dataclass
class _Step:
    """An ionic step while it is being read."""

    crystal: Crystal | None = None
    energies: dict[str, float] = field(default_factory=dict)
    forces: Floats | None = None
    stress: Floats | None = None
    electronic_energies: list[float] = field(default_factory=list)
    electronic_steps: int = 0
    detailed: list[int] = field(default_factory=list)


class _Reader:
    """One pass over one file."""

    def __init__(self, source: Source, projections: bool) -> None:
        self._walker = Walker(source)
        self._source = source
        self._projections = projections
        self._data: dict[str, Any] = {}
        self._steps: list[IonicStep] = []
        self._dielectric: list[Dielectric] = []
        self._closed = False
        self._open: list[str] = []

    def read(self) -> Vasprun:
        """The whole file, as far as it goes."""
        try:
            self._find_root()
            self._each("modeling", self._top_level())
            self._closed = True
        except CutOffError:
            self._cut_off()
        except MalformedError as error:
            self._walker.defects.append(f"line {self._source.line(self._walker.position)}: {error}")
        return Vasprun(
            **self._data,
            steps=tuple(self._steps),
            dielectric=tuple(self._dielectric),
            closed=self._closed,
            defects=tuple(self._walker.defects),
            files=(self._source.path.name,),
        )

    def _find_root(self) -> None:
        try:
            start = self._source.find(b"<modeling", 0, 1 << 16)
        except MalformedError:
            start = -1
        if b"<!DOCTYPE" in self._source.take(0, start if start >= 0 else min(self._source.end, 1 << 16)):
            raise ParseError(DOCUMENT_TYPE, where=str(self._source.path))
        if start < 0:
            reason = self._source.stream_error or "it has no <modeling> element"
            raise ParseError(f"is no vasprun.xml: {reason}", where=str(self._source.path))
        self._walker.position = start
        root = next(self._walker.children(""))
        if root.name != "modeling":
            raise ParseError("is no vasprun.xml: its <modeling> tag is damaged", where=str(self._source.path))

    def _cut_off(self) -> None:
        """Say where the file ends too early."""
        line = self._source.line(self._source.end)
        place = " of ".join([f"<{name}>" for name in reversed(self._open)] or ["<modeling>"])
        step = f", ionic step {len(self._steps)}" if "calculation" in self._open else ""
        reason = self._source.stream_error or "the file ends"
        self._walker.defects.append(f"line {line}: {reason} inside {place}{step}")

    # -- levels ---------------------------------------------------------------

    def _each(self, parent: str, handlers: dict[str, Callable[[Tag], None]]) -> None:
        """Read every child of an element; a damaged child is put on record and left out."""
        for tag in self._walker.children(parent):
            handler = handlers.get(tag.name)
            if handler is None:
                self._walker.skip_unknown(tag)
                continue
            self._open.append(tag.name)
            try:
                handler(tag)
            except MalformedError as error:
                self._walker.defect(f"<{tag.name}>: {error}", max(tag.start, self._walker.position))
            self._open.pop()

    def _top_level(self) -> dict[str, Callable[[Tag], None]]:
        return {
            "generator": self._generator,
            "incar": self._settings("incar"),
            "parameters": self._settings("parameters"),
            "kpoints": self._kpoints,
            "atominfo": self._atoms,
            "structure": self._structure,
            "calculation": self._calculation,
            "dielectricfunction": self._read_dielectric,
            "varray": self._walker.skip,
        }

    def _step_level(self, step: _Step) -> dict[str, Callable[[Tag], None]]:
        def structure(tag: Tag) -> None:
            step.crystal = self._crystal(self._walker.section(tag))

        def varray(tag: Tag) -> None:
            name = tag.attributes.get("name")
            if name not in ("forces", "stress"):
                self._walker.skip(tag)
                return
            setattr(step, name, sections.matrix(self._walker.section(tag)))

        def energy(tag: Tag) -> None:
            step.energies = sections.energies(self._walker.section(tag))

        def scstep(tag: Tag) -> None:
            text = self._walker.section(tag)
            step.electronic_steps += 1
            sections.refuse_damaged_items(text)
            written = _STEP_ENERGY.findall(text)
            if b"<energy>" in text and len(written) != 1:
                raise MalformedError(f"{len(written)} free energies in one electronic step")
            if b'"alphaZ"' in text:
                step.detailed.append(step.electronic_steps - 1)
            step.electronic_energies.append(_number(written[-1]) if written else np.nan)

        return {
            "scstep": scstep,
            "structure": structure,
            "varray": varray,
            "energy": energy,
            "eigenvalues": self._eigenvalues,
            "eigenvalues_kpoints_opt": self._eigenvalues_opt,
            "eigenvelocities": self._walker.skip,
            "dos": self._dos,
            "projected": self._projected,
            "projected_kpoints_opt": self._walker.skip,
            "projected_magnetisation": self._walker.skip,
            "dielectricfunction": self._read_dielectric,
            "dynmat": self._walker.skip,
            "array": self._array,
        }

    # -- short sections -------------------------------------------------------

    def _generator(self, tag: Tag) -> None:
        self._data["header"] = sections.header(self._walker.section(tag))

    def _settings(self, name: str) -> Callable[[Tag], None]:
        def read(tag: Tag) -> None:
            self._data.setdefault(name, sections.settings(self._walker.section(tag)))

        return read

    def _kpoints(self, tag: Tag) -> None:
        self._data["kpoints"] = sections.kpoints(self._walker.section(tag))

    def _atoms(self, tag: Tag) -> None:
        self._data["atoms"] = sections.atoms(self._walker.section(tag))

    def _structure(self, tag: Tag) -> None:
        text, name = self._walker.section(tag), tag.attributes.get("name")
        if name not in ("initialpos", "finalpos"):
            return
        crystal = self._crystal(text)
        self._data["initial" if name == "initialpos" else "final"] = crystal
        if name == "initialpos":
            self._data["mobile"] = sections.mobile(text, len(crystal))

    def _crystal(self, text: bytes) -> Crystal:
        if "atoms" not in self._data:
            raise MalformedError("a structure before the list of atoms")
        return sections.structure(text, self._data["atoms"].species)

    # -- ionic steps ----------------------------------------------------------

    def _calculation(self, tag: Tag) -> None:
        step = _Step()
        self._steps.append(IonicStep())
        try:
            self._each("calculation", self._step_level(step))
        except CutOffError:
            self._steps[-1] = self._finish(step)
            raise
        self._steps[-1] = replace(self._finish(step), closed=True)

    def _finish(self, step: _Step) -> IonicStep:
        free = without = zero = None
        # What is no self-consistent calculation (GW, RPA) may report other energies.
        if step.energies and (step.electronic_steps or len(step.energies) == 3):
            try:
                found = sections.final_energies(step.energies, getattr(self._data.get("header"), "version", None))
                free, without, zero = (e if e is not None and np.isfinite(e) else None for e in found)
            except MalformedError as error:
                self._walker.defect(str(error))
        return IonicStep(
            step.crystal,
            free,
            without,
            zero,
            step.forces,
            step.stress,
            step.electronic_steps,
            np.array(step.electronic_energies),
            tuple(step.detailed),
        )

    # -- tables ---------------------------------------------------------------

    def _eigenvalues(self, tag: Tag) -> None:
        values, occupations = band_arrays(self._walker.table(tag))
        self._data["bands"] = self._band_data(self._data.get("kpoints"), values, occupations)

    def _band_data(self, points: KPoints | None, values: Floats, occupations: Floats) -> BandData:
        if points is None or len(points.coordinates) != values.shape[1]:
            count = 0 if points is None else len(points.coordinates)
            raise MalformedError(f"eigenvalues on {values.shape[1]} of {count} k-points")
        return BandData(points, values, occupations)

    def _eigenvalues_opt(self, tag: Tag) -> None:
        inner: dict[str, Any] = {}

        def points(child: Tag) -> None:
            inner["kpoints"] = sections.kpoints(self._walker.section(child))

        def values(child: Tag) -> None:
            inner["values"] = band_arrays(self._walker.table(child))

        self._each(tag.name, {"kpoints": points, "eigenvalues": values})
        if "values" in inner:
            self._data["bands_opt"] = self._band_data(inner.get("kpoints"), *inner["values"])

    def _dos(self, tag: Tag) -> None:
        key = "dos_opt" if tag.attributes.get("comment") == "kpoints_opt" else "dos"
        atoms = self._data.get("atoms")
        parameters = self._data.get("parameters", {})
        self._data[key] = read_dos(
            self._walker, tag, self._open, atoms.species if atoms else (), bool(parameters.get("LNONCOLLINEAR"))
        )

    def _projected(self, tag: Tag) -> None:
        if not self._projections:
            self._walker.skip(tag)
            return
        self._each("projected", {"eigenvalues": self._walker.skip, "array": self._projection_array})

    def _projection_array(self, tag: Tag) -> None:
        self._data["projections"] = Projections(*projection_weights(self._walker.table(tag)))

    def _read_dielectric(self, tag: Tag) -> None:
        parts: dict[str, tuple[Floats, Floats]] = {}

        def part(child: Tag) -> None:
            parts[child.name] = dielectric_part(self._walker.table(child))

        self._each(tag.name, {"imag": part, "real": part})
        if set(parts) != {"imag", "real"}:
            return  # some kinds of response calculations write other parts, which say nothing here
        (energies, imaginary), (_, real) = parts["imag"], parts["real"]
        if real.shape != imaginary.shape:
            raise MalformedError("a dielectric function with parts of unequal length")
        self._dielectric.append(Dielectric(tag.attributes.get("comment", ""), energies, real, imaginary))

    def _array(self, tag: Tag) -> None:
        text = self._walker.section(tag)
        if tag.attributes.get("name") == "born_charges":
            tensors = [sections.matrix(tensor) for tensor in _BORN_TENSOR.findall(text)]
            self._data["born_charges"] = np.array(tensors)


def _number(written: bytes) -> float:
    try:
        return float(written.strip())
    except ValueError:
        return float("nan")
