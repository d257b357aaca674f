"""Whatever becomes of a file, its reader returns or says in one sentence what is wrong with it."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import KalloyError
from tests.fuzzing.mutations import damaged
from tests.fuzzing.readers import READERS, Reader

ASKED = os.environ.get("KALLOY_FUZZ")
"""How many examples a reader gets (`make fuzz`); else a few that are always the same."""
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
