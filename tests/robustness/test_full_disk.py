"""A disk that is full at every stage: a sentence and an exit code, nothing half done, and it goes on with new space."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kalloy.workflows.attempt import Attempt, State, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.submission.board import all_standings

if TYPE_CHECKING:
    from tests.robustness.conftest import Typed

Copy = Callable[[str, Path], Campaign]
FULL = "the disk or the quota is full"
LEFT = [20_000, *(pytest.param(bytes_, marks=pytest.mark.slow) for bytes_ in (0, 4096, 100_000, 400_000))]
"""Bytes that are left: for nothing, for a record, for some files of many."""


def fill(disk: Path, leave: int) -> Path:
    """Everything but so many bytes is taken."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        file.write(bytes(max(room - leave, 0)))
    return filler


def tree(folder: Path) -> dict[str, bytes]:
    """Every file that is shown, its content; what is hidden does not count."""
    names = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {str(n): p.read_bytes() for n, p in names.items() if not any(part.startswith(".") for part in n.parts)}


WRITES = {
    "select": ("new", ["select", "--step", "1", "{c}"]),
    "write": ("new", ["write", "{c}"]),
    "collect": ("done", ["collect", "{c}"]),
    "rank": ("done", ["rank", "--json", "{c}"]),
    "report": ("done", ["report", "{c}"]),
    "export": ("done", ["export", "{c}", "-o", "{d}/out"]),
    "sod": ("done", ["average", "--sod", "{d}/sod", "--temperature", "300", "--of", "volume", "{c}"]),
    "enumerate": ("new", ["enumerate", "Cs4PbBr6", "--replace", "Cs=K:3", "-o", "{d}/out"]),
    "new": ("new", ["new", "{d}/other", "--host", "{c}/host.vasp", "--replace", "Cs=K:1"]),
}


@pytest.mark.parametrize("leave", LEFT)
@pytest.mark.parametrize("name", WRITES)
def test_what_does_not_fit_is_told_and_done_when_there_is_room(
    small_disk: Path, tmp_path: Path, copy_of: Copy, typed: Typed, name: str, leave: int
) -> None:
    state, template = WRITES[name]

    def words(place: Path) -> list[str]:
        return [word.format(c=place / "c", d=place) for word in template]

    for place in (small_disk, tmp_path):
        copy_of(state, place / "c").host.crystal.to_pymatgen().to_file(str(place / "c" / "host.vasp"), fmt="poscar")
    undisturbed = typed(*words(tmp_path))
    assert undisturbed.code == 0, undisturbed
    before = tree(small_disk)
    filler = fill(small_disk, leave)
    said = typed(*words(small_disk))
    assert said.is_clear, said
    assert said.code in (0, 1, 2), said
    if said.code:
        assert FULL in said.err or "No space left on device" in said.err, said
    assert not [p for p in small_disk.rglob(".*") if p.is_file()], "something hidden is left behind"
    kept = tree(small_disk)
    assert {n: kept[n] for n in before if n != "c/kalloy.db"} == {n: c for n, c in before.items() if n != "c/kalloy.db"}
    filler.unlink()
    again = typed(*words(small_disk))
    assert again.code == (2 if not said.code and name in ("export", "sod", "enumerate", "new") else 0), again
    if name != "collect":  # which counts what is new
        made = again if said.code else said
        assert made.out.replace(str(small_disk), "") == undisturbed.out.replace(str(tmp_path), "")
    assert {n for n in tree(small_disk)} - {"c/driver.lock"} == {
        n for n in tree(tmp_path) if n.split("/")[0] in ("c", "out", "sod", "other") and n not in ("c/driver.lock",)
    }


@pytest.mark.parametrize("leave", [0, 40_000, 150_000])
def test_an_attempt_on_a_full_disk_ends_with_its_cause_or_stays_ready(
    small_disk: Path, copy_of: Copy, typed: Typed, leave: int
) -> None:
    campaign = copy_of("written", small_disk / "c")
    filler = fill(small_disk, leave)
    attempt = campaign.calculation("host", Stage.RELAX) / "a01"
    said = typed("execute", attempt)
    assert said.is_clear, said
    assert said.code in (0, 1)
    state = Attempt(attempt).state
    assert state in (State.READY, State.FAILED, State.DONE), said
    if state is not State.DONE:
        assert "full" in said.err + said.out
    if state is State.FAILED:
        end = Attempt(attempt).end
        assert end
        assert end["cause_class"] == "quota"
        refused = typed("run", campaign.root)
        assert refused.code == 1
        assert refused.is_clear
    filler.unlink()
    typed("retry", campaign.root)
    newest = attempts(campaign.calculation("host", Stage.RELAX))[-1]
    assert newest.number == (2 if state is State.FAILED else 1)
    assert typed("execute", newest.folder).code == 0


def test_a_driver_on_a_full_disk_leaves_with_a_sentence_and_goes_on_later(
    small_disk: Path, copy_of: Copy, typed: Typed, states: dict[str, Path]
) -> None:
    campaign = copy_of("new", small_disk / "c")
    filler = fill(small_disk, 0)
    said = typed("run", campaign.root)
    assert (said.code, said.is_clear) == (1, True)
    assert FULL in said.err
    filler.unlink()
    filler = fill(small_disk, 120_000)
    said = typed("run", campaign.root)
    assert said.is_clear
    assert said.code == 1, said
    filler.unlink()
    typed("retry", campaign.root)
    said = typed("run", "--retry-failed", campaign.root)
    assert said.code == 0, said
    assert {s.state for s in all_standings(campaign)} == {State.DONE}
    table = json.loads(typed("rank", "--json", campaign.root).out)
    assert table == json.loads(typed("rank", "--json", shutil.copytree(states["done"], small_disk / "done")).out)


def test_standard_output_on_a_full_disk(kalloy: str, states: dict[str, Path], tmp_path: Path) -> None:
    import subprocess

    campaign = shutil.copytree(states["done"], tmp_path / "c")
    for words in (["rank", "--json"], ["rank"], ["average", "--csv"], ["status"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [kalloy, *words, str(campaign)], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        assert done.returncode == 1, words
        assert FULL in done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
