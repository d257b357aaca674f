"""Versions against bounds, libraries that cannot be loaded, compilers that are not there."""

from __future__ import annotations

import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kalloy.compiled import compiler, is_compiled
from kalloy.workflows.doctor.finding import Mark
from kalloy.workflows.doctor.installation import (
    corrections,
    examine_installation,
    extra_libraries,
    imports,
    kernels,
    libraries,
    python_version,
)
from kalloy.workflows.execution import policy

ASKED = [Requirement("numpy>=1.26"), Requirement("custodian>=2024.4")]
GPAW = [Requirement('gpaw>=26.7; extra == "gpaw"'), Requirement('gpaw-data>=1.2; extra == "gpaw"')]


def test_this_installation_is_sound() -> None:
    found = list(examine_installation())
    assert {f.mark for f in found if not f.subject.startswith("extra")} <= {Mark.OK}, found
    extras = ["extra gpaw", "extra h5", "extra chgnet", "extra jobflow"]
    assert [f.subject for f in found if f.subject.startswith("extra")] == extras


def test_python_is_held_against_the_bound() -> None:
    assert python_version((3, 11, 0)).mark is Mark.OK
    assert python_version((3, 14, 0)).mark is Mark.OK
    found = python_version((3, 10, 4))
    assert (found.mark, found.words) == (Mark.FAILURE, "3.10.4, and kalloy needs >=3.11")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"numpy": "1.24.4", "custodian": "2025.1"}, ["numpy 1.24.4 is not >=1.26"]),
        ({"numpy": "2.1"}, ["custodian is not installed"]),
        ({}, ["numpy is not installed", "custodian is not installed"]),
    ],
)
def test_libraries_out_of_bounds_are_failures(there: dict[str, str], words: list[str]) -> None:
    found = list(libraries(ASKED, there.get))
    assert [f.words for f in found] == words
    assert {f.mark for f in found} == {Mark.FAILURE}


def test_libraries_within_bounds_are_one_line() -> None:
    (found,) = libraries(ASKED, {"numpy": "2.5.0rc1", "custodian": "2026.10.21"}.get)
    assert (found.mark, found.words) == (Mark.OK, "2 as asked, custodian 2026.10.21 among them")


def test_an_extra_may_be_missing_but_not_half_there() -> None:
    none = extra_libraries("gpaw", "the free engine", GPAW, lambda name: None)
    half = extra_libraries("gpaw", "the free engine", GPAW, {"gpaw": "26.7.0"}.get)
    old = extra_libraries("gpaw", "the free engine", GPAW, {"gpaw": "25.1", "gpaw-data": "1.2"}.get)
    whole = extra_libraries("gpaw", "the free engine", GPAW, {"gpaw": "26.7.0", "gpaw-data": "1.2"}.get)
    assert [f.mark for f in (none, half, old, whole)] == [Mark.OK, Mark.WARNING, Mark.WARNING, Mark.OK]
    assert "gpaw-data is not installed" in half.words
    assert "gpaw 25.1 is not >=26.7" in old.words
    assert half.mend == "in kalloy's source folder: CC=g++ pip install --no-cache-dir '.[gpaw]'"


def test_every_extra_of_the_package_is_looked_at() -> None:
    from kalloy.workflows.doctor.installation import EXTRAS

    named = {str(r.marker).split('"')[1] for text in requires("kalloy") or () if (r := Requirement(text)).marker}
    assert named == set(EXTRAS)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libfoo.so.3: cannot open')", "libfoo.so.3"),
        ("import os; os.kill(os.getpid(), 4)", "signal 4"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_named(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where loading it ends the process, as one built for another processor does."""
    (tmp_path / "broken_library.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = imports(["json", "broken_library", "csv"])
    assert found.mark is Mark.FAILURE
    assert found.words.startswith("broken_library cannot be loaded")
    assert words in found.words
    assert list(imports(["json", "csv"])) == []


def test_a_custodian_that_lacks_what_is_classed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert corrections().mark is Mark.OK
    whole = policy._bundled()
    more = {**whole["handlers"]["vasp"], "NoSuchHandler": "path"}
    more["VaspErrorHandler"] = {**more["VaspErrorHandler"], "no_such_error": "path"}
    monkeypatch.setattr(policy, "_bundled", lambda: {**whole, "handlers": {"vasp": more}})
    found = corrections()
    assert found.mark is Mark.WARNING
    assert "NoSuchHandler" in found.words
    assert "VaspErrorHandler.no_such_error" in found.words


def test_no_compiler_is_slow_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert compiler() is None
    assert not is_compiled("kalloy.structures", "kernel")
    assert not (tmp_path / "cache").exists()  # a look makes nothing
    assert kernels(None, compiled=False).mark is Mark.WARNING
    assert kernels(None, compiled=True).mark is Mark.OK
    assert kernels("/usr/bin/cc", compiled=False).mark is Mark.OK


def test_the_python_is_named() -> None:
    assert sys.executable in python_version().words
