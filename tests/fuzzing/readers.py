"""Every reader of what a user or another program hands in: a sound file, and what reads it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.specs import ONE_K
from tests.standin_potcars import potcar

REPOSITORY = Path(__file__).resolve().parents[2]
HOSTS = REPOSITORY / "structures/hosts"

SPEC = (
    ONE_K
    + """
[calculation]
preset = "laptop"
engine = "gpaw"
incar = { SIGMA = 0.02, LREAL = false, relax = { NSW = 200 } }

[[step]]
stages = ["relax", "static"]
on = "all"

[[step]]
stages = ["dos", "bands"]
on = { host = true, lowest = 1 }

[noise]
rattle = 2

[reference]
name = "published"
host = { gap_eV = 3.91, direct = false }
peak_shifts = { "006" = 0.47 }

[site.here]
scheduler = "slurm"
options = { partition = "debug", time = "02:00:00", ntasks-per-node = 48 }
modules = ["gcc/12"]
commands = { gpaw = "kalloy-gpaw" }
"""
)
SITES = """
[site.big]
scheduler = "sge"
options = { queue = "all.q", pe = "mpi 16", l = ["mem_free=4G"] }
setup = ["export OMP_NUM_THREADS=1"]
commands = { std = "mpirun -n 8 vasp_std" }
poll = 60

[site.big.stage.bands]
options = { time = "02:00:00" }
"""
POSCAR = """CsPbBr3
1.0
6.0 0.0 0.0
0.0 6.0 0.0
0.0 0.0 6.0
Cs Pb Br
1 1 3
Direct
0.5 0.5 0.5
0.0 0.0 0.0
0.5 0.0 0.0
0.0 0.5 0.0
0.0 0.0 0.5
"""
INCAR = """SYSTEM = a crystal
ENCUT = 200 ; EDIFF = 1E-5
ISMEAR = 0 ! Gaussian
SIGMA = 0.02
NSW = 10; IBRION = 2; ISIF = 3
LORBIT = 11
MAGMOM = 2*0.0 3*0.5
"""
MESH = "mesh\n0\nMonkhorst-Pack\n4 4 3\n0 0 0\n"
LINES = "path\n10\nLine-mode\nReciprocal\n0.0 0.0 0.0 ! \\Gamma\n0.5 0.0 0.0 ! X\n\n0.5 0.0 0.0 ! X\n0.5 0.5 0.0 ! M\n"
POINTS = "points\n3\nReciprocal\n0.0 0.0 0.0 1.0 G\n0.5 0.0 0.0 3.0\n0.5 0.5 0.0 0.0 M\n"


@dataclass(frozen=True)
class Reader:
    """One kind of file."""

    name: str
    """What the file is called."""
    clean: bytes
    read: Callable[[Path], Any]
    """Given the file's path."""
    beside: tuple[tuple[str, str], ...] = ()
    """Other files of its folder, with their texts."""


def _spec(path: Path) -> Any:
    from kalloy.workflows.spec import load_spec

    return load_spec(path)


def _site(path: Path) -> Any:
    """As one who names a machine of sites.toml does."""
    from unittest import mock

    from kalloy.workflows.spec import load_spec

    asked = path.parent / "kalloy.toml"
    asked.write_text(
        ONE_K + '[calculation]\npreset = "laptop"\nsite = "big"\n[[step]]\nstages = ["relax"]\non = "all"\n'
    )
    (path.parent / "kalloy").mkdir(exist_ok=True)
    (path.parent / "kalloy/sites.toml").write_bytes(path.read_bytes())
    with mock.patch.dict("os.environ", XDG_CONFIG_HOME=str(path.parent)):
        return load_spec(asked)


def _preset(path: Path) -> Any:
    from kalloy.workflows.inputs.preset import load_preset

    return load_preset(str(path))


def _policy(path: Path) -> Any:
    from kalloy.workflows.execution.policy import load_policy

    return load_policy(path.name, path.parent)


def _host(path: Path) -> Any:
    from kalloy.structures.host import load_host

    return load_host(str(path))


def _job(path: Path) -> Any:
    from kalloy.workflows.gpaw_engine.job import read_job

    return read_job(path.parent)


def _corners(path: Path) -> Any:
    from kalloy.parsers.kpath import read_corners

    return read_corners(path)


def _crystal(path: Path) -> Any:
    from kalloy.parsers.poscar import read_poscar

    return read_poscar(path)


def _potcar(path: Path) -> Any:
    from kalloy.workflows.inputs.potcar_blocks import read_block

    return read_block(path.read_text(errors="replace"))


