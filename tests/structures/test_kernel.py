"""The compiled kernel yields what plain Python yields, in the same order; without a compiler everything still works."""

from __future__ import annotations

import subprocess
import sys
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.errors import SubstitutionError
from kalloy.structures import kernel
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.enumeration import orbits
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution

needs_compiler = pytest.mark.skipif(kernel.library() is None, reason="there is no C compiler here")


def compiled(permutations: Any, count: int) -> list[tuple[int, int]]:
    return [
        pair
        for choices, degeneracies in kernel.orbit_batches(permutations, count)
        for pair in zip(choices.tolist(), degeneracies.tolist(), strict=True)
    ]


@needs_compiler
@settings(max_examples=100)
@given(st.lists(st.permutations(range(6)), min_size=1, max_size=2), st.integers(0, 6))
def test_any_group_gives_the_same_in_the_same_order(close: Any, generators: list[list[int]], count: int) -> None:
    group = close([tuple(g) for g in generators])
    assert compiled(group, count) == list(orbits(group, count))


@needs_compiler
@pytest.mark.parametrize(("cell", "n"), [("given", 12), ("given", 21), ("2 1 1", 5), ("1 1 2", 4), ("1 1 2", 46)])
def test_the_home_case_gives_the_same(cell: str, n: int) -> None:
    group = ConfigurationSpace(load_host("Cs4PbBr6", cell), [Substitution("Cs", "K")]).permutations
    assert compiled(group, n) == list(orbits(group, n))


@needs_compiler
@pytest.mark.parametrize("size", [63, 64])
def test_words_are_used_to_their_last_bit(size: int) -> None:
    rotations = [tuple((site + shift) % size for site in range(size)) for shift in range(size)]
    for count in (1, 2, 3, size - 2, size):
        assert compiled(rotations, count) == list(orbits(rotations, count))


@needs_compiler
def test_fifteen_million() -> None:
    """The batches check themselves against Burnside's number and the sum of degeneracies."""
    space = ConfigurationSpace(load_host("Cs4PbBr6", "2 1 1"), [Substitution("Cs", "K", counts=(8,))])
    [content] = space.contents
    number = total = 0
    for choices, degeneracies in space.batches(content):
        number, total = number + len(choices), total + int(degeneracies.sum())
    assert (number, total) == (15734516, comb(48, 8))


@needs_compiler
def test_a_space_takes_the_kernel_where_it_pays_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    space = ConfigurationSpace(load_host("Cs4PbBr6"), [Substitution("Cs", "K", counts=(6,))])
    [content] = space.contents
    plain = list(space.configurations(content))
    monkeypatch.setattr(kernel, "LOADING", 1)
    monkeypatch.setattr(kernel, "COMPILING", 1)
    used: list[int] = []
    compiled_batches = kernel.orbit_batches

    def counted(permutations: Any, count: int) -> Any:
        used.append(count)
        return compiled_batches(permutations, count)

    monkeypatch.setattr(kernel, "orbit_batches", counted)
    assert list(space.configurations(content)) == plain
    assert used == [6]


def test_without_a_compiler_plain_python_serves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kernel, "LOADING", 1)
    monkeypatch.setattr(kernel, "COMPILING", 1)
    assert not kernel.available(24)
    space = ConfigurationSpace(load_host("Cs4PbBr6"), [Substitution("Cs", "K", counts=(3,))])
    assert len(list(space.configurations(space.contents[0]))) == 70
    with pytest.raises(SubstitutionError, match="batches are for"):
        list(space.batches(space.contents[0]))


@needs_compiler
def test_it_is_compiled_once_when_that_pays_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not kernel.pays(24, kernel.COMPILING - 1)
    assert not kernel.pays(65, kernel.COMPILING)
    assert kernel.pays(24, kernel.COMPILING)
    [made] = (tmp_path / "kalloy").iterdir()
    written = made.stat().st_mtime_ns
    assert kernel.pays(64, kernel.LOADING)
    assert not kernel.pays(64, kernel.LOADING - 1)
    assert kernel.available(64)
    assert not kernel.available(65)
    assert made.stat().st_mtime_ns == written


def test_a_compiler_that_fails_is_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "cc").chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")
    assert not kernel.available(24)
    assert not list((tmp_path / "kalloy").iterdir())


PEAK = """
import sys
from kalloy.structures.configuration import ConfigurationSpace
from kalloy.structures.host import load_host
from kalloy.structures.substitution import Substitution

space = ConfigurationSpace(load_host("Cs4PbBr6", "2 1 1"), [Substitution("Cs", "K", counts=(int(sys.argv[1]),))])
for _ in getattr(space, sys.argv[2])(space.contents[0]):
    pass
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
"""


@needs_compiler
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_configurations() -> None:
    """15.7 million in arrays, half a million one by one: both stay where loading the host leaves them."""

    def peak(count: int, way: str) -> float:
        command = [sys.executable, "-c", PEAK, str(count), way]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    few, many = peak(2, "orbits"), (peak(8, "batches"), peak(6, "configurations"))
    assert max(many) < few + 10
    assert max(many) < 150
