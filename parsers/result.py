"""One calculation's result from its folder: which files to believe, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.errors import InputError, ParseError
from kalloy.parsers.bands import Bands
from kalloy.parsers.convergence import Convergence, judge, real
from kalloy.parsers.dos import Dos
from kalloy.parsers.endings import find_cause
from kalloy.parsers.files import find_file, read_file, read_folder
from kalloy.parsers.gap import Edge, Gap, find_gap
from kalloy.parsers.kpath import Corners, path_bands, read_corners, split_bands
from kalloy.parsers.model import Floats, IonicStep, Settings, Vasprun
from kalloy.structures.crystal import Crystal

SCHEMA = 1
"""Version of the JSON form."""


@dataclass(frozen=True, eq=False)
class Result:
    """What one calculation gave, with its doubts."""

    folder: str
    """As it was named by whoever asked."""
    vasprun: Vasprun
    """All that the file says."""
    mesh: Bands | None = None
    """Bands on the k-point mesh."""
    path: Bands | None = None
    """Bands on a path: line mode, zero-weight points, or KPOINTS_OPT."""
    gap: Gap = field(default_factory=lambda: Gap(None, None))
    """The gap over all of them."""
    convergence: Convergence = field(default_factory=lambda: Convergence(False))
    """What was reached."""
    warnings: tuple[str, ...] = ()
    """Every doubt, in words: the file's, convergence's and the gap's."""

    @property
    def bands(self) -> Bands | None:
        """Bands to draw: the path's, or the mesh's where there is no path."""
        return self.path or self.mesh

    @property
    def dos(self) -> Dos | None:
        """Density of states."""
        return self.vasprun.dos

    @property
    def crystal(self) -> Crystal | None:
        """The last structure."""
        return self.vasprun.crystal

    @property
    def program(self) -> str | None:
        """``vasp``, ``gpaw``, …"""
        return self.vasprun.header.program

    @property
    def version(self) -> str | None:
        """The program's version."""
        return self.vasprun.header.version

    @property
    def parameters(self) -> Settings:
        """Settings that were effective, by VASP's names."""
        return self.vasprun.parameters

    @property
    def complete(self) -> bool:
        """Whether the program ended by itself and its file is whole."""
        return self.convergence.complete

    @property
    def last_step(self) -> IonicStep | None:
        """The last ionic step that has an energy."""
        return self.vasprun.last_complete_step

    @property
    def energy(self) -> float | None:
        """E(σ→0) of the last completed ionic step, eV."""
        return self.last_step.energy_zero if self.last_step else None

    @property
    def forces(self) -> Floats | None:
        """Shape (atoms, 3), eV/Å, of the last completed ionic step."""
        return self.last_step.forces if self.last_step else None

    @property
    def stress(self) -> Floats | None:
        """Shape (3, 3), kB, of the last completed ionic step, in VASP's sign."""
        return self.last_step.stress if self.last_step else None

    @cached_property
    def formula(self) -> str | None:
        """The cell's content in order of first appearance, every number written: ``Cs2Sn1Br6``."""
        if self.crystal is None:
            return None
        return "".join(f"{element}{count}" for element, count in self.crystal.composition.items())

    def to_json(self) -> dict[str, Any]:
        """The result as plain values for JSON, schema 1; None where unknown."""
        return {
            "schema": SCHEMA,
            "folder": self.folder,
            "program": self.program,
            "formula": self.formula,
            "complete": self.complete,
            "electronic_converged": self.convergence.electronic,
            "ionic_converged": self.convergence.ionic,
            "energy_eV": _rounded(self.energy, 8),
            "volume_A3": _rounded(self.crystal.volume, 6) if self.crystal else None,
            "metal": self.gap.metal,
            "gap_eV": _rounded(self.gap.gap),
            "direct": self.gap.direct,
            "direct_gap_eV": _rounded(self.gap.direct_gap),
            "vbm_eV": _rounded(self.gap.vbm.energy) if self.gap.vbm else None,
            "cbm_eV": _rounded(self.gap.cbm.energy) if self.gap.cbm else None,
            "vbm_k": _points(self.gap.vbm),
            "cbm_k": _points(self.gap.cbm),
            "gap_source": self.gap.source if self.gap.gap is not None else None,
            "warnings": list(self.warnings),
        }


