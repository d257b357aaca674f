"""What ended a calculation before its time, if the files around it say so."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
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

# Utterances of schedulers, system, MPI and VASP, their kind and what they mean. The scheduler's word comes first: it is
# the cause, the rest its consequence.
CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"DUE TO TIME LIMIT|walltime \d+ exceeded|exceeded (?:hard )?wallclock|TERM_RUNLIMIT|job killed: walltime",
        "walltime",
        "the time limit",
    ),
    (
        r"oom[-_ ]kill|Out Of Memory|TERM_MEMLIMIT|exceeded memory limit|mem \d+\S* exceeded|std::bad_alloc|MemoryError"
        r"|insufficient virtual memory|(?:can ?not|failed to|unable to) allocate memory"
        r"|Allocation would exceed memory limit|ERROR: allocation|virtual memory exhausted",
        "memory",
        "lack of memory",
    ),
    (r"DUE TO NODE FAILURE|DUE TO PREEMPTION", "node", "the scheduler (preemption or a failed node)"),
    (r"CANCELLED AT|scancel|TERM_OWNER", "cancelled", "somebody who cancelled the job"),
    (r"No space left on device|Disk quota exceeded|File too large", "quota", "a full disk"),
    (
        r"Input/output error|Remote I/O error|Stale (?:NFS )?file handle|Transport endpoint is not connected",
        "node",
        "the node's file system",
    ),
    (
        r"ORTE has lost communication|lost connection to|Transport retry count exceeded|(?:Connection|connection) "
        r"(?:refused|reset by peer|timed out)|No route to host|ibv_\w+.*fail|UCX\s+ERROR|psm2?_ep_open|openib BTL",
        "node",
        "the network between the nodes",
    ),
    (
        r"MPI_Init\w* failed|PMI\w*_Init (?:returned|failed)|PMIX ERROR|Fatal error in P?MPI_Init"
        r"|srun: error: (?:Task launch|Unable to create step|Node)|daemon.*(?:died unexpectedly|failed to start)"
        r"|ORTE was unable to reliably start|munge.*(?:error|fail)",
        "node",
        "MPI, which could not start",
    ),
    (r"CUDA error|cuInit|hwloc.*fail|Machine Check|uncorrectable ECC", "node", "the node's hardware"),
    (
        r"error while loading shared libraries.*|command not found|Exec format error|cannot open shared object file.*",
        "engine",
        "the engine's program cannot start here: are its modules loaded in the job script?",
    ),
    (r"VERY BAD NEWS! internal error in subroutine\s+(\w+)", "engine", "VASP: internal error in a symmetry routine"),
    (r"ZBRENT: fatal (?:error|internal)", "engine", "VASP: ZBRENT, bracketing the line minimum"),
    (
        r"BRMIX: very serious problems",
        "engine",
        "VASP: BRMIX, charge density of the wrong number of electrons",
    ),
    (r"EDDDAV: Call to \w+ failed|Error EDDDAV", "engine", "VASP: EDDDAV, diagonalisation"),
    (r"EDDRMM: call to \w+ (?:returned|failed)", "engine", "VASP: EDDRMM, diagonalisation"),
    (r"E?DDIAG: ?[Cc]all to \w+", "engine", "VASP: EDDIAG, diagonalisation"),
    (r"subspace rotation P[SD]SYEVX", "engine", "VASP: ScaLAPACK, diagonalisation"),
    (r"EDWAV: internal error", "engine", "VASP: EDWAV, the gradient of the orbitals"),
    (r"BRIONS problems: POTIM", "engine", "VASP: BRIONS, the step of the ions"),
    (r"SBESSELITER|RSPHER|REAL_OPT(?:LAY)?: internal", "engine", "VASP: projectors in real space"),
    (  # every sound OUTCAR says "Subroutine PRICEL returns:", and its profile names posmap
        r"(?-i:POSMAP|RHOSYG)|internal error in subroutine (?:SGRCON|PRICEL)|PRICELV:|PRICEL \(probably"
        r"|group operation missing|Inconsistent Bravais",
        "engine",
        "VASP: symmetry",
    ),
    (
        r"rotation matrix was not found|Found some non-integer element in rotation matrix|unable to match k-point"
        r"|Fatal error detecting k-mesh|HNFORM|not all point group operations|belong to different class of lattices",
        "engine",
        "VASP: symmetry of the k-mesh",
    ),
    (  # beside "TETIRR: Found 115 inequivalent tetrahedra" and "BZINTS: Fermi energy: ...", which are no errors
        r"Tetrahedron method fails|BZINTS(?!: Fermi)|TETIRR needs|DENTET",
        "engine",
        "VASP: tetrahedra, too few k-points",
    ),
    (r"TOO FEW BANDS|number of bands is not sufficient", "engine", "VASP: NBANDS is too low"),
    (r"triple product of the basis vectors", "engine", "VASP: a left-handed cell"),
    (r"Error reading item|Error code was IERR", "engine", "VASP: an INCAR tag it cannot read"),
    (r"while reading (?:plane|WAVECAR)", "engine", "VASP: a WAVECAR of other settings"),
    (r"charge density could not be read from file CHGCAR", "engine", "VASP: no CHGCAR that fits"),
    (r"POTCAR.*(?:incompatible|not consistent)|number of ions on POTCAR", "engine", "VASP: POTCAR does not fit"),
    (r"SET_CORE_WF", "engine", "VASP: POTCAR of an old release"),
    (r"Harris functional dynamics is a good joke", "engine", "VASP: ICHARG above 9 in a spin-polarised relaxation"),
    (r"LAPACK: Routine \w+ failed|\w*POTRF failed|ZPOTRF ZTRTRI", "engine", "VASP: LAPACK failed"),
    (r"Sub-Space-Matrix is not hermitian", "engine", "VASP: sub-space matrix not hermitian"),
    (r"I REFUSE TO CONTINUE WITH THIS SICK JOB", "engine", "VASP: it refused to go on"),
    (r"segmentation fault|SIGSEGV|severe \(174\)", "engine", "a segmentation fault"),
    (r"Bus error|SIGBUS", "node", "a bus error"),
    (r"forrtl: severe \((\d+)\)", "engine", "a Fortran run-time error"),
    (r"MPI_ABORT|MPI_Abort", "engine", "an MPI abort"),
    (r"signal 9 \(Killed\)|SIGKILL", "memory", "a signal from outside (SIGKILL: most often lack of memory)"),
    (r"SIGTERM|signal 15", "node", "a signal from outside"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), kind, words) for pattern, kind, words in CAUSES)
_BOX_ART = re.compile(r"^[\s|#EROW+!A-]*$")


@dataclass(frozen=True)
class Ending:
    """What the files around a calculation say ended it."""

    kind: str
    """``walltime``, ``memory``, ``node``, ``quota``, ``cancelled`` or ``engine``."""
    words: str
    """What that means."""
    line: str
    """As the file says it: what one would search for."""
    file: str
    """Its name."""


def find_cause(folder: Path) -> str | None:
    """What the files in a calculation's folder say ended it, with the file that says so; None where none does."""
    ending = find_ending(folder)
    return f"{ending.words} (says {ending.file})" if ending else None


def find_ending(folder: Path) -> Ending | None:
    """The same, with its kind and the very line."""
    said: list[tuple[int, Ending]] = []
    for file in sorted(p for p in folder.iterdir() if p.is_file() and _NAMES.fullmatch(p.name)):
        text = _tail(file)
        for rank, (pattern, kind, words) in enumerate(_COMPILED):
            if match := pattern.search(text):
                said.append((rank, Ending(kind, words, _line(text, match.start()), file.name)))
                break
        else:
            box = error_box(text)
            if box is not None:
                said.append((len(_COMPILED), Ending("engine", box, box, file.name)))
    return min(said, key=lambda item: (item[0], item[1].file))[1] if said else None


def _line(text: str, position: int) -> str:
    """The line around a position, without the frame of VASP's boxes."""
    start = text.rfind("\n", 0, position) + 1
    return text[start:].partition("\n")[0].strip(" |*\r")[:200]


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
