"""The generator of ``enumeration``, compiled: the same choices in the same order, dozens of times as fast.

For at most 64 sites and one species. ``kernel.c`` is compiled where that pays; without a C compiler everything works
and takes longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ctypes import CDLL, POINTER, Structure, byref, c_int32, c_int64, c_uint64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kalloy.compiled import library as load
from kalloy.structures.enumeration import Operation
from kalloy.structures.symmetry import Permutation

LOADING = 1_000
"""Configurations that plain Python has done before the kernel is loaded: two milliseconds."""
COMPILING = 100_000
"""And before it is compiled, which is done once."""
SITES = 64
"""What fits a machine word."""
BATCH = 1 << 16
"""Configurations handed over at a time: a megabyte."""

Batch = tuple[NDArray[np.uint64], NDArray[np.int64]]
"""Choices of sites (of N sites the top one of N bits is site 0), and their degeneracies."""
Words, Integers, Indices = POINTER(c_uint64), POINTER(c_int64), POINTER(c_int32)


class _Tables(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("size", "count", "operations")),
        *((name, Words) for name in ("image", "remaining", "onto", "forward", "still")),
    )


class _Walk(Structure):
    _fields_ = (
        ("depth", c_int64),
        ("prefix", Words),
        ("allowed", Words),
        ("number", Integers),
        ("operation", Indices),
        ("images", Words),
        ("fixing", Words),
    )


class _Output(Structure):
    _fields_ = (("choices", Words), ("degeneracies", Integers), ("filled", c_int64), ("capacity", c_int64))


def pays(sites: int, distinct: int) -> bool:
    """Whether the kernel can enumerate choices among so many sites, and is quicker for so many configurations."""
    if distinct < LOADING or sites > SITES:
        return False
    return library(may_compile=distinct >= COMPILING) is not None


def available(sites: int) -> bool:
    """Whether the kernel can enumerate choices among so many sites on this machine; it is compiled if it was not."""
    return sites <= SITES and library() is not None


def orbit_batches(permutations: Sequence[Permutation], count: int) -> Iterator[Batch]:
    """What ``enumeration.orbits`` yields, in arrays.

    Parameters
    ----------
    permutations : a whole group on at most 64 sites, the identity among them, none twice.
    count : from 0 to N.

    Raises
    ------
    RuntimeError : there is no kernel on this machine; ``available`` says so before.
    """
    size = len(permutations[0])
    if 2 * count <= size:
        yield from _batches(permutations, count)
        return
    everything = np.uint64((1 << size) - 1)
    for choices, degeneracies in _batches(permutations, size - count):
        yield everything ^ choices, degeneracies


def _batches(permutations: Sequence[Permutation], count: int) -> Iterator[Batch]:
    kernel = library()
    if kernel is None:
        raise RuntimeError("the compiled kernel is not available")
    if count == 0:
        yield np.zeros(1, np.uint64), np.ones(1, np.int64)
        return
    size = len(permutations[0])
    operations = [Operation.of(p) for p in permutations if tuple(p) != tuple(range(size))]
    tables, held = _tables(operations, size, count)
    walk, room = _walk(len(operations), count)
    kernel.start(byref(tables), byref(walk))
    while walk.depth >= 0:
        choices, degeneracies = np.empty(BATCH, np.uint64), np.empty(BATCH, np.int64)
        output = _Output(_at(choices, Words), _at(degeneracies, Integers), 0, BATCH)
        kernel.advance(byref(tables), byref(walk), byref(output))
        if output.filled:
            yield choices[: output.filled], degeneracies[: output.filled]
    del held, room  # what the structures point into lives as long as they are used


def _tables(operations: Sequence[Operation], size: int, count: int) -> tuple[_Tables, list[NDArray[Any]]]:
    """The operations' masks as C sees them, and the arrays that hold them."""
    columns: list[list[Any]] = [
        [g.image for g in operations],
        [[remaining for remaining, _ in g.split] for g in operations],
        [[onto for _, onto in g.split] for g in operations],
        [g.forward for g in operations],
        [g.still for g in operations],
    ]
    held = [np.ascontiguousarray(column, np.uint64) for column in columns]
    return _Tables(size, count, len(operations), *(_at(array, Words) for array in held)), held


def _walk(operations: int, count: int) -> tuple[_Walk, list[NDArray[Any]]]:
    """Room for the walk through the tree, and the arrays that are it."""
    each, every = (count,), (count, max(operations, 1))
    room: list[tuple[NDArray[Any], Any]] = [
        (np.zeros(each, np.uint64), Words),
        (np.zeros(each, np.uint64), Words),
        (np.zeros(each, np.int64), Integers),
        (np.zeros(every, np.int32), Indices),
        (np.zeros(every, np.uint64), Words),
        (np.zeros(max(operations, 1), np.uint64), Words),
    ]
    return _Walk(0, *(_at(array, kind) for array, kind in room)), [array for array, _ in room]


def _at(array: NDArray[Any], kind: Any) -> Any:
    return array.ctypes.data_as(kind)


def library(*, may_compile: bool = True) -> CDLL | None:
    """The compiled kernel; None where there is none and it may not or cannot be compiled."""
    kernel = load("kalloy.structures", "kernel", may_compile=may_compile)
    if kernel is not None:
        kernel.start.restype = kernel.advance.restype = None
    return kernel
