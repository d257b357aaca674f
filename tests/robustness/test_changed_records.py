"""A record that somebody changed, or that another program wrote: told with its name, and nothing is done about it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.errors import CampaignError
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.submission.batch import Batch, attempts_of

if TYPE_CHECKING:
    from tests.robustness.conftest import Typed

Copy = Callable[[str, Path], Campaign]
RECORDS = {
    "host/relax/a01/attempt.json": ["collect", "check", "rank"],
    "host/relax/a01/kalloy-end.json": ["status", "collect", "rank", "retry", "execute {a}", "submit --dry-run"],
    "host/relax/a01/claim/owner.json": ["status", "retry", "execute {a}"],
    "selections/01-relax-static.json": ["select --step 1", "status"],
    "host/member.json": ["write"],
}
"""Who reads them."""
OTHERS = ["[]", "{}", "null", "[[", '"a word"']


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("text", OTHERS)
def test_another_record_in_its_place_is_named(
    tmp_path: Path, copy_of: Copy, typed: Typed, name: str, text: str
) -> None:
    campaign = copy_of("done", tmp_path / "c")
    path = campaign.root / name
    assert path.is_file()
    path.write_text(text)
    if path.name == "owner.json":  # read where a claim has no end
        (path.parent.parent / "kalloy-end.json").unlink()
    if path.name == "member.json":  # read where something of it is to be written
        shutil.rmtree(campaign.root / "host/relax")
    for verb in RECORDS[name]:
        words = verb.format(a=campaign.root / "host/relax/a01").split()
        said = typed(*words, *([] if "{a}" in verb else [campaign.root]))
        assert (said.code, said.is_clear) == (1, True), (verb, said)
        assert path.name in said.err + said.out, (verb, said)
    assert path.read_text() == text


@pytest.mark.parametrize("key", ["attempts", "scheduler"])
def test_a_batch_without_a_key(tmp_path: Path, key: str) -> None:
    record = {"attempts": [["host/relax/a01"]], "made": "2026-01-01T00:00:00+00:00", "scheduler": "slurm"}
    del record[key]
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    for read in (lambda: Batch(tmp_path).manifest, lambda: attempts_of(tmp_path / "manifest.json", 0)):
        with pytest.raises(CampaignError, match=f"manifest.json.*lacks '{key}'"):
            read()
