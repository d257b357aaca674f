"""A stand-in engine for tests of submission and screening: it checks its inputs and computes nothing of physics.

Run in a calculation folder like kalloy-gpaw. The energy is a sum over pairs of ions, so that configurations differ;
bands are two cosines with a gap. It calls itself ``standin`` in vasprun.xml. Environment:

STANDIN_SECONDS   pause per ionic step (default 0)
STANDIN_LOG       a file to which it appends the folder and "start" or "end": what ran, and how often
STANDIN_STEPS     ionic steps that a relaxation needs (default 3); ``5,3,1`` for its runs one after another
STANDIN_FAIL      a member/stage (``K1/c1/static``) whose run dies with a message
STANDIN_SAYS      what it says then, on its standard output as VASP does (default: a message on stderr)
STANDIN_CURE      a line of INCAR (``ALGO = All``) with which it does not fail
STANDIN_SIGNAL    the number of the signal that it dies of
STANDIN_UNCONVERGED  a member/stage whose forces stay above EDIFFG
STANDIN_MINIMUM   set: a relaxation ends in one structure to the last digit, wherever it begins

Like VASP it looks for STOPCAR: LSTOP ends it in order after an ionic step, LABORT at once without results.
"""

import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Incar: TypeAlias = dict[str, Any]
Step: TypeAlias = "tuple[Structure, float, float]"

CHARGES = {"Na": 9.0, "K": 9.0, "Cs": 9.0, "Pb": 14.0, "Br": 7.0, "Cl": 7.0, "Cu": 11.0, "Au": 11.0}
NUMBERS = {"Na": 11, "Cl": 17, "K": 19, "Cu": 29, "Br": 35, "Cs": 55, "Au": 79, "Pb": 82}


@dataclass(frozen=True)
class Structure:
    lattice: Floats
    elements: list[str]
    positions: Floats

    @property
    def volume(self) -> float:
        return float(abs(np.linalg.det(self.lattice)))


@dataclass(frozen=True)
class KPoints:
    style: str
    lines: list[str]


def main() -> None:
    here = Path.cwd()
    name = "/".join(here.parts[-4:-1]) if here.parts[-3] != "host" else "/".join(here.parts[-3:-1])
    log(f"start {name}/{here.name}")
    incar, kpoints, structure = read_incar(), read_kpoints(), read_poscar()
    for tag in ("ENCUT", "EDIFF", "ISMEAR", "NSW"):
        if tag not in incar:
            sys.exit(f"stand-in: INCAR has no {tag}")
    if incar.get("ICHARG") in (1, 11) and not Path("gpaw.gpw").is_file():
        sys.exit("stand-in: ICHARG=11 and no gpaw.gpw")
    if name == os.environ.get("STANDIN_FAIL"):
        fail()
    listed = os.environ.get("STANDIN_STEPS", "3").split(",")
    needed = int(listed[min(len(list(here.glob("run[0-9]*"))), len(listed) - 1)])
    stopped = False
    stuck = name == os.environ.get("STANDIN_UNCONVERGED")
    steps = []
    for step in range(min(int(incar["NSW"]), needed) if incar["NSW"] else 1):
        electrons(float(os.environ.get("STANDIN_SECONDS", 0)))
        if incar["NSW"]:
            structure = moved(structure, last=step == needed - 1)
        force = 0.0 if (step == needed - 1 and not stuck) or not incar["NSW"] else 0.5
        steps.append((structure, energy(structure), force))
        write_contcar(structure)
        with Path("OSZICAR").open("a") as file:
            file.write("DAV:   1    -0.1E+01   -0.1E+01   -0.1E+01     1   0.1E-01\n")
            file.write(f"{step + 1:4d} F= {energy(structure):.8E} E0= {energy(structure):.8E} d E =0.0\n")
        if stopped := asks("LSTOP"):
            break
    if incar.get("LCHARG"):
        Path("gpaw.gpw").write_text("the stand-in's charge density")
    incar["NSW"] = len(steps) if stuck else incar["NSW"]
    Path("OUTCAR").write_text(" soft stop encountered!  aborting job ...\n" if stopped else " stand-in\n")
    Path("vasprun.xml").write_text(vasprun(incar, kpoints, steps))
    log(f"end {name}/{here.name}")


def moved(structure: Structure, last: bool) -> Structure:
    """One ionic step on: always smaller; or, asked for a minimum, on a grid until the last step goes there."""
    if "STANDIN_MINIMUM" not in os.environ:
        return replace(structure, lattice=structure.lattice * 0.995 ** (1 / 3))
    # The grid is coarser than the digits of CONTCAR, so that a start from it is the start itself.
    start = replace(structure, lattice=structure.lattice.round(5), positions=structure.positions.round(6))
    wanted = sum(16 + NUMBERS[e] / 2 for e in start.elements)
    return replace(start, lattice=(start.lattice * (wanted / start.volume) ** (1 / 3)).round(5)) if last else start


