"""Read vaspout.h5 of VASP 6 into the same neutral data as vasprun.xml; needs h5py, which is no dependency."""

from __future__ import annotations

import importlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np

from kalloy.errors import ParseError
from kalloy.parsers.dos import Dos
from kalloy.parsers.model import BandData, Floats, Header, IonicStep, KPoints, Value, Vasprun
from kalloy.parsers.opening import open_binary
from kalloy.structures.crystal import Crystal, has_volume

MOST_BYTES = 1 << 30
"""Of a compressed file, decompressed; beyond, it is refused."""


def can_read() -> bool:
    """Whether h5py is installed."""
    return importlib.util.find_spec("h5py") is not None


def read_vaspout(path: str | Path) -> Vasprun:
    """Read one vaspout.h5, plain or compressed.

    Raises
    ------
    ParseError
        If h5py is missing, or the file cannot be opened or is no vaspout.h5.
    """
    if not can_read():
        raise ParseError("cannot be read without h5py", where=str(path), mend="pip install h5py")
    h5py: Any = importlib.import_module("h5py")
    try:
        with h5py.File(_as_file(Path(path)), "r") as file:
            return _Reader(file, Path(path)).read()
    # A dataset may be a group, or of another kind or shape than VASP's.
    except (OSError, LookupError, ValueError, RuntimeError, TypeError, AttributeError, OverflowError) as error:
        raise ParseError(f"is no whole vaspout.h5 ({error})", where=str(path)) from None


def _as_file(path: Path) -> Any:
    if path.suffix == ".h5":
        return str(path)
    with open_binary(path) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ParseError(f"is larger than {MOST_BYTES} bytes", where=str(path))
    return io.BytesIO(content)


