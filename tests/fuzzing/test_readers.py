"""Whatever becomes of a file, its reader returns or says in one sentence what is wrong with it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import KalloyError
from tests.fuzzing.mutations import ASKED, damaged
from tests.fuzzing.readers import READERS, Reader

IDS = [f"{number}-{reader.name}" for number, reader in enumerate(READERS)]


def _read(reader: Reader, data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        for other, text in reader.beside:
            (folder / other).write_text(text)
        (folder / reader.name).write_bytes(data)
        return reader.read(folder / reader.name)


@pytest.mark.parametrize("reader", READERS, ids=IDS)
def test_the_sound_file_is_read(reader: Reader) -> None:
    assert _read(reader, reader.clean) is not None


@pytest.mark.parametrize("reader", READERS, ids=IDS)
@settings(max_examples=int(ASKED or 25), derandomize=not ASKED)
@given(data=st.data())
def test_damage_is_told(reader: Reader, data: st.DataObject) -> None:
    try:
        _read(reader, data.draw(damaged(reader.clean)))
    except KalloyError as error:
        said = str(error)
        assert said.strip()
        assert len(said) < 2000


_YAML, _TOML = b"a: " + b"[" * 1500, b"a = " + b"[" * 1500
DEEP = {"kalloy.toml": _TOML, "big.toml": _TOML, "preset.yaml": _YAML, "corrections.yaml": _YAML}


@pytest.mark.parametrize("reader", [r for r in READERS if r.name in DEEP], ids=lambda r: r.name)
def test_nesting_deeper_than_its_parser_goes_is_told(reader: Reader) -> None:
    with pytest.raises(KalloyError, match=r"not (valid TOML|YAML): nested too deeply"):
        _read(reader, DEEP[reader.name])


@pytest.mark.parametrize("number", [b"nan", b"inf"])
def test_electrons_that_are_no_number_are_not_known(number: bytes) -> None:
    reader = next(r for r in READERS if r.name == "EIGENVAL")
    damaged_head = reader.clean.replace(b"     16      3     12", b"     " + number + b"      3     12")
    assert damaged_head != reader.clean
    assert _read(reader, damaged_head)["gap_eV"] == _read(reader, reader.clean)["gap_eV"]