def _rounded(value: float | None, decimals: int = 6) -> float | None:
    """A value that JSON can carry; adding zero removes the sign of a negative one."""
    return None if value is None or not np.isfinite(value) else round(value, decimals) + 0.0


def _points(edge: Edge | None) -> list[list[float]] | None:
    return None if edge is None else [list(k) for k in edge.kpoints]


def read_result(folder: str | Path) -> Result:
    """Read one calculation.

    Parameters
    ----------
    folder : a VASP folder, or one file of it: vasprun.xml, vaspout.h5, OUTCAR, also compressed.

    Raises
    ------
    InputError
        If there is no such file or folder.
    ParseError
        If it holds nothing that can be read.
    """
    place = Path(folder)
    if not place.exists():
        raise InputError("no such file or folder", where=str(folder))
    run = read_file(place) if place.is_file() else read_folder(place)
    home = place.parent if place.is_file() else place
    corners, corners_opt = (_named_corners(home, name) for name in ("KPOINTS", "KPOINTS_OPT"))
    cause = None if run.complete or place.is_file() else find_cause(home)
    return assemble(str(folder), run, corners, corners_opt, cause)


def unreadable(folder: str, reason: str) -> dict[str, Any]:
    """The row of a folder that cannot be read: every value unknown, the reason among the warnings."""
    row: dict[str, Any] = dict.fromkeys(Result(folder, Vasprun()).to_json())
    return row | {"schema": SCHEMA, "folder": folder, "complete": False, "warnings": [reason]}


def _named_corners(folder: Path, name: str) -> Corners:
    file = find_file(folder, name)
    try:
        return read_corners(file) if file else ()
    except ParseError:
        return ()  # names are an ornament: the path is known without them


def assemble(
    folder: str, run: Vasprun, corners: Corners = (), corners_opt: Corners = (), cause: str | None = None
) -> Result:
    """Put together what a calculation's files say.

    Parameters
    ----------
    corners, corners_opt : named points of KPOINTS and KPOINTS_OPT, where known.
    cause : what ended the calculation before its time, where known.
    """
    per_band = electrons_per_band(run)
    sets = split_bands(run.bands, run.crystal, per_band, corners) if run.bands else []
    if run.bands_opt:
        sets.append(path_bands(run.bands_opt, run.crystal, per_band, corners_opt))
    gap = find_gap(sets, real(run, "NELECT"))
    convergence = judge(run)
    return Result(
        folder,
        run,
        next((b for b in sets if b.source == "mesh"), None),
        next((b for b in reversed(sets) if b.source == "path"), None),
        gap,
        convergence,
        _file_warnings(run, cause) + convergence.warnings + (gap.warnings if sets else ()),
    )


def electrons_per_band(run: Vasprun) -> int:
    """Electrons that a full band holds at a k-point: 2, or 1 with spin channels or spinors."""
    spinors = run.parameters.get("LNONCOLLINEAR") is True or run.parameters.get("LSORBIT") is True
    channels = run.bands.eigenvalues.shape[0] if run.bands else 1
    return 1 if spinors or channels > 1 else 2


def _file_warnings(run: Vasprun, cause: str | None) -> tuple[str, ...]:
    warnings = tuple(f"incomplete: {defect}" for defect in run.defects)
    if cause:
        warnings += (f"ended by {cause}",)
    if len(run.files) > 1:
        warnings += (f"read from {', '.join(run.files)}",)
    if run.atoms:
        pairs = zip(run.atoms.as_written, run.atoms.elements, strict=True)
        warnings += tuple(
            f"element written as '{written}', taken as {element} from its data set's title"
            for written, element in pairs
            if written != element
        )
    if not run.steps:
        warnings += ("no ionic step in the file",)
    elif run.last_complete_step is None:
        warnings += ("no energy in the file",)
    return warnings