def fail() -> None:
    """Die as the environment says, unless INCAR holds the cure."""
    cure = os.environ.get("STANDIN_CURE")
    if cure and cure.split() in [line.split() for line in Path("INCAR").read_text().splitlines()]:
        return
    if words := os.environ.get("STANDIN_SAYS"):
        print(words, flush=True)
    if number := os.environ.get("STANDIN_SIGNAL"):
        os.kill(os.getpid(), int(number))
    sys.exit(1 if words else "stand-in: told to fail")


def electrons(seconds: float) -> None:
    """The electronic steps of one ionic step."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
        if asks("LABORT"):
            Path("OUTCAR").write_text(" hard stop encountered!  aborting job ...\n")
            sys.exit()


def asks(tag: str) -> bool:
    """Whether STOPCAR asks for an end."""
    return Path("STOPCAR").is_file() and f"{tag} = .TRUE." in Path("STOPCAR").read_text()


def read_incar() -> Incar:
    pairs = (line.split("=", 1) for line in Path("INCAR").read_text().splitlines() if "=" in line)
    return {tag.strip(): number(value.strip()) for tag, value in pairs}


def number(text: str) -> Any:
    if text in (".TRUE.", ".FALSE."):
        return text == ".TRUE."
    try:
        return float(text) if "." in text or "E" in text else int(text)
    except ValueError:
        return text


def read_kpoints() -> KPoints:
    lines = Path("KPOINTS").read_text().splitlines()
    style = lines[2].strip()[0].upper()
    assert style in "GML", f"stand-in: KPOINTS of style {style}"
    return KPoints({"G": "Gamma", "M": "Monkhorst-Pack", "L": "Line"}[style], lines)


def read_poscar() -> Structure:
    lines = Path("POSCAR").read_text().splitlines()
    assert lines[1].split() == ["1.0"], "stand-in: POSCAR with a scale"
    assert lines[7].strip()[0] in "dD", "stand-in: POSCAR not in direct coordinates"
    elements = [e for e, n in zip(lines[5].split(), lines[6].split(), strict=True) for _ in range(int(n))]
    positions = np.array([line.split()[:3] for line in lines[8 : 8 + len(elements)]], float)
    return Structure(np.array([line.split() for line in lines[2:5]], float), elements, positions)


def write_contcar(structure: Structure) -> None:
    kinds = list(dict.fromkeys(structure.elements))
    counts = [structure.elements.count(e) for e in kinds]
    rows = [row(r) for r in structure.lattice] + [" ".join(kinds), " ".join(map(str, counts)), "direct"]
    Path("CONTCAR").write_text("\n".join(["stand-in", "1.0", *rows, *(row(p) for p in structure.positions)]) + "\n")


def log(line: str) -> None:
    if path := os.environ.get("STANDIN_LOG"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def energy(structure: Structure) -> float:
    """Screened repulsion of nearest images, by atomic number: smaller ions like small volumes."""
    apart = structure.positions[:, None] - structure.positions[None]
    distances = np.linalg.norm((apart - np.round(apart)) @ structure.lattice, axis=2) + 1e9 * np.eye(len(apart))
    numbers = np.array([NUMBERS[e] for e in structure.elements], float)
    return float((np.outer(numbers, numbers) * np.exp(-distances)).sum() / 100 - structure.volume / 50)


def points(kpoints: KPoints) -> tuple[Floats, str]:
    if kpoints.style == "Line":
        ends = np.array([line.split()[:3] for line in kpoints.lines[4:] if line.strip()], float)
        n = int(kpoints.lines[1])
        listed = np.vstack([np.linspace(a, b, n) for a, b in zip(ends[::2], ends[1::2], strict=True)])
        head = f'<generation param="listgenerated"><i name="divisions" type="int">{n}</i>'
        return listed, head + "".join(f"<v> {row(p)} </v>" for p in ends) + "</generation>"
    mesh = np.array(kpoints.lines[3].split()[:3], int)
    shift = 0.0 if kpoints.style == "Gamma" else 0.5
    axes = [(np.arange(m) + (shift if m % 2 == 0 else 0)) / m for m in mesh]
    listed = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    head = f'<generation param="{kpoints.style}"><v type="int" name="divisions"> {" ".join(map(str, mesh))} </v>'
    return listed, head + "</generation>"


def row(values: Any) -> str:
    return " ".join(f"{float(v):.8f}" for v in np.ravel(values))


def tag(element: str, content: str, /, **attributes: object) -> str:
    return f"<{element}" + "".join(f' {k}="{v}"' for k, v in attributes.items()) + f">{content}</{element}>"


def item(name: str, value: Any) -> str:
    kind = {int: {"type": "int"}, str: {"type": "string"}}.get(type(value), {})
    return tag("i", f" {value} ", **kind, name=name)


def varray(name: str, rows: Any) -> str:
    return tag("varray", "".join(tag("v", f" {row(r)} ") for r in rows), name=name)


def array(fields: str, content: str, dimensions: str) -> str:
    head = "".join(tag("dimension", d, dim=i) for i, d in enumerate(dimensions.split(), 1))
    return tag("array", head + "".join(tag("field", f) for f in fields.split()) + tag("set", content))


def structure_xml(structure: Structure) -> str:
    crystal = varray("basis", structure.lattice) + varray("rec_basis", np.linalg.inv(structure.lattice).T)
    return tag("structure", tag("crystal", crystal) + varray("positions", structure.positions))


def vasprun(incar: Incar, kpoints: KPoints, steps: list[Step]) -> str:
    listed, generation = points(kpoints)
    elements = steps[0][0].elements
    nelect = sum(CHARGES[e] for e in elements)
    ionic = []
    for i, (structure, e, force) in enumerate(steps):
        forces = np.zeros((len(elements), 3))
        forces[0, 0], forces[1, 0] = force, -force
        energies = tag("energy", "".join(item(n, e) for n in ("e_fr_energy", "e_wo_entrp", "e_0_energy")))
        blocks = [tag("scstep", energies), structure_xml(structure), varray("forces", forces)]
        blocks += [varray("stress", np.zeros((3, 3))), energies]
        if i == len(steps) - 1:
            blocks.append(spectra(listed, int(nelect // 2), structure.volume, incar))
        ionic.append(tag("calculation", "\n" + "\n".join(blocks) + "\n"))
    weights = varray("weights", np.full((len(listed), 1), 1 / len(listed)))
    parts = [
        tag("generator", item("program", "standin") + item("version", "1")),
        tag("kpoints", generation + varray("kpointlist", listed) + weights),
        tag("parameters", parameters(incar, nelect)),
        atoms_xml(elements),
        *ionic,
    ]
    return '<?xml version="1.0" encoding="ISO-8859-1"?>\n' + tag("modeling", "\n" + "\n".join(parts) + "\n") + "\n"


def parameters(incar: Incar, nelect: float) -> str:
    defaults = {"IBRION": -1, "ISMEAR": 0, "ISPIN": 1, "ICHARG": 2, "ISIF": 2, "NELM": 60, "GGA": "PE", "SIGMA": 0.05}
    used = {**defaults, "NELECT": nelect, "ENMAX": float(incar["ENCUT"]), "EDIFF": incar["EDIFF"], "NSW": incar["NSW"]}
    return "".join(item(k, incar.get(k, v)) for k, v in used.items()) + item("EDIFFG", float(incar.get("EDIFFG", 0)))


def record(*values: object) -> str:
    return tag("rc", "".join(tag("c", f"{v} ") for v in values))


def atoms_xml(elements: list[str]) -> str:
    kinds = list(dict.fromkeys(elements))
    atoms = "".join(record(e, kinds.index(e) + 1) for e in elements)
    types = "".join(record(elements.count(e), e, 1.0, CHARGES[e], f"stand-in {e}") for e in kinds)
    listed = array("element atomtype", atoms, "ion").replace("<array>", '<array name="atoms">')
    kinds_ = array("atomspertype element mass valence pseudopotential", types, "type")
    counts = tag("atoms", f" {len(elements)} ") + tag("types", f" {len(kinds)} ")
    return tag("atominfo", counts + listed + kinds_.replace("<array>", '<array name="atomtypes">'))


def spectra(listed: Floats, filled: int, volume: float, incar: Incar) -> str:
    """A valence band with its top at Γ, a conduction band with its bottom at the zone's corner: indirect."""
    wave = np.cos(2 * np.pi * listed).sum(axis=1)
    levels = [[-5.0] * (filled - 1) + [0.1 * (w - 3), 3.0 + 100 / volume + 0.05 * (w + 3)] for w in wave]
    rows = ""
    for k, energies in enumerate(levels, 1):
        pairs = "".join(tag("r", f" {e:.4f} {float(n < filled):.4f} ") for n, e in enumerate(energies))
        rows += tag("set", pairs, comment=f"kpoint {k}")
    eigenvalues = array("eigene occ", tag("set", rows, comment="spin 1"), "band kpoint spin")
    flat: Floats = np.ravel(levels)
    density = ""
    for energy in np.linspace(incar.get("EMIN", -6), incar.get("EMAX", 6), 31):
        states = 2 * float(np.exp(-(((energy - flat) / 0.2) ** 2)).sum()) / len(listed)
        density += tag("r", f" {energy:.4f} {states:.4f} 0.0 ")
    total = array("energy total integrated", tag("set", density, comment="spin 1"), "gridpoints spin")
    return tag("eigenvalues", eigenvalues) + "\n" + tag("dos", item("efermi", 1.0) + tag("total", total))


if __name__ == "__main__":
    main()
