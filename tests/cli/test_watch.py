"""``kalloy status --watch``: when it will be done."""

from __future__ import annotations

import time

from kalloy.cli.watch import RECENT, estimate

NOW = time.mktime((2026, 3, 2, 12, 0, 0, 0, 0, -1))


def test_the_rest_takes_as_long_as_the_newest_results_did() -> None:
    assert estimate([], 5, NOW) == estimate([NOW - 60], 5, NOW) == ""
    assert estimate([NOW - 600, NOW - 300], 4, NOW) == "about 20 min left, until 12:20"
    assert estimate([NOW - 86400 + 864 * i for i in range(100)], 100, NOW) == "about 24 h left, until Tue 12:00"


def test_a_pause_long_ago_does_not_count() -> None:
    recent = [NOW - 60 * i for i in range(RECENT)]
    assert estimate([NOW - 1e6, NOW - 2e6, *recent], 50, NOW) == "about 49 min left, until 12:49"
