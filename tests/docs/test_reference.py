"""The reference pages say what the code says."""

from __future__ import annotations

import re

import pytest

from tests.docs.reference import FOLDER, MADE, filled


@pytest.mark.parametrize("name", MADE)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    page = (FOLDER / name).read_text()
    assert page == filled(page, MADE[name]()), "write it anew: python -m tests.docs.reference"


@pytest.mark.parametrize("name", MADE)
def test_everything_has_a_meaning(name: str) -> None:
    assert not re.findall(r"^\|.*\|\s*\|$", MADE[name](), re.MULTILINE)
