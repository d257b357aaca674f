"""The program ``kalloy-gpaw``: run in a folder with INCAR, KPOINTS and POSCAR, like ``vasp_std``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kalloy.errors import EngineMissingError, KalloyError, how_to_install
from kalloy.workflows.gpaw_engine.workers import is_first, join, launched

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the calculation of the current folder.

    Returns
    -------
    0 done (also where NELM or NSW was reached: the files tell), 1 stopped on the way, 2 inputs or GPAW are at fault.
    """
    parser = argparse.ArgumentParser(
        prog="kalloy-gpaw",
        description="Read INCAR, KPOINTS and POSCAR of the current folder, compute with GPAW (PAW, PBE, plane waves), "
        "write vasprun.xml, OUTCAR, OSZICAR, CONTCAR, EIGENVAL, DOSCAR and gpaw.gpw.",
    )
    parser.add_argument("--check", action="store_true", help="read and check the inputs, compute nothing")
    options = parser.parse_args(arguments)
    for name in ONE_THREAD:  # before numpy comes in: one calculation is one thread
        os.environ[name] = "1"
    try:
        _run(Path.cwd(), check_only=options.check)
    except KalloyError as error:
        if is_first(os.environ):  # all processes come here
            print(f"kalloy-gpaw: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        if not launched(os.environ):
            raise
        _abort_all()
    return 0


def _abort_all() -> None:
    """End the other processes too, which would wait for this one for ever."""
    import traceback

    from kalloy.workflows.gpaw_engine.workers import world

    traceback.print_exc()
    sys.stderr.flush()
    world().abort(1)


def _run(folder: Path, check_only: bool) -> None:
    from kalloy.workflows.gpaw_engine.job import read_job

    job = read_job(folder)
    _require_gpaw()
    if not check_only:
        join()
        from kalloy.workflows.gpaw_engine.run import run

        run(job)


def _require_gpaw() -> None:
    try:
        import gpaw  # noqa: F401
    except ImportError as error:
        raise EngineMissingError(
            f"kalloy-gpaw needs GPAW, which is not installed here ({error})",
            mend=f"install it {how_to_install('gpaw')}",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
