"""A campaign that may only be read: whoever looks gets an answer, whoever would write gets a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.campaign import Campaign

if TYPE_CHECKING:
    from tests.robustness.conftest import Typed

Copy = Callable[[str, Path], Campaign]
LOOKS = [["status"], ["members"], ["rank", "--json"], ["rank"], ["collect"], ["check"], ["average", "--of", "volume"]]
WRITES = [["run"], ["select"], ["write"], ["retry"], ["report"]]


@pytest.mark.parametrize("indexed", [False, True])
def test_looking_needs_no_right_to_write(
    tmp_path: Path, copy_of: Copy, typed: Typed, to_read_only: Callable[[Path], None], indexed: bool
) -> None:
    campaign = copy_of("done", tmp_path / "c").root
    free = Path(shutil.copytree(campaign, tmp_path / "free" / "c"))
    if indexed:
        typed("collect", campaign)
    to_read_only(campaign)
    with pytest.raises(OSError, match="Read-only"):
        (campaign / "x").touch()
    for words in LOOKS:
        said, expected = typed(*words, campaign), typed(*words, free)
        if words != ["collect"]:
            assert said.out.replace(str(campaign), "") == expected.out.replace(str(free), ""), words
        assert (said.code, said.err.replace(str(campaign), "")) == (
            expected.code,
            expected.err.replace(str(free), ""),
        ), words
    exported = typed("export", campaign, "-o", tmp_path / "out")
    assert exported.code == 0, exported


@pytest.mark.parametrize("words", WRITES, ids=lambda w: w[0])
def test_writing_is_refused_in_a_sentence(
    tmp_path: Path, copy_of: Copy, typed: Typed, to_read_only: Callable[[Path], None], words: list[str]
) -> None:
    campaign = copy_of("done" if words[0] == "report" else "new", tmp_path / "c").root
    to_read_only(campaign)
    said = typed(*words, campaign)
    assert said.code == 2, said
    assert said.is_clear
    assert "may not be read or written (Read-only file system)" in said.err
    assert str(campaign) in said.err


def test_a_new_campaign_where_nothing_may_be_written(
    tmp_path: Path, typed: Typed, to_read_only: Callable[[Path], None]
) -> None:
    folder = tmp_path / "ro"
    folder.mkdir()
    to_read_only(folder)
    for words in (
        ["new", folder / "c", "--host", "Cs4PbBr6", "--replace", "Cs=K:1"],
        ["enumerate", "Cs4PbBr6", "--replace", "Cs=K:1", "-o", folder / "c"],
    ):
        said = typed(*words)
        assert (said.code, said.is_clear) == (2, True)
        assert "Read-only file system" in said.err
