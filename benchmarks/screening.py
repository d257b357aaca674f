"""What ranking and averaging cost: 100,000 results in an index, of one content; CPU seconds of one core, and ratios.

``python benchmarks/screening.py [NUMBER]`` takes another number. The results are made up and written into an index as
collecting would; what is measured starts there.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.index import Index, store
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.results import CampaignResult
from kalloy.workflows.screening.alloy import Alloy
from kalloy.workflows.screening.averages import averages
from kalloy.workflows.screening.ranking import rank
from kalloy.workflows.screening.thermodynamics import BOLTZMANN

T = TypeVar("T")

SPEC = """
[host]
structure = "Cs4PbBr6"
[[substitution]]
replace = "Cs"
with = "K"
count = [12]
[calculation]
preset = "paper-gamma"
[[step]]
stages = ["relax", "static"]
"""
TEMPERATURES = [300.0, 450.0, 600.0]


def campaign_of(number: int, folder: Path) -> Campaign:
    """A campaign with so many members, each on the same structure: nothing below may look at it for all of them."""
    (folder / "kalloy.toml").write_text(SPEC)
    campaign = Campaign(folder)
    content = campaign.space.contents[0]
    first = next(campaign.space.configurations(content))
    crystal = first.crystal()
    one = Member("", crystal, 36, "", lambda: "P1", first, Kind.CONFIGURATION)
    host = replace(one, label=HOST, kind=Kind.HOST, configuration=None, crystal=campaign.host.crystal)
    labels = [f"{content.label}/c{i:06d}" for i in range(1, number + 1)]
    # In the place of what enumeration would list, whose own speed is measured elsewhere.
    campaign.__dict__["_listed"] = {HOST: host, **{label: replace(one, label=label) for label in labels}}
    return campaign


def fill(campaign: Campaign) -> None:
    random = np.random.default_rng(1)
    cell = campaign.host.crystal.lattice
    settings = {"program": "vasp", "version": "6.4", "ENCUT (eV)": 400.0, "k-mesh": "Gamma 4x4x3", "NELECT": 552.0}
    with Index(campaign).open() as connection:
        for label in campaign.members:
            energy, gap = -230 + random.normal(0, 0.3), 3.9 + random.normal(0, 0.05)
            lattice = cell * (1 + random.normal(0, 0.002, 3))[:, None]
            parsed = {
                "energy_eV": energy,
                "volume_A3": float(np.linalg.det(lattice)),
                "gap_eV": gap,
                "direct_gap_eV": gap,
                "metal": False,
                "vbm_eV": 1.0,
                "cbm_eV": 1.0 + gap,
                "vbm_k": [[0.0, 0.0, 0.0]],
                "cbm_k": [[0.0, 0.0, 0.0]],
                "gap_source": "mesh",
                "complete": True,
                "electronic_converged": True,
                "ionic_converged": True,
            }
            for stage in (Stage.RELAX, Stage.STATIC):
                of = (label, stage, "a01", f"{label}/{stage}/a01", Outcome.DONE, None)
                result = CampaignResult(*of, parsed, lattice.tolist(), "P1", 0.01, 0.1, settings)
                store(connection, result, "made up")


def measured(what: str, work: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    found = work()
    seconds = time.process_time() - start
    print(f"{what:58s} {seconds:8.2f} s CPU")
    return found, seconds


def plainly(energies: list[float], weights: list[int], kelvin: float) -> float:
    """The average energy as one would write it first: a loop in plain Python."""
    from math import exp

    lowest = min(energies)
    boltzmann = [g * exp(-(e - lowest) / (BOLTZMANN * kelvin)) for e, g in zip(energies, weights, strict=True)]
    return sum(b * e for b, e in zip(boltzmann, energies, strict=True)) / sum(boltzmann)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        campaign = campaign_of(number, Path(folder))
        fill(campaign)
        print(f"{number:,} configurations, two stages each")
        results, opening = measured("open the index", Index(campaign).results)
        ranking, ranked = measured("agreement of all settings, and the ranking", lambda: rank(campaign, results))
        _, rows = measured("the thirty rows of a terminal's table", lambda: ranking.top(30))
        alloy = Alloy(campaign, ranking, results)
        names = ["gap", "volume", "a", "c"]
        found, averaged = measured(
            "averages of four quantities and occupancies, three T", lambda: list(averages(alloy, TEMPERATURES, names))
        )
        print(f"{'in all':58s} {opening + ranked + rows + averaged:8.2f} s CPU")
        order = ranking.orders[0]
        energies, weights = order.energies.tolist(), [round(g) for g in order.degeneracies]
        by_hand, plain = measured("(⟨E⟩ at one T in plain Python)", lambda: plainly(energies, weights, 300.0))
        _, quick = measured("(the same by the ensemble)", lambda: alloy.ensembles[order.content].energy(300.0))
        assert abs(alloy.ensembles[order.content].energy(300.0) - by_hand) < 1e-8
        print(f"the ensemble is {plain / max(quick, 1e-6):.0f} times as fast as the plain sum")
        assert [a.temperature for a in found] == TEMPERATURES


if __name__ == "__main__":
    main()
