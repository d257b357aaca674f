"""Oddities of locale, clock, time zone and threads."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from kalloy.workflows.doctor import machine
from kalloy.workflows.doctor.finding import Mark


@pytest.mark.parametrize(
    ("encoding", "environment", "mark"),
    [
        ("UTF-8", {"LANG": "de_DE.UTF-8"}, "ok"),
        ("utf-8", {}, "ok"),
        ("ANSI_X3.4-1968", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "warning"),
        ("ISO-8859-1", {"LANG": "de_DE"}, "warning"),
    ],
)
def test_characters(encoding: str, environment: dict[str, str], mark: str) -> None:
    found = machine.characters(encoding, environment)
    assert found.mark == mark
    assert encoding in found.words
    assert next(iter(environment.values()), "none") in found.words


def test_a_table_is_printed_in_any_locale(kalloy: str) -> None:
    """No UTF-8, and nothing that Python does about it by itself."""
    odd = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    done = subprocess.run(
        [kalloy, "count", "Cs4PbBr6", "--replace", "Cs=K:1"], env=odd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "R-3c (167) within 0.01 \\xc5:" in done.stdout


def test_the_clock_against_the_installation() -> None:
    now = time.time()
    assert machine.clock(now, now - 1e7).mark is Mark.OK
    found = machine.clock(0.0, now)
    assert found.mark is Mark.FAILURE
    assert found.words == "1970-01-01 00:00:00 UTC, before kalloy was installed"


@pytest.mark.parametrize(
    ("zone", "mark"),
    [
        ("", "ok"),
        ("Europe/Berlin", "ok"),
        (":UTC", "ok"),
        ("CET-1CEST", "ok"),
        ("Berlin", "warning"),
        ("../x", "warning"),
    ],
)
def test_time_zones(zone: str, mark: str) -> None:
    assert machine.time_zone({"TZ": zone} if zone else {}).mark == mark


@pytest.mark.parametrize(
    ("stated", "mark"), [(None, "ok"), ("1", "ok"), ("8", "ok"), ("4,2", "ok"), ("four", "warning")]
)
def test_threads_of_this_shell(stated: str | None, mark: str) -> None:
    found = machine.threads({} if stated is None else {machine.THREADS: stated}, cores=8)
    assert found is not None
    assert found.mark == mark
    assert machine.threads({}, cores=1) is None


def test_threads_of_a_queues_jobs() -> None:
    unset = machine.threads_of_jobs("cluster", [], None)
    assert (unset.mark, unset.mend) == (Mark.WARNING, '[site.cluster] setup = ["export OMP_NUM_THREADS=1"]')
    assert machine.threads_of_jobs("cluster", ["export OMP_NUM_THREADS=2"], None).words == "OMP_NUM_THREADS=2"
    assert machine.threads_of_jobs("cluster", [], "1").mark is Mark.OK


@pytest.mark.parametrize(
    ("ahead", "mark"), [(0, "ok"), (-7, "warning"), (9, "warning"), (100, "failure"), (-3600, "failure")]
)
def test_the_clock_of_the_files(ahead: float, mark: str, tmp_path: Path) -> None:
    """A server whose clock is so far ahead is one whose clients are so far behind."""
    found = machine.clock_of_files("clock", tmp_path, now=lambda: time.time() - ahead)
    assert found is not None
    assert found.mark == mark
    if mark != "ok":
        assert abs(int(found.words.split("is ")[1].split(" s")[0]) - abs(ahead)) <= 1
    assert list(tmp_path.iterdir()) == []
    assert machine.clock_of_files("clock", tmp_path / "no") is None


def test_records_from_the_future(tmp_path: Path) -> None:
    (tmp_path / "selections").mkdir()
    late = tmp_path / "selections/01-all.json"
    late.write_text("{}")
    assert machine.future(tmp_path, time.time()) is None
    os.utime(late, (time.time() + 500, time.time() + 500))
    found = machine.future(tmp_path, time.time())
    assert found is not None
    assert found.mark is Mark.WARNING
    assert found.words.startswith("selections/01-all.json is ")
