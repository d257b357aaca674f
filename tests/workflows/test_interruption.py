"""Killed between any two writes, what is repeated comes to the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kalloy.workflows import files
from kalloy.workflows.campaign import Campaign
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


def dying_at(n: int, write: Callable[[Path, str], None]) -> Callable[[Path, str], None]:
    calls = 0

    def write_or_die(path: Path, text: str) -> None:
        nonlocal calls
        calls += 1
        if calls == n:
            raise Killed
        write(path, text)

    return write_or_die


def test_writing_can_be_killed_between_any_two_files(
    tmp_path: Path, make_campaign: Callable[[Path], Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = make_campaign(tmp_path / "undisturbed")
    write_everything(undisturbed)
    expected = tree(undisturbed.root)
    assert len(expected) == 2 + 3 + 3 * 4 + 3 * 3  # toml, selection; members; relax folders; static folders
    n = 0
    while True:
        n += 1
        campaign = make_campaign(tmp_path / f"killed-{n}")
        with monkeypatch.context() as patch:
            dying = dying_at(n, files.write_text)
            for module in ("files", "inputs.writing"):
                patch.setattr(f"kalloy.workflows.{module}.write_text", dying)
            try:
                write_everything(campaign)
                break
            except Killed:
                pass
        for folder in campaign.root.rglob("a01"):  # an attempt is whole or not there
            assert (folder / "attempt.json").is_file()
        write_everything(campaign)
        assert tree(campaign.root) == expected
    assert n == len(expected)  # kalloy.toml was there before; the last round is the undisturbed one
