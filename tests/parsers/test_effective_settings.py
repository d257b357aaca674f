"""What decides whether two energies may be compared: U by element and shifted meshes too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kalloy.errors import AgreementError
from kalloy.parsers.convergence import ground_state_steps
from kalloy.parsers.model import IonicStep
from kalloy.parsers.result import read_result
from kalloy.workflows.results import CampaignResult, effective_settings
from kalloy.workflows.screening.agreement import disagreements, mesh_spacing, parse_allowed, require_agreement

STATIC = Path(__file__).parent / "data" / "KBr" / "static"


@pytest.fixture(scope="module")
def run() -> Any:
    return read_result(STATIC).vasprun


def _settings(run: Any, shift: tuple[float, ...] = (), **parameters: Any) -> dict[str, Any]:
    changed = replace(run, parameters={**run.parameters, **parameters}, kpoints=replace(run.kpoints, user_shift=shift))
    return effective_settings(SimpleNamespace(vasprun=changed))


def _result(template: Any, member: str, settings: dict[str, Any]) -> CampaignResult:
    return CampaignResult.from_json({**template, "member": member, "settings": settings})


TEMPLATE = {
    "stage": "static",
    "attempt": "a01",
    "folder": "f",
    "outcome": "done",
    "cause": None,
    "parsed": None,
    "lattice_A": None,
    "space_group": None,
    "largest_force_eV_A": None,
    "largest_stress_kB": None,
}
U: dict[str, Any] = {"LDAU": True, "LDAUTYPE": (2,), "LDAUL": (2, -1), "LDAUU": (5.0, 0.0), "LDAUJ": (0.0, 0.0)}


def test_another_u_is_not_compared(run: Any) -> None:
    one, other = _settings(run, **U), _settings(run, **{**U, "LDAUU": (3.0, 0.0)})
    results = [_result(TEMPLATE, "a", one), _result(TEMPLATE, "b", other)]
    said = "LDAUTYPE 2, l = 2, U = {} J = 0 eV"
    assert disagreements(results) == {"Hubbard U of K": {said.format("5,"): ["a"], said.format("3,"): ["b"]}}
    with pytest.raises(AgreementError, match="--allow Hubbard U"):
        require_agreement(results)
    assert parse_allowed(["hubbard u"]) == {"Hubbard U"}


def test_an_element_that_one_of_them_lacks_does_not_disagree(run: Any) -> None:
    """As with datasets: an alloy's substituted element may carry a U that the host has no atom for."""
    more = _settings(run, **{**U, "LDAUL": (2, 1), "LDAUU": (5.0, 4.0)})
    less = _settings(run, **U)
    assert disagreements([_result(TEMPLATE, "a", more), _result(TEMPLATE, "b", less)]) == {}
    assert _settings(run)["Hubbard U"] == {}
    # U = J = 0 is no U, and VASP may say so with l = 0 as well as with l = -1.
    assert _settings(run, **{**U, "LDAUL": (2, 0)})["Hubbard U"] == _settings(run, **U)["Hubbard U"]


def test_a_list_by_species_is_taken_whole(run: Any) -> None:
    """Among its parameters VASP writes the first species' U alone."""
    changed = replace(run, incar={**run.incar, **U, "LDAUU": (5.0, 4.0), "LDAUL": (2, 1)})
    changed = replace(changed, parameters={**run.parameters, "LDAU": True, "LDAUL": (2,), "LDAUU": (5.0,)})
    found = effective_settings(SimpleNamespace(vasprun=changed))["Hubbard U"]
    assert found == {"K": "LDAUTYPE 2, l = 2, U = 5, J = 0 eV", "Br": "LDAUTYPE 2, l = 1, U = 4, J = 0 eV"}


def test_a_shifted_mesh_is_another_mesh(run: Any) -> None:
    plain, moved = _settings(run, (0.0, 0.0, 0.0)), _settings(run, (0.5, 0.5, 0.5))
    assert plain["k-mesh"] == _settings(run)["k-mesh"] == "Gamma 2x2x2"
    assert moved["k-mesh"] == "Gamma 2x2x2 shifted by 0.5 0.5 0.5"
    lattice = read_result(STATIC).crystal.lattice  # type: ignore[union-attr]
    assert mesh_spacing(moved, lattice) == mesh_spacing(plain, lattice) is not None


@pytest.mark.parametrize("asked", [{"LEPSILON": True}, {"IBRION": 7}, {"IBRION": 8}])
def test_linear_response_is_no_self_consistency(run: Any, asked: dict[str, Any]) -> None:
    """Its iterations follow the ground state's in the same ionic step."""
    step = IonicStep(electronic_steps=92, detailed=(0, 11, 91))
    assert ground_state_steps(replace(run, parameters={**run.parameters, **asked}), step) == 12
    assert ground_state_steps(run, step) == 92