class _Reader:
    """Takes what is there; a group that is missing leaves its part unknown."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file = file
        self._path = path

    def _get(self, name: str) -> Any:
        return self._file[name][()] if name in self._file else None

    def _floats(self, name: str, *shape: int | None) -> Any:
        """A dataset of this shape, None for any length; None where it is missing.

        Raises
        ------
        ValueError
            Where it holds no numbers, or has another shape.
        """
        if (found := self._get(name)) is None:
            return None
        array = np.asarray(found, dtype=float)
        if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
            wanted = " × ".join("n" if n is None else str(n) for n in shape)
            raise ValueError(f"{name} is {' × '.join(map(str, array.shape)) or 'one number'} instead of {wanted}")
        return array

    def read(self) -> Vasprun:
        """The whole file."""
        species = self._species()
        final = self._crystal("results/positions", species)
        steps = self._steps(species)
        bands = self._bands("results/electron_eigenvalues")
        closed = final is not None
        return Vasprun(
            header=self._header(),
            incar=self._incar(),
            parameters=self._parameters(bands),
            initial=self._crystal("input/poscar", species),
            final=final,
            steps=steps,
            kpoints=bands.kpoints if bands else None,
            bands=bands,
            bands_opt=self._bands("results/electron_eigenvalues_kpoints_opt"),
            dos=self._dos(species),
            closed=closed,
            defects=() if closed else ("vaspout.h5 holds no final positions: the calculation did not end",),
            files=(self._path.name,),
        )

    def _header(self) -> Header:
        numbers = [self._get(f"version/{part}") for part in ("major", "minor", "patch")]
        return Header("vasp", ".".join(str(int(n)) for n in numbers if n is not None) or None)

    def _incar(self) -> dict[str, Value]:
        if "input/incar" not in self._file:
            return {}
        return {name: _plain(data[()]) for name, data in self._file["input/incar"].items() if data.size == 1}

    def _parameters(self, bands: BandData | None) -> dict[str, Value]:
        """Effective settings as far as the results show them; the rest is as it was asked for."""
        found: dict[str, Value] = {}
        electrons = self._get("results/electron_eigenvalues/nelectrons")
        if electrons is not None:
            found["NELECT"] = float(electrons)
        if bands is not None:
            found["ISPIN"] = len(bands.eigenvalues)
        if self._get("results/electron_dos/ncdij") == 4 or _is_set(self._incar(), "LNONCOLLINEAR", "LSORBIT"):
            found["LNONCOLLINEAR"] = True
        asked = self._incar()
        if int(_number(asked.get("NSW"), 0)) <= 0:
            found.update({"NSW": 0, "IBRION": -1})
        return found

    def _species(self) -> tuple[str, ...]:
        for group in ("results/positions", "input/poscar"):
            types, counts = self._get(f"{group}/ion_types"), self._get(f"{group}/number_ion_types")
            if types is not None and counts is not None:
                names = [t.decode().strip().split("_")[0] for t in types]
                return tuple(n for n, count in zip(names, counts.tolist(), strict=True) for _ in range(count))
        return ()

    def _crystal(self, group: str, species: tuple[str, ...]) -> Crystal | None:
        lattice = self._floats(f"{group}/lattice_vectors", 3, 3)
        positions = self._floats(f"{group}/position_ions", None, 3)
        if lattice is None or positions is None or len(positions) != len(species):
            return None
        lattice = lattice * float(_number(self._get(f"{group}/scale"), 1.0))
        direct = self._get(f"{group}/direct_coordinates")
        fractional = positions if direct is None or direct else positions @ np.linalg.inv(lattice)
        return _checked(lattice, species, fractional)

    def _steps(self, species: tuple[str, ...]) -> tuple[IonicStep, ...]:
        group = "intermediate/ion_dynamics"
        tags = self._get(f"{group}/energies_tags")
        if tags is None or (energies := self._floats(f"{group}/energies", None, len(tags))) is None:
            return ()
        names = [" ".join(t.decode().split()) for t in tags]
        column = {name: energies[:, i] for i, name in enumerate(names)}
        rows = {"lattice_vectors": 3, "position_ions": len(species), "forces": len(species), "stress": 3}
        arrays = {name: self._floats(f"{group}/{name}", None, number, 3) for name, number in rows.items()}
        return tuple(self._step(i, column, arrays, species) for i in range(len(energies)))

    def _step(self, i: int, column: dict[str, Floats], arrays: dict[str, Any], species: tuple[str, ...]) -> IonicStep:
        def energy(name: str) -> float | None:
            return float(column[name][i]) if name in column and np.isfinite(column[name][i]) else None

        def array(name: str) -> Any:
            return arrays[name][i] if arrays[name] is not None and i < len(arrays[name]) else None

        lattice, positions = array("lattice_vectors"), array("position_ions")
        whole = lattice is not None and positions is not None
        return IonicStep(
            _checked(lattice, species, positions) if whole else None,
            energy("free energy TOTEN"),
            energy("energy without entropy"),
            energy("energy(sigma->0)"),
            array("forces"),
            array("stress"),
            closed=True,
        )

    def _bands(self, group: str) -> BandData | None:
        energies = self._floats(f"{group}/eigenvalues", None, None, None)
        if energies is None:
            return None
        coordinates = self._floats(f"{group}/kpoint_coords", energies.shape[1], 3)
        if coordinates is None:
            return None
        weights = self._floats(f"{group}/kpoints_symmetry_weight", len(coordinates))
        occupations = self._floats(f"{group}/fermiweights", *energies.shape)
        points = KPoints(coordinates, weights if weights is not None else np.full(len(coordinates), np.nan))
        return BandData(points, energies, occupations if occupations is not None else np.full(energies.shape, np.nan))

    def _dos(self, species: tuple[str, ...]) -> Dos | None:
        group = "results/electron_dos"
        energies = self._floats(f"{group}/energies", None)
        if energies is None or (total := self._floats(f"{group}/dos", None, len(energies))) is None:
            return None
        if (integrated := self._floats(f"{group}/dosi", *total.shape)) is None:
            return None
        projected = self._floats(f"{group}/dospar", len(total), len(species), None, len(energies))
        orbitals: tuple[str, ...] = ()
        if projected is not None:
            projected = np.moveaxis(projected, 0, 1)
            names = self._get("results/projectors/lchar")
            orbitals = tuple(n.decode().strip() for n in names[: projected.shape[2]]) if names is not None else ()
        efermi = self._get(f"{group}/efermi")
        return Dos(
            energies,
            total,
            integrated,
            float(efermi) if efermi is not None else None,
            projected if orbitals else None,
            orbitals,
            species,
            len(total) == 4,
        )


def _checked(lattice: Floats, species: tuple[str, ...], fractional: Floats) -> Crystal:
    if not has_volume(lattice):
        raise ValueError("a cell without volume")
    return Crystal(lattice, species, fractional)


def _plain(value: Any) -> Value:
    if isinstance(value, bytes):
        return value.decode("latin-1").strip()
    item = np.asarray(value).item()
    return item if isinstance(item, str | int | float | bool) else None


def _number(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _is_set(asked: dict[str, Value], *names: str) -> bool:
    return any(asked.get(name) in (True, 1) for name in names)
