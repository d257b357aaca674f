"""The rules over real, well-made VASP calculations: nothing is called an error, and what is said is right."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.checks.disk import bands_of, fft_grids
from kalloy.workflows.inputs.checks.finding import Finding, Severity
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.names import check_names
from kalloy.workflows.inputs.checks.rules import apply_rules
from kalloy.workflows.inputs.checks.vasp_tags import read_tags


@dataclass
class Real:
    name: str
    inputs: Inputs
    parameters: dict[str, str]
    """VASP's own values of all tags."""


_PRINTED_OTHERWISE = ("LORBIT", "LMIXTAU", "KSPACING", "KGAMMA")
"""Tags that vasprun.xml does not show as INCAR had them (numbers as F, truth values as -1), or that were there in place
of a KPOINTS file, which it does not tell."""


def section(head: str, tag: str) -> Any:
    found = re.search(rf"<{tag}>.*?</{tag}>", head, re.DOTALL)
    return ElementTree.fromstring(found[0]) if found else None


def read(path: Path) -> Real | None:
    from pymatgen.io.vasp.inputs import Kpoints

    with gzip.open(path, "rt", errors="replace") as file:
        head = file.read(3_000_000)
    incar, atoms = section(head, "incar"), section(head, "atominfo")
    start = head[head.find('name="initialpos"') :]
    lattice = re.search(r'<varray name="basis"\s*>(.*?)</varray>', start, re.DOTALL)
    places = re.search(r'<varray name="positions"\s*>(.*?)</varray>', start, re.DOTALL)
    if incar is None or atoms is None or lattice is None or places is None:
        return None
    tags = {node.get("name", ""): re.split("[!#]", node.text or "")[0].strip() for node in incar}
    for name in _PRINTED_OTHERWISE:
        tags.pop(name, None)
    if tags.get("EDIFF") == "0.00000000":  # eight decimals only
        del tags["EDIFF"]
    species = [row[0].text.strip() for row in atoms.find("./array[@name='atoms']/set")]
    kinds = [[c.text.strip() for c in row] for row in atoms.find("./array[@name='atomtypes']/set")]
    if not set(species) <= {kind[1] for kind in kinds} or "X" in species or "r" in species:
        return None
    numbers = [
        np.array([[float(x) for x in re.findall(r"[-\d.Ee+]+", v)] for v in re.findall(r"<v>(.*?)</v>", text)])
        for text in (lattice[1], places[1])
    ]
    kpoints = None
    mesh = re.search(r'<generation param="(Gamma|Monkhorst-Pack)">.*?"divisions">(.*?)</v>', head, re.DOTALL)
    if mesh:
        make = Kpoints.gamma_automatic if mesh[1] == "Gamma" else Kpoints.monkhorst_automatic
        kpoints = make(tuple(int(n) for n in mesh[2].split()))
    elif '<generation param="listgenerated">' in head:
        kpoints = Kpoints(num_kpts=2, style=Kpoints.supported_modes.Line_mode, kpts=[[0, 0, 0], [0.5, 0, 0]])
    composition = Counter(species)
    datasets = [kind[4].split()[1] if len(kind[4].split()) > 1 else kind[1] for kind in kinds]
    inputs = Inputs(
        tags={k: v for k, v in read_tags({k: v for k, v in tags.items() if v}).items() if k != "SYSTEM"},
        composition=composition,
        kpoints=kpoints,
        crystal=Crystal(numbers[0], tuple(species), numbers[1]),
        datasets=tuple(datasets) if len(datasets) == len(composition) else (),
        valences={kind[1]: float(kind[3]) for kind in kinds},
    )
    found = section(head, "parameters")
    given = (
        {n.get("name", ""): (n.text or "").strip() for n in found.iter() if n.tag in ("i", "v")}
        if found is not None
        else {}
    )
    return Real(path.parent.name, inputs, given)


@pytest.fixture(scope="module")
def real(shared: Path) -> list[Real]:
    found = [read(path) for path in sorted((shared / "vasp").glob("*/vasprun.xml.gz"))]
    return [each for each in found if each]


def findings(each: Real) -> list[Finding]:
    return [*check_names(each.inputs), *apply_rules(each.inputs)]


