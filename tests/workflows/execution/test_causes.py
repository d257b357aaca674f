"""Every failure has its words and its bound: nothing is repeated for ever, nothing transient is given up at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalloy.workflows.execution.causes import Cause, cause_of, repeats, rule, rule_of

EXPECTED = {
    # cause: (repeats of an attempt that begins at the same place, of one that begins further on, pauses)
    Cause.UNCONVERGED: (0, 1, False),
    Cause.WALLTIME: (1, 10, False),
    Cause.MEMORY: (0, 0, False),
    Cause.NODE: (3, 3, False),
    Cause.QUOTA: (0, 0, True),
    Cause.ENGINE: (0, 0, False),
    Cause.STOPPED: (100, 100, False),
    Cause.LOST: (3, 3, False),
}


def end(cause: Cause | None, goes_on: bool = False) -> dict[str, Any] | None:
    if cause is Cause.LOST:
        return None
    return {"outcome": "failed", "cause_class": cause, "goes_on": goes_on}


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_words_and_a_bounded_rule(cause: Cause) -> None:
    again, further = rule(cause), rule(cause, goes_on=True)
    assert (again.automatic, further.automatic, again.pauses) == EXPECTED[cause]
    assert cause.words
    assert all("kalloy retry" in r.mend and not r.mend.endswith(".") for r in (again, further))


@given(st.lists(st.tuples(st.sampled_from(list(Cause)), st.booleans()), max_size=200))
def test_whatever_goes_wrong_repeats_come_to_an_end(history: list[tuple[Cause, bool]]) -> None:
    """However causes follow on each other, a calculation has finitely many attempts that nobody asked for."""
    ends: list[dict[str, Any] | None] = []
    for cause, goes_on in history:
        ends.append(end(cause, goes_on))
        if not repeats(ends):
            break
    assert len(ends) <= 1 + sum(max(again, further) for again, further, _ in EXPECTED.values())


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("cause", list(Cause))
def test_the_same_cause_is_repeated_as_often_as_its_rule_says(cause: Cause, goes_on: bool) -> None:
    followed = 0
    while repeats([end(cause, goes_on)] * (followed + 1)):
        followed += 1
    record = end(cause, goes_on)
    assert followed == rule_of(record).automatic
    assert cause_of(record) is cause


def test_what_has_no_class_is_left_to_a_person() -> None:
    decision = {"outcome": "needs-decision", "cause": "custodian would change ISYM"}
    assert not repeats([decision])
    assert rule_of(decision).mend == "custodian would change ISYM"
    assert not repeats([{"outcome": "failed", "cause_class": "of a later version"}])
    assert not repeats([])
