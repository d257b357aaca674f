"""Killed between any two writes, what is repeated comes to the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kalloy.workflows import files
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs import writing
from kalloy.workflows.steps import select
from kalloy.workflows.submission.driver import write_step


class Killed(BaseException):
    """As a signal would end it: nothing catches it."""


def write_everything(campaign: Campaign) -> None:
    write_step(campaign, select(campaign, 1))


def tree(root: Path) -> dict[str, str]:
    """Every file but what carries the time."""
    timed = ("attempt.json", "01-relax-static.json")
    return {
        str(p.relative_to(root)): "" if p.name in timed else p.read_text()
        for p in sorted(root.rglob("*"))
        if p.is_file() and not any(part.endswith(".part") for part in p.parts)
    }


def dying_at(n: int, call: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def call_or_die(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == n:
            raise Killed
        return call(*arguments)

    return call_or_die


def test_writing_can_be_killed_anywhere(
    tmp_path: Path, make_campaign: Callable[[Path], Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two writes, syncs and renames, where several batches are synced one after another."""
    monkeypatch.setattr(writing, "AT_ONCE", 4)
    undisturbed = make_campaign(tmp_path / "undisturbed")
    write_everything(undisturbed)
    expected = tree(undisturbed.root)
    assert len(expected) == 2 + 3 + 3 * 4 + 3 * 3  # toml, selection; members; relax folders; static folders
    n = 0
    while True:
        n += 1
        campaign, calls = make_campaign(tmp_path / f"killed-{n}"), list[int]()
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_text", dying_at(n, files.write_text, calls))
            patch.setattr(writing, "write_unsynced", dying_at(n, files.write_unsynced, calls))
            patch.setattr(writing, "sync", dying_at(n, files.sync, calls))
            patch.setattr(Path, "rename", dying_at(n, Path.rename, calls))
            try:
                write_everything(campaign)
                break
            except Killed:
                pass
        for folder in campaign.root.rglob("a01"):  # an attempt is whole or not there
            assert (folder / "attempt.json").is_file()
        write_everything(campaign)
        assert tree(campaign.root) == expected
    assert n > len(expected)


def test_what_is_refused_leaves_nothing_of_its_batch(campaign: Campaign) -> None:
    from kalloy.errors import CampaignError

    folder = campaign.root / "K1/c2"
    folder.mkdir(parents=True)
    (folder / "member.json").write_text('{"identity": "another"}')
    with pytest.raises(CampaignError, match="belongs to another structure"):
        write_everything(campaign)
    assert sorted(p.name for p in campaign.root.rglob("*") if p.is_file() and "selections" not in p.parts) == [
        "kalloy.toml",
        "member.json",
    ]
