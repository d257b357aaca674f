"""A vaspout.h5 whose datasets are missing, of another kind or another shape is read as far as it goes, or told."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import KalloyError
from kalloy.parsers.result import read_result
from tests.fuzzing.mutations import ASKED

h5py = pytest.importorskip("h5py")
_CHANCE = np.random.default_rng(1)
_CELL: dict[str, Any] = {
    "ion_types": np.array([b"K ", b"Br"]),
    "number_ion_types": np.array([1, 1]),
    "lattice_vectors": 6.7 * (np.ones((3, 3)) - np.eye(3)) / 2,
    "position_ions": np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    "scale": 1.0,
    "direct_coordinates": 1,
}
_BANDS: dict[str, Any] = {
    "kpoint_coords": np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 0.25, 0.75]]),
    "kpoints_symmetry_weight": np.array([0.25, 0.5, 0.25]),
    "eigenvalues": np.sort(_CHANCE.normal(size=(1, 3, 6)), axis=2),
    "fermiweights": np.broadcast_to([1.0, 1.0, 1.0, 1.0, 0.0, 0.0], (1, 3, 6)),
    "nelectrons": 8.0,
}
_DOS: dict[str, Any] = {
    "energies": np.linspace(-5, 5, 11),
    "dos": np.ones((1, 11)),
    "dosi": np.ones((1, 11)).cumsum(axis=1),
    "dospar": np.ones((1, 2, 4, 11)),
    "efermi": 0.5,
}
_IONS: dict[str, Any] = {
    "energies": np.array([[-7.0, -7.0, -7.0]]),
    "energies_tags": np.array([b"free energy    TOTEN", b"energy without entropy", b"energy(sigma->0)"]),
    "lattice_vectors": _CELL["lattice_vectors"][None],
    "position_ions": _CELL["position_ions"][None],
    "forces": np.zeros((1, 2, 3)),
    "stress": np.zeros((1, 3, 3)),
}
SOUND: dict[str, Any] = {
    "version/major": 6,
    "version/minor": 4,
    "version/patch": 2,
    "input/incar/NSW": 0,
    "input/incar/ENCUT": 300.0,
    "input/incar/SYSTEM": b"KBr",
    "results/projectors/lchar": np.array([b"s", b"py", b"pz", b"px"]),
    **{f"input/poscar/{name}": value for name, value in _CELL.items()},
    **{f"results/positions/{name}": value for name, value in _CELL.items()},
    **{f"results/electron_eigenvalues/{name}": value for name, value in _BANDS.items()},
    **{f"results/electron_dos/{name}": value for name, value in _DOS.items()},
    **{f"intermediate/ion_dynamics/{name}": value for name, value in _IONS.items()},
}
OTHERS: list[Any] = [0, -1, 1e300, np.nan, b"", b"word", "wörd", np.empty(0), np.array([b"a", b"b"]), np.zeros((2, 2))]
"""What a dataset may be instead."""


def _read(datasets: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(name) / "vaspout.h5"
        with h5py.File(path, "w") as file:
            for key, value in datasets.items():
                file[key] = value
        return read_result(path).to_json()


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """The sound file with one to three of its datasets changed."""
    found = dict(SOUND)
    for name in draw(st.lists(st.sampled_from(sorted(SOUND)), min_size=1, max_size=3, unique=True)):
        value = np.asarray(SOUND[name])
        forms: list[Any] = [None, *OTHERS]
        if value.ndim:
            forms += [value[:-1], value[:0], value[0], value[None], np.concatenate([value, value]), value.T]
        if value.dtype.kind == "f":
            forms += [np.full_like(value, np.nan), np.full_like(value, np.inf), value.astype(int), -value]
        found[name] = draw(st.sampled_from(forms))
    return {name: value for name, value in found.items() if value is not None}


def test_the_sound_file_is_read() -> None:
    found = _read(SOUND)
    assert found["formula"] == "K1Br1"
    assert found["energy_eV"] == -7.0


@settings(max_examples=int(ASKED or 150), derandomize=not ASKED)
@given(datasets=changed())
def test_what_is_no_such_dataset_is_told(datasets: dict[str, Any]) -> None:
    try:
        _read(datasets)
    except KalloyError as error:
        said = str(error)
        assert 0 < len(said) < 2000
