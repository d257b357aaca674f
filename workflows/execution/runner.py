"""What happens on the compute node: claim, complete, run the engine under custodian, leave the end marker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from kalloy.errors import EngineMissingError, InputError, KalloyError, SpecError
from kalloy.workflows.attempt import WRITTEN, Attempt, Outcome, claim
from kalloy.workflows.execution.completion import complete
from kalloy.workflows.execution.corrections import guarded_handlers
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.potcar import has_only_spec

OUTPUTS = ("vasprun.xml", "OUTCAR", "OSZICAR", "CONTCAR", "EIGENVAL", "DOSCAR")
MAX_CORRECTIONS = 5
TERMINATION_SECONDS = 30
"""Between asking an engine to end and ending it."""


def execute(folder: Path, tag: str = "by hand", command: str | None = None) -> Outcome | None:
    """Run one attempt to its end.

    Parameters
    ----------
    folder : the attempt's own folder; nothing outside it and its parents' is touched.
    tag : of the batch that sent it.
    command : how its engine is started; None for what was so when the attempt was written.

    Returns
    -------
    The outcome; that of the end record where it has ended before; None where another runner holds the claim.

    Raises
    ------
    InputError
        Where the folder is no attempt, or the engine is not there.
    """
    attempt = Attempt(folder.resolve())
    if not (attempt.folder / WRITTEN).is_file():
        raise InputError(
            f"'{folder}' is no attempt: it has no {WRITTEN}", mend="name a folder such as K03/c12/relax/a01"
        )
    if (end := attempt.end) is not None:
        return Outcome(end["outcome"])
    words = engine_command(command or attempt.written["command"])
    if not claim(attempt, tag=tag):
        return None
    started = time.time()
    cpu = os.times()
    try:
        complete(attempt)
        outcome, cause, corrections = _run_engine(attempt, words)
    except KalloyError as error:
        outcome, cause, corrections = Outcome.FAILED, str(error), []
    except Exception as error:  # whatever it is, an attempt ends with its cause on record
        traceback.print_exc()
        outcome, cause, corrections = Outcome.FAILED, f"{type(error).__name__}: {error}", []
    spent = os.times()
    attempt.finish(
        outcome,
        cause=cause,
        corrections=corrections,
        wall_seconds=round(time.time() - started, 1),
        cpu_seconds=round(spent.children_user + spent.children_system - cpu.children_user - cpu.children_system, 1),
        outputs={name: hash_of(attempt.folder / name) for name in OUTPUTS if (attempt.folder / name).is_file()},
    )
    return outcome


def engine_command(text: str) -> list[str]:
    """The engine's command line, its program found on PATH or beside this Python.

    Raises
    ------
    EngineMissingError
        Where it is in neither place.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SpecError(f"command {text!r} cannot be split into words: {error}", where="commands") from None
    if not words:
        raise SpecError("the engine's command is empty", where="commands", mend=_mend("vasp_std"))
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    program = shutil.which(words[0], path=beside)
    if program is None:
        raise EngineMissingError(f"engine '{words[0]}' is not on PATH", mend=_mend(words[0]))
    if words[0] == "kalloy-gpaw" and not _has_gpaw():
        raise EngineMissingError("kalloy-gpaw needs GPAW, which is not installed", mend=_mend(words[0]))
    return [program, *words[1:]]


def _has_gpaw() -> bool:
    from importlib.util import find_spec

    return find_spec("gpaw") is not None


def _mend(program: str) -> str:
    if program == "kalloy-gpaw":
        return "install it with: CC=g++ pip install --no-cache-dir 'kalloy[gpaw]'"
    return 'name the command in kalloy.toml: [site.NAME] commands = { std = "srun vasp_std" }'


def _run_engine(attempt: Attempt, command: list[str]) -> tuple[Outcome, str | None, list[dict[str, Any]]]:
    """The outcome, its cause in words, and what custodian corrected on the way."""
    from custodian.custodian import Custodian, CustodianError
    from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator

    engine = attempt.written["engine"]
    if engine == "vasp" and has_only_spec(attempt.folder):
        cause = "POTCAR.spec names the datasets, but there is no POTCAR; set PMG_VASP_PSP_DIR to your POTCAR library"
        return Outcome.FAILED, cause, []
    custodian = Custodian(
        guarded_handlers(engine),
        [_job(command)],
        validators=[VasprunXMLValidator(), VaspFilesValidator()],
        max_errors=MAX_CORRECTIONS,
        polling_time_step=2,
        directory=str(attempt.folder),
        terminate_on_nonzero_returncode=True,
    )
    failure: str | None = None
    try:
        custodian.run()
    except (CustodianError, RuntimeError) as error:
        failure = str(error)
    corrections = [_plain(c) for job in custodian.run_log for c in job["corrections"]]
    if refused := [line for c in corrections for line in c["refused"]]:
        cause = f"custodian would change physics ({'; '.join(refused)}): decide, and set the tag yourself"
        return Outcome.NEEDS_DECISION, cause, corrections
    why = _verdict(attempt.folder, failure)
    return (Outcome.FAILED if why else Outcome.DONE), why, corrections


def _plain(correction: dict[str, Any]) -> dict[str, Any]:
    return {
        "handler": type(correction["handler"]).__name__,
        "errors": list(correction.get("errors") or []),
        "actions": [str(a) for a in correction.get("actions") or []],
        "refused": correction.get("refused", []),
    }


def _verdict(folder: Path, failure: str | None) -> str | None:
    """Why the results are not what was asked for, or nothing: from the files, never from an exit code alone."""
    from kalloy.parsers.result import read_result

    if not (folder / "vasprun.xml").is_file():
        return f"engine error: {_last_words(folder) or failure or 'no vasprun.xml'}"
    result = read_result(folder).to_json()
    if not result["complete"]:
        return f"engine error: vasprun.xml breaks off; {_last_words(folder) or failure or 'no message'}"
    if result["electronic_converged"] is False:
        return "unconverged: electronic steps reached NELM; raise NELM, or change ALGO or the mixing"
    if result["ionic_converged"] is False:
        return "unconverged: ionic steps reached NSW with forces above EDIFFG; raise NSW"
    if result["electronic_converged"] is None:
        return "unconverged: the files do not say whether the electronic steps converged"
    return f"engine error: {failure}" if failure else None


def _last_words(folder: Path) -> str:
    """The last line that the engine wrote to its error stream, else to its output."""
    for name in ("std_err.txt", "vasp.out"):
        path = folder / name
        if path.is_file() and (lines := path.read_text(errors="replace").split("\n")):
            words = [line.strip() for line in lines if line.strip()]
            if words:
                return f"{words[-1]} ({name})"
    return ""


def _job(command: list[str]) -> Any:
    """custodian's VASP job, its engine kept in our process group so that whoever kills us ends it too."""
    from custodian.vasp.jobs import VaspJob

    class Job(VaspJob):
        def run(self, directory: str = "./") -> subprocess.Popen[bytes]:
            folder = Path(directory)
            with (folder / self.output_file).open("w") as out, (folder / self.stderr_file).open("w") as err:
                self._vasp_process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
            return self._vasp_process

        def terminate(self, directory: str = "./") -> None:
            # custodian would end the engine's process group, which here is the runner's own.
            self._vasp_process.terminate()
            try:
                self._vasp_process.wait(TERMINATION_SECONDS)
            except subprocess.TimeoutExpired:
                self._vasp_process.kill()
                self._vasp_process.wait()

    return Job(command, auto_npar=False, auto_gamma=False, backup=True)
