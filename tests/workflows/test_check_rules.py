"""Every rule of the check speaks when its fault is injected, and no rule speaks of what an expert wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.io.vasp.inputs import Kpoints

from kalloy.structures.host import load_host
from kalloy.workflows.inputs.checks.finding import Finding, Severity, grouped
from kalloy.workflows.inputs.checks.inputs import Inputs
from kalloy.workflows.inputs.checks.names import check_names
from kalloy.workflows.inputs.checks.rules import RULES, apply_rules
from kalloy.workflows.inputs.checks.vasp_tags import is_known, read_tags
from kalloy.workflows.inputs.preset import load_preset
from kalloy.workflows.inputs.stage import Stage, Takes

HOST = load_host("Cs4PbBr6").crystal
LINES = Kpoints(num_kpts=20, style=Kpoints.supported_modes.Line_mode, kpts=[[0, 0, 0], [0.5, 0, 0]], labels=["G", "M"])
GIVES = {Stage.STATIC: frozenset({Takes.CHARGE_DENSITY, Takes.STRUCTURE})}


def good(stage: Stage, **changes: Any) -> Inputs:
    """The preset's inputs of the home case with Pb_d, as an expert would sign them, with these tags changed."""
    tags = {**load_preset("paper-gamma").tags[stage], "ISPIN": 1}
    for tag, value in changes.items():
        if value is None:
            tags.pop(tag, None)
        else:
            tags[tag] = value
    takes = frozenset(t for ts in stage.parents.values() for t in ts)
    return Inputs(
        tags=read_tags(tags),
        composition=HOST.composition,
        stage=stage,
        kpoints=LINES if stage.is_on_a_path else Kpoints.gamma_automatic((4, 4, 3)),
        crystal=HOST,
        takes=takes,
        gives=GIVES.get(stage, frozenset()),
        datasets=("Cs_sv", "Pb_d", "Br"),
        valences={"Cs": 9.0, "Pb": 14.0, "Br": 7.0},
        enmax=300.0,
    )


def optics(**changes: Any) -> Inputs:
    """A calculation of an optical spectrum, by its tags."""
    return good(Stage.STATIC, **{"LOPTICS": True, "NBANDS": 828, "NEDOS": 3000, "LORBIT": 11, **changes})


def metal(inputs: Inputs) -> Inputs:
    return replace(inputs, composition={"Cs": 24, "Pb": 6}, crystal=None)


def light(inputs: Inputs) -> Inputs:
    """Four atoms."""
    return replace(inputs, composition={"Cs": 1, "Br": 3}, datasets=("Cs_sv", "Br"))


