"""Whether a calculation was made as the campaign asks: its effective settings beside the preset's and its fellows'."""

from __future__ import annotations

from typing import Any

import numpy as np

from kalloy.workflows.adoption.finding import Owner
from kalloy.workflows.adoption.reading import Found
from kalloy.workflows.attempt import Outcome, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.checks.vasp_tags import read_tags
from kalloy.workflows.inputs.composer import Composer, potcar_choice
from kalloy.workflows.inputs.equivalence import mesh_name
from kalloy.workflows.inputs.member_mesh import member_mesh
from kalloy.workflows.inputs.mesh import Mesh
from kalloy.workflows.inputs.preset import LineSettings
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import COMPARED, SETTING_NAMES, effective_settings, hubbard, parse_attempt
from kalloy.workflows.screening.agreement import OF_EACH_ELEMENT
from kalloy.workflows.steps import selected

Differences = dict[str, tuple[str, str]]
"""Setting → what the campaign asks for, what the folder has; in words."""

_TAG = {"ENMAX": "ENCUT"}
"""INCAR's name of a parameter, where it is another."""
_UNSTATED = {"LHFCALC": False, "LDAU": False, "LSORBIT": False, "ISPIN": 1, "IVDW": 0, "METAGGA": "--"}
"""VASP's defaults of what makes another functional, where a preset has no need to state them."""
RESTARTS = "restarts"
"""What `--allow` calls a relaxation that ended in the basis of a cell far from its own."""
_OF_THE_MEMBER = ("NELECT", "atoms", "k-mesh", *OF_EACH_ELEMENT)


def in_asked_mesh(campaign: Campaign, owner: Owner, stage: Stage, found: Found) -> Owner:
    """Of the ways that the member's own symmetry makes equal, one in which the mesh is the one asked for."""
    settings = campaign.preset.kpoints[stage]
    if isinstance(settings, LineSettings):
        return owner
    asked, _ = member_mesh(campaign, owner.member, stage, settings)
    kpoints = found.result.vasprun.kpoints
    return next((owner.preferring(fit) for fit in owner.fits if mesh_in_basis(kpoints, fit.basis) == asked), owner)


def differences(campaign: Campaign, owner: Owner, stage: Stage, found: Found) -> Differences:
    """What decides an energy and is not as asked.

    Settings that the preset leaves to the engine's defaults are held against a finished calculation of the same stage,
    where the campaign has one.
    """
    settings = effective_settings(found.result)
    differing = _engine(campaign, settings) | _tags(campaign, owner.member, stage, settings)
    differing |= _datasets(campaign, owner.member, settings) | _hubbard(campaign, owner.member, stage, settings)
    differing |= _kpoints(campaign, owner, stage, found) | _restarts(campaign, stage, found)
    fellow = _fellow(campaign, stage)
    for name, value in (fellow or {}).items():
        if name not in _OF_THE_MEMBER and not _same(value, settings.get(name)):
            differing.setdefault(name, (_text(value), _text(settings.get(name))))
    return differing


def _engine(campaign: Campaign, settings: dict[str, Any]) -> Differences:
    asked, program = campaign.spec.calculation.engine, settings["program"]
    return {} if program == asked else {"program": (asked, _text(program))}


def _tags(campaign: Campaign, member: Member, stage: Stage, settings: dict[str, Any]) -> Differences:
    """Of what the file says; what it does not say is held against a fellow's file, which may say as little."""
    asked = _UNSTATED | Composer(campaign).tags(member, stage).tags
    differing: Differences = {}
    for parameter in COMPARED:
        tag, name = _TAG.get(parameter, parameter), SETTING_NAMES.get(parameter, parameter)
        has = settings.get(name)
        if tag in asked and has is not None and not _same(asked[tag], has):
            differing[name] = _text(asked[tag]), _text(has)
    return differing


def _datasets(campaign: Campaign, member: Member, settings: dict[str, Any]) -> Differences:
    """Of VASP: by the name in the title, ``PAW_PBE Cs_sv 08Apr2002``."""
    if campaign.spec.calculation.engine != "vasp" or settings["program"] != "vasp":
        return {}
    choice = potcar_choice(campaign, member)
    titles = settings["datasets"]
    pairs = zip(choice.elements, choice.symbols, strict=True)
    return {
        f"dataset of {element}": (symbol, titles.get(element, "none"))
        for element, symbol in pairs
        if symbol not in titles.get(element, "").split()
    }