SMALL = "lreal-small-cell"
SAID: dict[str, list[str]] = {
    "IFermi_MgB2": ["ediffg-energy", SMALL],  # relaxes without EDIFFG
    "aiida_Si_partial_dos": ["sigma-wide"],
    "amset_GaAs_uniform": ["lmaxmix", SMALL],  # Ga_d, ICHARG = 11
    "atomate_Al_uniform_fullset": [SMALL, "moments-without-spin"],
    "atomate_Si_nscf_line_fullset": [SMALL, "moments-without-spin"],
    "atomate_Si_nscf_uniform_fullset": [SMALL, "moments-without-spin"],
    "custodian_Al_static_smearing": [SMALL],
    "custodian_Bi_scan_unconverged": [SMALL],
    "custodian_K4Sn4O6_fullset": [SMALL],
    "custodian_bad_vasprun_truncated": ["ediffg-energy", SMALL],
    "custodian_unconverged_electronic": ["ediffg-energy", SMALL],
    "custodian_unconverged_ionic": [
        "ediffg-energy",
        SMALL,
        "tetrahedra-in-relaxation",
    ],  # an alloy of metals, ISMEAR = -5
    "doped_MgO_vO_truncated": ["spin-without-moments"],
    "doped_O2_std": [SMALL, "spin-without-moments"],
    "pmg_CeO2_hse06": ["spin-without-moments"],
    "pmg_CuC_separate_spins": ["encut-not-given"],
    "pmg_LiF_r2scan_ism2": [SMALL, "smearing-of-metals"],  # an insulator of 9 eV with ISMEAR = 2
    "pmg_LiFePO4_relax29": ["ediffg-energy"],
    "pmg_LiH_bad_efermi": [SMALL],
    "pmg_N2_spin_uniform": [SMALL],
    "pmg_Rb2F_ediffg0": ["ediffg-never"],
    "pmg_Si_bad_fermi_620": [SMALL],
    "pmg_Si_dielectric_old": [SMALL, "nedos-coarse", "optics-without-nbands"],
    "pmg_Si_indirect": [SMALL],
    "pmg_WO3_reproduce_eps": ["ediff-negative"],  # -1E-4, of which VASP's own parameters show the size
    "pmg_bad_truncated": ["ediffg-energy"],
    "pmg_kpoints_opt_Si8": [SMALL],
    "sumo_Cs2SnBr6_soc_hybrid_loptics": ["optics-few-bands", "spinors-without-moments"],
    "sumo_Cs2SnI6_hybrid_band_split01": ["sigma-wide"],
    "sumo_Cs2SnI6_hybrid_band_split02": ["sigma-wide"],
    "sumo_Cs2SnI6_hybrid_dos": ["sigma-wide"],
    "sumo_OsO2_metal_band": ["lmaxmix", "sigma-wide"],
}
"""All that is said of them; each was looked at."""


def test_no_error_and_no_false_alarm(real: list[Real]) -> None:
    assert len(real) >= 48
    found = {each.name: findings(each) for each in real}
    assert not [f.line for fs in found.values() for f in fs if f.severity is Severity.ERROR]
    assert {name: sorted(f.code for f in fs) for name, fs in found.items() if fs} == SAID


def test_grids_are_those_that_vasp_chose(real: list[Real]) -> None:
    """NGX … NGZF of vasprun.xml, all of them."""
    for each in real:
        assert each.inputs.crystal
        lengths = np.linalg.norm(each.inputs.crystal.lattice, axis=1)
        grids = fft_grids(lengths, float(each.parameters["ENMAX"]), each.parameters["PREC"])
        axes = ("NGX", "NGY", "NGZ")
        chosen = tuple(int(each.parameters[a]) for a in axes), tuple(int(each.parameters[f"{a}F"]) for a in axes)
        assert grids == chosen, each.name


def test_electrons_are_those_that_vasp_counted(real: list[Real]) -> None:
    neutral = [each for each in real if each.name != "vise_MnO_spin"]  # one electron fewer than its datasets have
    for each in neutral:
        assert each.inputs.electrons == pytest.approx(float(each.parameters["NELECT"])), each.name


def test_default_bands_are_close_to_those_that_vasp_took(real: list[Real]) -> None:
    """VASP rounds up to its number of processes, which inputs do not tell."""
    unstated = [each for each in real if "NBANDS" not in each.inputs.tags]
    ratios = [int(each.parameters["NBANDS"]) / bands_of(each.inputs) for each in unstated if each.inputs.atoms >= 8]
    assert len(ratios) >= 10
    assert min(ratios) > 0.99
    assert np.median(ratios) < 1.03


def test_every_tag_that_vasp_lists_is_known(shared: Path) -> None:
    from kalloy.workflows.inputs.checks.vasp_tags import is_known

    unknown = set()
    for path in sorted((shared / "vasp").glob("*/vasprun.xml.gz")):
        with gzip.open(path, "rt", errors="replace") as file:
            head = file.read(1_000_000)
        for part in re.findall(r"<(?:incar|parameters)>.*?</(?:incar|parameters)>", head, re.DOTALL):
            unknown |= {n for n in re.findall(r'<[iv] [^>]*name="([A-Z][A-Z0-9_]+)"', part) if not is_known(n)}
    assert unknown == set()
