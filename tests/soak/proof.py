"""What must hold of a campaign after everything: nothing lost, nothing twice, the same answer."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.soak.setting import Setting

Table = list[dict[str, Any]]


def table(setting: Setting) -> Table:
    """The ranking, every figure of every member."""
    found: Table = setting.read("rank")
    return found


def prove(setting: Setting, undisturbed: Table) -> list[str]:
    """Sentences on what was counted.

    Raises
    ------
    AssertionError
        Naming what does not hold.
    """
    standings = setting.read("status")
    assert {s["state"] for s in standings} == {"done"}, Counter(s["state"] for s in standings)
    claims = _nothing_ran_twice(setting)
    tries = _nothing_is_lost(setting, standings)
    found = table(setting)
    members = {row["member"] for row in found}
    assert found == [row for row in undisturbed if row["member"] in members], "the table is another one"
    assert len(found) == len({s["member"] for s in standings})
    assert _settles(setting)
    again = tries - len(standings)
    return [
        f"{len(standings)} calculations of {len(members)} members done, each once; {tries} attempts, {again} of them "
        "begun again",
        f"{sum(setting.counts('start').values())} starts of the engine by its own ledger under {claims} claims: none "
        "twice",
        "the table is that of the undisturbed campaign, to the last digit",
    ]


def _nothing_ran_twice(setting: Setting) -> int:
    """The engine's own ledger beside the claims: a start a claim, at most."""
    starts, ends = setting.counts("start"), setting.counts("end")
    claims = Counter[str]()
    for owner in setting.root.rglob("claim/owner.json"):
        place = owner.parent.parent
        claims[_name(setting, place.parent if place.name.startswith("requeued-") else place)] += 1
    for attempt, number in starts.items():
        assert number <= claims[attempt], f"{attempt}: the engine ran {number} times under {claims[attempt]} claims"
        assert ends[attempt] <= number
    for folder in _attempts(setting):
        name = _name(setting, folder)
        if _outcome(folder) == "done":
            assert starts[name] >= 1, f"{name} is done and its engine never ran"
            assert ends[name] >= 1, f"{name} is done and its engine never came to its end"
    return sum(claims.values())


def _nothing_is_lost(setting: Setting, standings: Table) -> int:
    """Every attempt that ever ran is there, its files as the engine left them; one of each calculation is done."""
    found = list(_attempts(setting))
    names = {_name(setting, attempt) for attempt in found}
    assert set(setting.counts("start")) <= names
    done = Counter(attempt.parent for attempt in found if _outcome(attempt) == "done")
    assert len(done) == len(standings)
    assert set(done.values()) == {1}, [str(folder) for folder, number in done.items() if number > 1]
    for calculation in {attempt.parent for attempt in found}:
        numbers = sorted(int(a.name[1:]) for a in calculation.glob("a[0-9]*"))
        assert numbers == list(range(1, len(numbers) + 1)), f"{calculation}: {numbers}"
    for attempt in found:
        if (attempt / "kalloy-end.json").is_file():
            for name, digest in json.loads((attempt / "kalloy-end.json").read_text()).get("outputs", {}).items():
                assert sha256((attempt / name).read_bytes()).hexdigest() == digest, f"{attempt / name} has changed"
    return len(found)


def _settles(setting: Setting) -> bool:
    """Typed once more, nothing is left to do, no engine starts, and no process of the campaign is left."""
    before = setting.ledger.read_text()
    again = setting.run("run")
    assert again.returncode == 0, again
    assert "every calculation is done" in again.stdout
    assert setting.ledger.read_text() == before
    deadline = time.monotonic() + 30
    while setting.processes("execute") or setting.processes("standin_engine"):
        assert time.monotonic() < deadline, "processes are left behind"
        time.sleep(0.5)
    return True


def _attempts(setting: Setting) -> Iterator[Path]:
    for record in setting.root.rglob("attempt.json"):
        if not any(part.startswith(".") for part in record.relative_to(setting.root).parts):
            yield record.parent


def _outcome(attempt: Path) -> str | None:
    path = attempt / "kalloy-end.json"
    return str(json.loads(path.read_text())["outcome"]) if path.is_file() else None


def _name(setting: Setting, attempt: Path) -> str:
    return attempt.relative_to(setting.root).as_posix()
