"""A relaxation is begun anew from where it ended until that changes nothing: its basis belongs to the start cell.

Plane waves are chosen for the cell that a run starts from and kept while the cell changes, so that at the end they are
those of a slightly other cut-off (Pulay stress). A run that starts in the relaxed cell has the right ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from kalloy.workflows.attempt import CLAIM, TAKEN, WRITTEN, Attempt
from kalloy.workflows.execution.deadline import Warden
from kalloy.workflows.execution.reading import read
from kalloy.workflows.execution.supervision import INPUTS, Supervised
from kalloy.workflows.files import write_text
from kalloy.workflows.inputs.stage import Stage

CELL_RELAXATIONS = (3, 4, 5, 6, 7, 8)
"""Values of ISIF with which shape or volume of the cell change: https://vasp.at/wiki/ISIF."""
_STAYS = {*INPUTS, *(f"{name}.orig" for name in INPUTS), "KPOINTS_OPT", "POTCAR.spec", WRITTEN, CLAIM, TAKEN, "CONTCAR"}
_RUN = re.compile(r"run\d+$")


def settle(attempt: Attempt, begin: Callable[[], Supervised], warden: Warden) -> Supervised:
    """Run a stage; a relaxation of the cell again and again, each time from its CONTCAR, as its record asks for.

    Every finished run but the last goes to ``run1``, ``run2``, … Killed anywhere, the folder holds a whole CONTCAR or
    POSCAR of where the relaxation stood, from which a new attempt goes on.

    Parameters
    ----------
    begin : runs the engine in the attempt's folder until it has ended.

    Returns
    -------
    What became of all runs together; ``unsettled`` where the last one was not short enough.
    """
    whole = Supervised()
    while True:
        ran = begin()
        whole.add(ran)
        rule = attempt.written.get("relax_restarts")
        if rule is None or not _relaxes_the_cell(attempt) or not _may_go_on(attempt.folder, ran):
            return whole
        steps, restarts = read(attempt.folder).ionic_steps, len(_finished(attempt.folder))
        whole.runs[-1]["ionic_steps"] = steps
        if steps <= rule["until_steps"]:
            return whole
        if restarts >= rule["at_most"] or warden.why is not None:
            whole.unsettled = _words(restarts, steps, rule["until_steps"])
            return whole
        whole.runs[-1]["folder"] = put_away(attempt.folder).name


def put_away(folder: Path) -> Path:
    """Move a finished run's files into the next ``runN``, then let POSCAR be its CONTCAR.

    CONTCAR stays, and a copy goes along: at every moment one of the two files holds the structure.
    """
    kept = folder / f"run{len(_finished(folder)) + 1}"
    contcar = (folder / "CONTCAR").read_text(encoding="utf-8")
    for name in (*INPUTS, "CONTCAR"):
        if name != "POTCAR" and (folder / name).is_file():
            write_text(kept / name, (folder / name).read_text(encoding="utf-8"))
    for path in sorted(folder.iterdir()):
        if path.name not in _STAYS and not path.name.startswith(".") and not _RUN.match(path.name):
            path.rename(kept / path.name)
    write_text(folder / "POSCAR", contcar)
    return kept


def _finished(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _RUN.match(path.name)]


def _relaxes_the_cell(attempt: Attempt) -> bool:
    from pymatgen.io.vasp.inputs import Incar

    if not Stage(attempt.written["stage"]).is_relaxation:
        return False
    return Incar.from_file(attempt.folder / "INCAR").get("ISIF") in CELL_RELAXATIONS


def _may_go_on(folder: Path, ran: Supervised) -> bool:
    return not ran.refused and ran.exit == 0 and read(folder).is_sound


def _words(restarts: int, steps: int, until: int) -> str:
    last = f"restart {restarts}" if restarts else "the first run"
    return (
        f"the cell has not settled: {last} took {steps} ionic steps, and {until} at most are wanted; raise ENCUT, for "
        "the basis changes with the cell, or at_most of relax_restarts in the preset"
    )
