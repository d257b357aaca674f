"""What ended a calculation before its time, if the files around it say so."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from kalloy.errors import ParseError
from kalloy.parsers.opening import open_binary
from kalloy.parsers.source import CHUNK

_TAIL = 1 << 18  # bytes at a file's end that are searched: what killed a program stands last
_MOST_BYTES = 1 << 28  # of one compressed file that are read to get at its end
_NAMES = re.compile(
    r"(?:OUTCAR|vasp\.(?:out|log)|gpaw\.(?:out|txt)|std_?(?:out|err).*|slurm-.*|.*\.[oe]\d+"
    r"|(?:job|run|log)\.(?:out|err|log)|.*\.(?:stdout|stderr))(?:\.gz|\.bz2|\.xz)?"
)

# Utterances of schedulers, system, MPI and VASP, and what they mean. The scheduler's word comes first: it is the
# cause, the rest its consequence.
CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"DUE TO TIME LIMIT|walltime \d+ exceeded|exceeded (?:hard )?wallclock|TERM_RUNLIMIT|job killed: walltime",
        "the time limit",
    ),
    (r"oom[-_ ]kill|Out Of Memory|TERM_MEMLIMIT|exceeded memory limit|mem \d+\S* exceeded", "lack of memory"),
    (r"DUE TO PREEMPTION|DUE TO NODE FAILURE", "the scheduler (preemption or a failed node)"),
    (r"CANCELLED AT|scancel|TERM_OWNER", "somebody who cancelled the job"),
    (r"No space left on device|Disk quota exceeded", "a full disk"),
    (r"VERY BAD NEWS! internal error in subroutine\s+(\w+)", "VASP: internal error in a symmetry routine"),
    (r"ZBRENT: fatal error", "VASP: ZBRENT, bracketing the line minimum"),
    (r"BRMIX: very serious problems", "VASP: BRMIX, charge density of the wrong number of electrons"),
    (r"EDDDAV: Call to \w+ failed|Error EDDDAV", "VASP: EDDDAV, diagonalisation"),
    (r"EDDRMM: call to \w+ (?:returned|failed)", "VASP: EDDRMM, diagonalisation"),
    (r"LAPACK: Routine \w+ failed|\w*POTRF failed", "VASP: LAPACK failed"),
    (r"Sub-Space-Matrix is not hermitian", "VASP: sub-space matrix not hermitian"),
    (r"I REFUSE TO CONTINUE WITH THIS SICK JOB", "VASP: it refused to go on"),
    (r"segmentation fault|SIGSEGV|severe \(174\)", "a segmentation fault"),
    (r"Bus error|SIGBUS", "a bus error"),
    (r"forrtl: severe \((\d+)\)", "a Fortran run-time error"),
    (r"MPI_ABORT|MPI_Abort", "an MPI abort"),
    (r"SIGTERM|signal 15|signal 9 \(Killed\)|SIGKILL", "a signal from outside"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), cause) for pattern, cause in CAUSES)
_BOX_ART = re.compile(r"^[\s|#EROW+!A-]*$")


def find_cause(folder: Path) -> str | None:
    """What the files in a calculation's folder say ended it, with the file that says so; None where none does."""
    said: list[tuple[int, str]] = []
    for file in sorted(p for p in folder.iterdir() if p.is_file() and _NAMES.fullmatch(p.name)):
        text = _tail(file)
        for rank, (pattern, cause) in enumerate(_COMPILED):
            if pattern.search(text):
                said.append((rank, f"{cause} (says {file.name})"))
                break
        else:
            words = error_box(text)
            if words is not None:
                said.append((len(_COMPILED), f"{words} (says {file.name})"))
    return min(said)[1] if said else None


def _tail(file: Path) -> str:
    """The end of a text file; as much as can be decompressed where it is damaged."""
    kept: deque[bytes] = deque(maxlen=2)
    read = 0
    try:
        with open_binary(file) as handle:
            if handle.seekable() and not file.name.endswith((".gz", ".bz2", ".xz")):
                handle.seek(max(0, file.stat().st_size - _TAIL))
            while read < _MOST_BYTES and (chunk := handle.read(CHUNK)):
                kept.append(chunk)
                read += len(chunk)
    except (ParseError, OSError):
        pass  # unreadable files say nothing
    return b"".join(kept)[-_TAIL:].decode("latin-1")


def error_box(text: str) -> str | None:
    """The words in VASP's last box that is headed ERROR; without words, that there is one."""
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if re.search(r"EEEEEEE?\s+R{5,6}\s+R{5,6}", line)]
    if not heads:
        return None
    words: list[str] = []
    for line in lines[heads[-1] :]:
        if re.match(r"^\s-{20,}\s*$", line) and words:
            break
        if not _BOX_ART.match(line):
            words.append(line.strip(" |"))
    return "VASP: " + " ".join(" ".join(words).split()) if words else "VASP: an error without words"
