"""Results are the same however many processes read them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kalloy.workflows import index as indexing
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.index import Index

pytestmark = pytest.mark.xdist_group("report")


def test_several_processes_find_what_one_finds(
    computed: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Campaign(Path(shutil.copytree(computed.root, tmp_path / "c", ignore=shutil.ignore_patterns("kalloy.db"))))
    monkeypatch.setattr(indexing, "WORTH_A_POOL", 1)
    monkeypatch.setattr(indexing, "available_processors", lambda: 2)
    assert Index(copy).collect() == 10
    assert Index(copy).collect() == 0
    found, expected = Index(copy).results(), Index(computed).results()
    assert {k: r.to_json() for k, r in found.items()} == {k: r.to_json() for k, r in expected.items()}