def _json(path: Path) -> Any:
    from kalloy.workflows.files import read_json

    return read_json(path)


def _result(path: Path) -> Any:
    from kalloy.parsers.result import read_result

    return read_result(path).to_json()


def _doscar(path: Path) -> Any:
    from kalloy.parsers.doscar import read_doscar

    return read_doscar(path)


def _text(module: str, function: str) -> Callable[[Path], Any]:
    """A scheduler's words, by the adapter's function."""

    def read(path: Path) -> Any:
        adapter = import_module(f"kalloy.workflows.submission.schedulers.{module}")
        return getattr(adapter, function)(path.read_text(errors="replace"))

    return read


def _events(path: Path) -> Any:
    from kalloy.workflows.execution.events import read_events

    return read_events(path)


def _kbr(name: str) -> bytes:
    """A file of the free engine's, of rock salt."""
    return gzip.decompress((REPOSITORY / f"tests/parsers/data/KBr/{name}.gz").read_bytes())


def _recorded(name: str) -> bytes:
    return (REPOSITORY / f"tests/schedulers/recorded/{name}").read_bytes()


SQUEUE = b"12_3|kabc|RUNNING|None\n12_[4-9]|kabc|PENDING|Priority\n13|kdef|COMPLETED|None\n"
QACCT = b"""==============================================================
qname        all.q
jobname      kabc
jobnumber    7
taskid       2
failed       0
exit_status  0
==============================================================
qname        all.q
jobname      kdef
jobnumber    8
taskid       undefined
failed       37  : qmaster enforced h_rt limit
exit_status  137
"""
_INPUTS = (("INCAR", INCAR), ("KPOINTS", MESH), ("POSCAR", POSCAR))
READERS = (
    Reader("kalloy.toml", SPEC.encode(), _spec),
    Reader("big.toml", SITES.encode(), _site),
    Reader("preset.yaml", (REPOSITORY / "workflows/inputs/presets/paper.yaml").read_bytes(), _preset),
    Reader("corrections.yaml", (REPOSITORY / "workflows/execution/corrections.yaml").read_bytes(), _policy),
    Reader("host.cif", (HOSTS / "Cs4PbBr6.cif").read_bytes(), _host),
    Reader("small.cif", (HOSTS / "CsBr.cif").read_bytes(), _host),
    Reader("POSCAR", POSCAR.encode(), _host),
    Reader("CONTCAR", POSCAR.encode(), _crystal),
    Reader("INCAR", INCAR.encode(), _job, _INPUTS),
    Reader("KPOINTS", MESH.encode(), _job, _INPUTS),
    Reader("KPOINTS", POINTS.encode(), _job, _INPUTS),
    Reader(
        "KPOINTS",
        LINES.encode(),
        _job,
        (("INCAR", INCAR.replace("NSW = 10", "NSW = 0; ICHARG = 11")), _INPUTS[2], ("gpaw.gpw", "")),
    ),
    Reader("POSCAR", POSCAR.encode(), _job, _INPUTS),
    Reader("KPOINTS", LINES.encode(), _corners),
    Reader("POTCAR.K_sv", potcar("K_sv", "K", 9, 222.0).encode(), _potcar),
    Reader("kalloy-end.json", b'{"schema": 1, "outcome": "done", "hashes": {"OUTCAR": "ab"}}\n', _json),
    Reader("events", b'{"event": "began", "attempt": "K1/c1/relax/a01"}\n{"event": "ended"}\n', _events),
    Reader("vasprun.xml", _kbr("static/vasprun.xml"), _result),
    Reader("vasprun.xml", _kbr("bands/vasprun.xml"), _result),
    Reader("OUTCAR", _kbr("relax/OUTCAR"), _result),
    Reader("EIGENVAL", _kbr("static/EIGENVAL"), _result),
    Reader("OSZICAR", _kbr("relax/OSZICAR"), _result),
    Reader("DOSCAR", _kbr("static/DOSCAR"), _doscar),
    Reader("squeue", SQUEUE, _text("slurm", "read_jobs")),
    Reader("qstat.xml", _recorded("sge_text_qstat_ext_urg_xml_test.txt"), _text("sge", "read_queue")),
    Reader("qacct", QACCT, _text("sge", "read_accounts")),
    Reader("qstat", _recorded("pbspro_text_qstat_f_to_test.txt"), _text("pbs", "read_jobs")),
    Reader("bjobs", _recorded("lsf_bjobs_stdout_to_test.txt"), _text("lsf", "read_jobs")),
)