FAULTS: list[tuple[str, Inputs]] = [
    ("moves-when-static", good(Stage.STATIC, NSW=10, IBRION=2)),
    ("moves-when-static", good(Stage.DOS, NSW=1, IBRION=1)),
    ("still-when-relaxing", good(Stage.RELAX, NSW=0)),
    ("still-when-relaxing", good(Stage.RELAX, IBRION=-1)),
    ("dynamics", good(Stage.RELAX, IBRION=0)),
    ("dynamics", good(Stage.RELAX, IBRION=None)),
    ("ediffg-energy", good(Stage.RELAX, EDIFFG=1e-3)),
    ("ediffg-energy", good(Stage.RELAX, EDIFFG=None)),
    ("ediffg-never", good(Stage.RELAX, EDIFFG=0.0)),
    ("encut-below-enmax", good(Stage.STATIC, ENCUT=250)),
    ("encut-for-cell", good(Stage.RELAX, ENCUT=350)),
    ("encut-not-given", good(Stage.STATIC, ENCUT=None)),
    ("ediff-zero", good(Stage.STATIC, EDIFF=0.0)),
    ("ediff-negative", good(Stage.STATIC, EDIFF=-1e-6)),
    ("ediff-for-forces", good(Stage.RELAX, EDIFF=1e-2)),
    ("density-without-parent", good(Stage.RELAX, ICHARG=11)),
    ("density-without-parent", good(Stage.STATIC, ICHARG=1)),
    ("density-not-written", good(Stage.STATIC, LCHARG=False)),
    ("density-not-read", good(Stage.DOS, ICHARG=2)),
    ("density-not-read", good(Stage.DOS, ICHARG=None)),
    ("lmaxmix", good(Stage.DOS, LMAXMIX=None)),
    ("lmaxmix", good(Stage.STATIC, LMAXMIX=2)),
    ("lmaxmix", replace(good(Stage.DOS), composition={"Eu": 1}, datasets=("Eu",))),
    ("nbands-too-few", good(Stage.STATIC, NBANDS=275)),
    ("nbands-no-empty", good(Stage.STATIC, NBANDS=276)),
    ("smearing-of-metals", good(Stage.STATIC, ISMEAR=1)),
    ("smearing-of-metals", good(Stage.STATIC, ISMEAR=None)),
    ("tetrahedra-in-relaxation", metal(good(Stage.RELAX, ISMEAR=-5))),
    ("sigma-wide", good(Stage.STATIC, SIGMA=0.2)),
    ("sigma-wide", good(Stage.STATIC, SIGMA=None)),
    ("sigma-not-positive", good(Stage.STATIC, SIGMA=0.0)),
    ("hybrid-fixed-density", good(Stage.DOS, LHFCALC=True)),
    ("hybrid-algorithm", good(Stage.STATIC, LHFCALC=True, ALGO="Fast")),
    ("prec-old", good(Stage.STATIC, PREC="High")),
    ("lreal-small-cell", light(good(Stage.STATIC, LREAL="Auto"))),
    ("npar-and-ncore", good(Stage.STATIC, NPAR=2, NCORE=4)),
    ("tetrahedra-too-few", replace(good(Stage.DOS, ISMEAR=-5), kpoints=Kpoints.gamma_automatic((1, 1, 3)))),
    ("tetrahedra-on-a-path", good(Stage.BANDS, ISMEAR=-5)),
    ("path-self-consistent", good(Stage.BANDS, ICHARG=None)),
    ("kspacing-idle", good(Stage.STATIC, KSPACING=0.2)),
    ("kpar-idle", good(Stage.STATIC, KPAR=64)),
    ("kpar-not-positive", good(Stage.STATIC, KPAR=0)),
    ("magmom-length", good(Stage.STATIC, ISPIN=2, MAGMOM="65*0")),
    ("magmom-length", good(Stage.STATIC, LSORBIT=True, MAGMOM="66*0")),
    ("spin-without-moments", good(Stage.STATIC, ISPIN=2)),
    ("moments-without-spin", good(Stage.STATIC, MAGMOM="66*0.5")),
    ("spinors-without-moments", good(Stage.STATIC, LSORBIT=True)),
    ("species-length", good(Stage.STATIC, LDAU=True, LDAUU="1.0 2.0")),
    ("optics-without-nbands", optics(NBANDS=None)),
    ("optics-few-bands", optics(NBANDS=300)),
    ("nedos-coarse", optics(NEDOS=301)),
    ("nedos-coarse", good(Stage.DOS, NEDOS=200)),
    ("character-not-written", good(Stage.BANDS, LORBIT=None)),
    ("energy-window-empty", good(Stage.DOS, EMIN=5.0, EMAX=-5.0)),
]


@pytest.mark.parametrize(("code", "inputs"), FAULTS, ids=[f"{n}-{code}" for n, (code, _) in enumerate(FAULTS)])
def test_each_fault_is_found_and_named(code: str, inputs: Inputs) -> None:
    found = [f for f in apply_rules(inputs) if f.code == code]
    assert len(found) == 1
    assert found[0].severity is RULES[code].severity
    assert found[0].tag
    assert found[0].stage == (inputs.stage.value if inputs.stage else None)


def test_every_rule_has_a_fault() -> None:
    assert {code for code, _ in FAULTS} == set(RULES)


@pytest.mark.parametrize("stage", [Stage.RELAX, Stage.STATIC, Stage.DOS, Stage.BANDS])
def test_nothing_is_said_of_what_an_expert_wrote(stage: Stage) -> None:
    inputs = good(stage)
    assert (
        [f.line for f in [*check_names(inputs), *apply_rules(inputs)]]
        == [
            # 1.3 x 300 eV is within the 400 eV of the preset
        ]
    )
    assert [*check_names(optics()), *apply_rules(optics())] == []


def test_moments_of_the_right_length_pass() -> None:
    collinear = good(Stage.STATIC, ISPIN=2, MAGMOM="24*0 6*1 36*0")
    spinors = good(Stage.STATIC, LSORBIT=True, MAGMOM="198*0")
    for inputs in (collinear, spinors):
        assert not [f for f in apply_rules(inputs) if f.severity is Severity.ERROR]


