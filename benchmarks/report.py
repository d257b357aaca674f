"""What the page costs: `kalloy report` of 70 and of 5,000 configurations, beside a plain write of the same bytes.

``python benchmarks/report.py [NUMBER …]`` takes other numbers; OMP_NUM_THREADS=1 for one core. The results are made up
and written into an index as collecting would. Every folder that a result names is that of one static calculation of
the stand-in engine, so that what the page reads from files is really read, as often as of a real campaign.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from kalloy.workflows.attempt import Outcome
from kalloy.workflows.campaign import HOST, Campaign
from kalloy.workflows.index import Index, store
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Kind, Member
from kalloy.workflows.report.page import write_report
from kalloy.workflows.results import CampaignResult

STANDIN = Path(__file__).resolve().parent.parent / "tests" / "standin_engine.py"
SPEC = """
[host]
structure = "Cs4PbBr6"
[[substitution]]
replace = "Cs"
with = "K"
count = [3]
[calculation]
preset = "laptop"
engine = "gpaw"
[[step]]
stages = ["relax", "static"]
[site.local]
commands = {{ gpaw = "{command}" }}
"""


def campaign_of(number: int, folder: Path) -> Campaign:
    """A campaign of so many configurations: the seventy again and again, under labels of their own."""
    (folder / "kalloy.toml").write_text(SPEC.format(command=f"{sys.executable} {STANDIN}"))
    campaign = Campaign(folder)
    seventy = campaign.configurations
    width = len(str(number))
    members: dict[str, Member] = {HOST: campaign.member(HOST)}
    for i in range(number):
        label = f"K03/c{i + 1:0{width}d}"
        members[label] = replace(seventy[i % len(seventy)], label=label, kind=Kind.CONFIGURATION)
    # In the place of what enumeration would list, whose own speed is measured elsewhere.
    campaign.__dict__["_listed"] = members
    return campaign


def computed(campaign: Campaign) -> str:
    """A folder with a static calculation of 66 atoms."""
    folder = campaign.root / "one"
    folder.mkdir()
    host = campaign.host.crystal
    lines = ["host", "1.0", *(" ".join(map(str, row)) for row in host.lattice.tolist())]
    lines += [" ".join(host.composition), " ".join(str(n) for n in host.composition.values()), "Direct"]
    by_element = [i for e in host.composition for i, s in enumerate(host.species) if s == e]
    lines += [" ".join(map(str, host.positions[i].tolist())) for i in by_element]
    (folder / "POSCAR").write_text("\n".join(lines) + "\n")
    (folder / "INCAR").write_text("ENCUT = 400\nNSW = 0\nIBRION = -1\nISMEAR = 0\nSIGMA = 0.05\nEDIFF = 1E-6\n")
    (folder / "KPOINTS").write_text("k\n0\nGamma\n2 2 2\n0 0 0\n")
    subprocess.run([sys.executable, str(STANDIN)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder.name


def fill(campaign: Campaign, folder: str) -> None:
    """Energies over 200 meV a formula unit, gaps and cells that scatter."""
    random = np.random.default_rng(1)
    cell = campaign.host.crystal.lattice
    settings = {"program": "standin", "version": "1", "ENCUT (eV)": 400.0, "k-mesh": "Gamma 2x2x2", "NELECT": 552.0}
    with Index(campaign).open() as connection:
        for label in campaign.members:
            energy, gap = -230 + 1.2 * random.random(), 3.9 + random.normal(0, 0.05)
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
                "warnings": [],
            }
            for stage in (Stage.RELAX, Stage.STATIC):
                of = (label, stage, "a01", folder, Outcome.DONE, None)
                result = CampaignResult(*of, parsed, lattice.tolist(), "P1", 0.01, 0.1, settings)
                store(connection, result, "made up")


def measured(number: int, folder: Path) -> str:
    """One line: a page of so many configurations."""
    campaign = campaign_of(number, folder)
    fill(campaign, computed(campaign))
    start = time.process_time()
    page = write_report(campaign)
    seconds = time.process_time() - start
    content = [path.read_bytes() for path in page.parent.rglob("*") if path.is_file()]
    bare = written_plainly(folder / "plain", content)
    size, whole = page.stat().st_size / 1e6, sum(map(len, content)) / 1e6
    return (
        f"{number:6,} configurations: {seconds:6.1f} s CPU, {1000 * seconds / number:.1f} ms each; page {size:.1f} MB, "
        f"all files {whole:.1f} MB; {seconds / bare:,.0f} times a plain write of the same bytes"
    )


def written_plainly(folder: Path, content: list[bytes]) -> float:
    """CPU seconds, synced."""
    folder.mkdir()
    start = time.process_time()
    for i, data in enumerate(content):
        with (folder / str(i)).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    return time.process_time() - start


def main() -> None:
    for number in [int(n) for n in sys.argv[1:]] or [70, 5000]:
        with tempfile.TemporaryDirectory() as folder:
            print(measured(number, Path(folder)))


if __name__ == "__main__":
    main()
