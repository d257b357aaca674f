"""The processes of one calculation (MPI): how they come together, share out the work, and who of them writes.

Without ``mpirun`` there is one process, and nothing of MPI is needed or touched.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from kalloy.errors import EngineMissingError

LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "I_MPI_MPIRUN")
"""Variables that MPI's launchers set; GPAW looks for the same."""


def launched(environment: Mapping[str, str]) -> bool:
    """Whether a launcher started several processes, or may have."""
    sizes = [environment[name] for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") if name in environment]
    return any(size != "1" for size in sizes) if sizes else any(name in environment for name in LAUNCHERS)


def is_first(environment: Mapping[str, str]) -> bool:
    """Whether this process is the first one, by what its launcher says; alone it is."""
    ranks = [environment[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK") if name in environment]
    return ranks[0] == "0" if ranks else True


def join() -> None:
    """Make GPAW run on all processes that a launcher started; to be called before GPAW is used.

    Raises
    ------
    EngineMissingError : several processes, and a GPAW without MPI: each would do the whole calculation.
    """
    if launched(os.environ):
        from gpaw import cgpaw

        if not cgpaw.have_mpi:
            raise EngineMissingError(
                "mpirun started several processes, and this GPAW is built without MPI",
                mend="start kalloy-gpaw without mpirun, or build GPAW with MPI (docs/engine.md)",
            )
        os.environ["GPAW_MPI_BACKEND"] = "cgpaw"
        import gpaw

        gpaw.GPAW_MPI_BACKEND = "cgpaw"
    else:  # one process of a launcher is one without: GPAW would refuse
        for name in LAUNCHERS:
            os.environ.pop(name, None)


def world() -> Any:
    """GPAW's communicator of all processes."""
    from gpaw.mpi import world as communicator

    return communicator


def on_this_machine(processes: int, environment: Mapping[str, str]) -> int:
    """How many of a calculation's processes share this machine's memory, as the launcher says."""
    said = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") or environment.get("MPI_LOCALNRANKS")
    return int(said) if said else processes


def is_writer() -> bool:
    """Whether this process writes the files: the first one."""
    return bool(world().rank == 0)


def same(value: Any) -> Any:
    """What the first process has, on all of them: rounding may differ in the last digit, and decisions must not."""
    from gpaw.mpi import broadcast

    communicator = world()
    return (
        value if communicator.size == 1 else broadcast(value if communicator.rank == 0 else None, 0, comm=communicator)
    )


def everyones(value: Any) -> list[Any]:
    """What each process has, on all of them."""
    from gpaw.mpi import broadcast

    communicator = world()
    if communicator.size == 1:
        return [value]
    mine = (value,)  # GPAW sends no None
    return [
        broadcast(mine if rank == communicator.rank else None, rank, comm=communicator)[0]
        for rank in range(communicator.size)
    ]


def alone() -> Any:
    """GPAW's communicator of this process alone."""
    from gpaw.mpi import serial_comm

    return serial_comm


def parts(tasks: int, processes: int) -> list[range]:
    """Contiguous shares of tasks, one a process, that differ by one task at most."""
    bounds = [tasks * rank // processes for rank in range(processes + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]


def shares(tasks: int, processes: int, is_divisible: bool = True) -> dict[str, int]:
    """Into how many groups the processes are divided, and how many of them work on one k-point.

    k-points come first, for they need no exchange. The processes of one k-point share the plane waves of all bands and
    transform a band each (GPAW's domains).

    Parameters
    ----------
    tasks : k-points times spin channels.
    is_divisible : whether several processes can work on one k-point.

    Raises
    ------
    EngineMissingError : they would have to, and cannot.
    """
    groups = max(n for n in range(1, min(tasks, processes) + 1) if processes % n == 0)
    if groups < processes and not is_divisible:
        raise EngineMissingError(
            f"{processes} processes were started for {tasks} k-points (times spins), and to share one GPAW needs "
            "ScaLAPACK, which this one is built without",
            mend=f"start {tasks} processes or fewer",
        )
    return {"kpt": groups, "domain": processes // groups, "band": 1}


def divide(tasks: int) -> dict[str, int]:
    """The shares of the processes that there are."""
    from gpaw.utilities import compiled_with_sl

    return shares(tasks, world().size, bool(compiled_with_sl()))


def require_points(points: int) -> None:
    """Refuse processes without a k-point of their own.

    Raises
    ------
    EngineMissingError : there are more processes than k-points.
    """
    processes = world().size
    if processes > points:
        raise EngineMissingError(
            f"{processes} processes were started for {points} k-points in a kept density, and none is shared there",
            mend=f"start {points} processes or fewer",
        )