def test_spinors_fill_a_band_each() -> None:
    assert good(Stage.STATIC).filled == 276
    assert good(Stage.STATIC, LSORBIT=True).filled == 552
    assert [f.code for f in apply_rules(good(Stage.STATIC, LSORBIT=True, MAGMOM="198*0", NBANDS=500))] == [
        "nbands-too-few"
    ]


@pytest.mark.parametrize(
    ("tag", "value", "code", "words"),
    [
        ("EDIF", 1e-6, "unknown-tag", "did you mean 'EDIFF'?"),
        ("ISMEER", 0, "unknown-tag", "did you mean 'ISMEAR'?"),
        ("LOPTIC", True, "unknown-tag", "did you mean 'LOPTICS'?"),
        ("XYZZY", 1, "unknown-tag", "allow_tags"),
        ("ALGO", "Norml", "wrong-value", "none of its values"),
        ("PREC", "Accurat3", "wrong-value", "none of its values"),
        ("IBRION", 99, "wrong-value", "none of its values"),
        ("ISIF", 12, "wrong-value", "none of its values"),
        ("LWAVE", 3, "wrong-value", "no truth value"),
        ("NSW", "many", "wrong-value", "no integer"),
        ("ENCUT", "high", "wrong-value", "no number"),
    ],
)
def test_names_and_values(tag: str, value: Any, code: str, words: str) -> None:
    (found,) = [f for f in check_names(good(Stage.STATIC, **{tag: value})) if f.tag == tag]
    assert (found.severity, found.code) == (Severity.ERROR, code)
    assert words in found.line


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("PREC", "A"),
        ("PREC", "Acc"),
        ("ALGO", "N"),
        ("ALGO", "VeryFast"),
        ("METAGGA", "R2SCAN"),
        ("GGA", "PS"),
        ("EFERMI", "MIDGAP"),
        ("LREAL", "Auto"),
        ("ICHARG", 5),
        ("ML_LMLFF", True),
        ("PHON_NEDOS", 500),
        ("LKPOINTS_OPT", True),
        ("ENMAX", 400.0),
        ("MAGMOM", "66*0"),
        ("EDIFF", 1),
    ],
)
def test_what_vasp_knows_passes(tag: str, value: Any) -> None:
    assert [f.line for f in check_names(good(Stage.STATIC, **{tag: value})) if f.tag == tag] == []


def test_an_allowed_tag_is_not_unknown_to_vasp_but_refused_by_the_free_engine() -> None:
    inputs = good(Stage.STATIC, ICHAIN=0)
    assert [f.code for f in check_names(inputs)] == ["unknown-tag"]
    assert [*check_names(inputs, ["ICHAIN"])] == []
    refused = [f for f in check_names(replace(inputs, engine="gpaw"), ["ICHAIN"]) if f.severity is Severity.ERROR]
    assert [(f.code, f.tag) for f in refused] == [("engine-refuses", "ICHAIN")]


@pytest.mark.parametrize(
    ("tag", "value"), [("IVDW", 12), ("ISMEAR", -14), ("LHFCALC", True), ("ICHARG", 4), ("METAGGA", "Scan")]
)
def test_the_free_engines_refusals_are_errors_with_their_words(tag: str, value: Any) -> None:
    inputs = replace(good(Stage.STATIC, **{tag: value}), engine="gpaw")
    errors = [f for f in check_names(inputs) if f.severity is Severity.ERROR]
    assert [f.tag for f in errors] == [tag]
    assert errors[0].code == "engine-refuses"


def test_the_free_engine_says_all_that_it_refuses_at_once() -> None:
    inputs = replace(good(Stage.STATIC, IVDW=12, LHFCALC=True), engine="gpaw")
    assert {f.tag for f in check_names(inputs) if f.severity is Severity.ERROR} == {"IVDW", "LHFCALC"}


@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=8))
def test_no_unknown_tag_passes(tag: str) -> None:
    found = [f for f in check_names(good(Stage.STATIC, **{tag: 1})) if f.code == "unknown-tag"]
    assert [f.tag for f in found] == ([] if is_known(tag) else [tag])


def test_one_finding_of_many_members_is_one() -> None:
    one = Finding(Severity.WARNING, "x", "m", stage="relax")
    other = Finding(Severity.ERROR, "y", "n")
    found = grouped([replace(one, members=("a",)), other, replace(one, members=("b",)), replace(one, members=("a",))])
    assert [(f.code, f.members) for f in found] == [("y", ()), ("x", ("a", "b"))]
    assert found[1].line == "warning: 2 members relax: m [x]"