def _hubbard(campaign: Campaign, member: Member, stage: Stage, settings: dict[str, Any]) -> Differences:
    """DFT+U of each element, of VASP, where both have it; whether they do is a setting of its own."""
    tags = read_tags(Composer(campaign).tags(member, stage).tags)
    elements = tuple(member.crystal.composition)
    asked = hubbard(tags, elements)
    has = settings["Hubbard U"]
    if settings["program"] != "vasp" or not (asked and has):
        return {}
    return {
        f"Hubbard U of {e}": (asked.get(e, "none"), has.get(e, "none"))
        for e in elements
        if asked.get(e, "none") != has.get(e, "none")
    }


def _restarts(campaign: Campaign, stage: Stage, found: Found) -> Differences:
    """The basis belongs to the cell that a run starts from: the preset says after how few steps it does not matter."""
    wanted, steps = campaign.preset.relax_restarts, len(found.result.vasprun.steps)
    if not stage.is_relaxation or wanted is None or steps <= wanted.until_steps:
        return {}
    return {RESTARTS: (f"a last run of at most {wanted.until_steps} ionic steps", f"one of {steps}")}


# -- k-points --------------------------------------------------------------------------


def _kpoints(campaign: Campaign, owner: Owner, stage: Stage, found: Found) -> Differences:
    settings = campaign.preset.kpoints[stage]
    kpoints = found.result.vasprun.kpoints
    if isinstance(settings, LineSettings):
        return _path(campaign, owner, stage, settings, found)
    asked, _ = member_mesh(campaign, owner.member, stage, settings)
    has = mesh_in_basis(kpoints, owner.fit.basis)
    if has == asked:
        return {}
    words = mesh_name(has) if has else f"{len(kpoints.weights) if kpoints else 0} points one by one"
    return {"k-mesh": (mesh_name(asked), words)}


def mesh_in_basis(kpoints: Any, basis: Any) -> Mesh | None:
    """A calculation's mesh in the basis of the member's sites; None where it names its points one by one.

    Parameters
    ----------
    basis : shape (3, 3), M: lattice vectors L' = M L, so that the reciprocal ones are B' = M⁻ᵀ B.
    """
    if kpoints is None or len(kpoints.divisions) != 3 or kpoints.generation not in ("Gamma", "Monkhorst-Pack"):
        return None
    mesh = Mesh.uniform(tuple(kpoints.divisions), kpoints.generation)
    matrix = np.rint(np.linalg.inv(basis).T @ np.array(mesh.matrix)).astype(np.int64)
    if np.linalg.det(matrix) < 0:
        matrix = -matrix  # a mesh holds the negative of every point of its
    return Mesh.of(matrix, np.array(mesh.halves))


def _path(campaign: Campaign, owner: Owner, stage: Stage, settings: LineSettings, found: Found) -> Differences:
    """Bands are compared along one path for the whole set, and that belongs to a basis."""
    step = next(i for i, table in enumerate(campaign.spec.step, 1) if stage in table.stages)
    selection = selected(campaign, step)
    if selection is None or selection.path is None:
        return {"k-mesh": ("the path that step chooses for the whole set", "a path before that choice")}
    asked = np.array([point for _, point in selection.path.walk(settings.line_points)])
    points = found.result.vasprun.kpoints
    on_path = points.coordinates[-len(asked) :] if points is not None else np.zeros((0, 3))
    if owner.fit.keeps_basis and on_path.shape == asked.shape and np.abs(on_path - asked).max() < 1e-4:
        return {}
    return {"k-mesh": (f"the path of {selection.path.member}, {len(asked)} points", f"{len(on_path)} other points")}


# -- fellows and words -----------------------------------------------------------------


def _fellow(campaign: Campaign, stage: Stage) -> dict[str, Any] | None:
    """The effective settings of some finished calculation of the stage."""
    for member in campaign.members.values():
        for attempt in attempts(campaign.calculation(member.label, stage)):
            if (end := attempt.end) and end["outcome"] == Outcome.DONE:
                return parse_attempt(attempt, campaign.root).settings
    return None


def _same(asked: Any, has: Any) -> bool:
    """Whether two values mean the same: VASP writes ``accura`` for ``Accurate``, and 1 where 1.0 was asked."""
    if isinstance(asked, bool) or isinstance(has, bool):
        return asked is has
    if isinstance(asked, int | float) and isinstance(has, int | float):
        return bool(np.isclose(asked, has, rtol=1e-6, atol=0))
    if isinstance(asked, str) and isinstance(has, str):
        one, other = (_NOTHING.get(word, word) for word in (asked.strip().casefold(), has.strip().casefold()))
        return one == other or (min(len(one), len(other)) >= 4 and (one.startswith(other) or other.startswith(one)))
    return bool(asked == has)


_NOTHING = {"--": "none", "": "none"}


def _text(value: Any) -> str:
    if value is None:
        return "not said"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
