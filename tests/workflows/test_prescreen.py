"""The prescreen with EMT, ASE's own potential of copper and gold, and with toy calculators that fail on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from kalloy.cli import cli
from kalloy.errors import CampaignError, EngineError, InputError, SpecError
from kalloy.structures.crystal import Crystal
from kalloy.structures.symmetry import space_group
from kalloy.workflows.attempt import attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.inputs.writing import write_attempt
from kalloy.workflows.prescreen.ranking import Prescreened, correlations, keep, ranked
from kalloy.workflows.prescreen.running import prescreen
from kalloy.workflows.prescreen.store import Record, Store, finished_store, prescreened_members, store_of
from kalloy.workflows.prescreen.table import Keep
from kalloy.workflows.screening.thermodynamics import BOLTZMANN
from kalloy.workflows.steps import select, selection_file

POSCAR = """fcc copper
3.61
1 0 0
0 1 0
0 0 1
Cu
4
direct
0.0 0.0 0.0
0.5 0.5 0.0
0.5 0.0 0.5
0.0 0.5 0.5
"""
SPEC = """
[host]
structure = "POSCAR"
cell = "2 1 1"

[[substitution]]
replace = "Cu"
with = "Au"
count = [1, 3]

[calculation]
preset = "smoke"
engine = "gpaw"
start = "{start}"

[[step]]
stages = ["static"]
on = {{ host = true, prescreened = true }}

[[step]]
stages = ["dos"]
on = {{ host = true, lowest = 1 }}

[prescreen]
{prescreen}

[site.local]
jobs = 2
commands = {{ gpaw = "{engine}" }}
"""
TIGHT = 'model = "emt"\ncalculator = "ase.calculators.emt:EMT"'
EMT = f"{TIGHT}\nfmax = 0.1\nsmax = 8.0"
"""Loose, for tests in which nobody looks at the minimum."""
TOYS = '''
import os, time
from pathlib import Path
from ase.calculators.emt import EMT

class Slow(EMT):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def calculate(self, *arguments, **more):
        time.sleep(self.seconds)
        super().calculate(*arguments, **more)

class Picky(EMT):
    """Fails for more than one gold atom until a file appears."""
    def __init__(self, file):
        super().__init__()
        self.file = file

    def calculate(self, atoms, *arguments, **more):
        if atoms.get_chemical_symbols().count("Au") > 1 and Path(self.file).read_text() == "fail":
            raise ArithmeticError("no such atoms")
        super().calculate(atoms, *arguments, **more)

def dying():
    os._exit(7)
'''


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failures: list[tuple[str, str]] = []
        self.before = 0

    def began(self, done: int, total: int, jobs: int) -> None:
        self.before = done

    def relaxed(self, record: Record) -> None:
        self.records.append(record)

    def failed(self, member: str, why: str) -> None:
        self.failures.append((member, why))


def make(folder: Path, prescreen: str = EMT, *, start: str = "given", engine: str = "none") -> Campaign:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "POSCAR").write_text(POSCAR)
    (folder / "toys.py").write_text(TOYS)
    (folder / "kalloy.toml").write_text(SPEC.format(prescreen=prescreen, start=start, engine=engine))
    return Campaign(folder)


def run(campaign: Campaign, jobs: int = 1) -> tuple[Store, Silent, bool]:
    store, watcher = store_of(campaign), Silent()
    done = prescreen(campaign, store, watcher, jobs)
    return store, watcher, done


@pytest.fixture(scope="module")
def emt(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = make(tmp_path_factory.mktemp("emt"), TIGHT)
    assert run(campaign)[2]
    return campaign


def test_relaxed_structures_are_minima(emt: Campaign) -> None:
    """Against another optimizer that moves the same crystal much further down."""
    from ase.calculators.emt import EMT as Potential
    from ase.filters import UnitCellFilter
    from ase.optimize import BFGS

    store = finished_store(emt)
    for member in prescreened_members(emt):
        record = store.record(member)
        assert record is not None
        assert record.converged
        assert record.largest_force_eV_A <= 0.01
        assert record.largest_stress_GPa <= 0.01
        atoms = store.crystal(member).to_ase()
        atoms.calc = Potential()
        assert atoms.get_potential_energy() == pytest.approx(record.energy_eV, abs=1e-9)
        assert atoms.get_volume() == pytest.approx(record.volume_A3, rel=1e-12)
        BFGS(UnitCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=300)
        assert -1e-3 < atoms.get_potential_energy() - record.energy_eV < 1e-6
        assert atoms.get_volume() == pytest.approx(record.volume_A3, rel=1e-3)


def test_gold_swells_copper(emt: Campaign) -> None:
    rows = ranked(emt, finished_store(emt))
    assert rows[0].member == "host"
    assert {r.content for r in rows} == {"host", "Au1", "Au3"}
    for content in ("Au1", "Au3"):
        own = [r for r in rows if r.content == content]
        assert [r.rank for r in own] == list(range(1, len(own) + 1))
        assert own[0].relative_meV == 0
        assert all(a.energy_eV <= b.energy_eV for a, b in pairwise(own))
        assert [r.kept for r in own] == [True] + [False] * (len(own) - 1)
    changes = {r.content: r.volume_change_percent for r in rows}
    assert changes["host"] is None
    assert 2 < changes["Au1"] < changes["Au3"]  # type: ignore[operator]


def test_processes_find_what_one_does(tmp_path: Path, emt: Campaign) -> None:
    other = make(tmp_path / "c", TIGHT)
    store, watcher, done = run(other, jobs=2)
    assert done
    assert store.folder.name == finished_store(emt).folder.name
    clock = {"cpu_seconds": 0.0, "wall_seconds": 0.0}
    both = [
        {m: vars(r) | clock for m, r in s.records(prescreened_members(emt)).items()}
        for s in (store, finished_store(emt))
    ]
    assert both[0] == both[1]
    assert {r.member for r in watcher.records} == set(both[0])


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    campaign = make(tmp_path)
    store, _, _ = run(campaign)
    files = {p: p.read_bytes() for p in store.folder.rglob("*.*") if p.name != "driver.lock"}
    again, watcher, done = run(campaign, jobs=2)
    assert done
    assert watcher.records == []
    assert watcher.before == len(prescreened_members(campaign))
    assert {p: p.read_bytes() for p in files} == files
    # Another criterion is another model: beside the first, never over it.
    tighter, watcher, _ = run(make(tmp_path, EMT.replace("8.0", "9.0")))
    assert tighter.folder != again.folder
    assert len(watcher.records) == len(prescreened_members(campaign))
    assert {p: p.read_bytes() for p in files} == files


def test_a_kill_loses_only_what_was_under_way(tmp_path: Path) -> None:
    slow = 'model = "slow"\ncalculator = "toys:Slow"\noptions = { seconds = 0.05 }\nfmax = 0.1\nsmax = 8.0'
    campaign = make(tmp_path, slow)
    store = store_of(campaign)
    words = [sys.executable, "-m", "kalloy", "prescreen", str(tmp_path), "--jobs", "2"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(store.folder.glob("*/*.json")) and process.poll() is None:
        assert time.monotonic() < deadline, "nothing was relaxed in a minute"
        time.sleep(0.02)
    children = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p: p.read_bytes() for p in store.folder.rglob("*.json")}
    while any(_lives(pid) for pid in children):
        assert time.monotonic() < deadline, "relaxations go on although nobody waits for them"
        time.sleep(0.1)
    assert run(campaign)[2]
    assert {p: p.read_bytes() for p in kept} == kept
    assert set(store.records(prescreened_members(campaign))) == set(campaign.members)


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_calculator_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    picky = 'model = "picky"\ncalculator = "toys:Picky"\noptions = { file = "./state" }\nfmax = 0.1\nsmax = 8.0'
    (tmp_path / "state").write_text("fail")
    campaign = make(tmp_path, picky)
    store, watcher, done = run(campaign)
    assert not done
    assert {m.split("/")[0] for m, _ in watcher.failures} == {"Au3"}
    assert {why for _, why in watcher.failures} == {"ArithmeticError: no such atoms"}
    with pytest.raises(CampaignError, match=r"prescreen is not done.*kalloy prescreen"):
        finished_store(campaign)
    shown = CliRunner().invoke(
        cli, ["prescreen", str(tmp_path), "--jobs", "1"], catch_exceptions=False, standalone_mode=False
    )
    assert shown.return_value == 1
    assert "no such atoms" in shown.output
    # The file is one of the options: what is in it is part of the model.
    (tmp_path / "state").write_text("work")
    fresh, _, done = run(Campaign(tmp_path))
    assert done
    assert fresh.folder != store.folder


def test_a_process_that_dies_is_no_hang(tmp_path: Path) -> None:
    campaign = make(tmp_path, 'model = "dying"\ncalculator = "toys:dying"')
    with pytest.raises(EngineError, match="died or could not load"):
        run(campaign, jobs=2)


def test_what_does_not_converge_is_not_ranked(tmp_path: Path) -> None:
    campaign = make(tmp_path, f"{EMT}\nsteps = 2")
    store, _, done = run(campaign)
    assert done
    rows = ranked(campaign, store)
    assert all(r.rank is None and not r.kept for r in rows)
    shown = CliRunner().invoke(cli, ["prescreen", str(tmp_path)])
    assert "not converged in 2 steps and not ranked: Au1/c1" in shown.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "chgnett"', "no model 'chgnett'.*did you mean 'chgnet'"),
        ('model = "x"\ncalculator = "ase.calculators.emt:EMTT"', "cannot be imported"),
        ('model = "x"\ncalculator = "nowhere.at_all:EMT"', "cannot be imported"),
        ('model = "x"\ncalculator = "toys:Slow"\noptions = { minutes = 1 }', "does not take its options"),
        ('model = "x"\ncalculator = "toys:Picky"\noptions = { file = "./nothing" }', "no file"),
    ],
)
def test_models_that_cannot_be_are_refused_before_anything_is_written(tmp_path: Path, text: str, message: str) -> None:
    campaign = make(tmp_path, text)
    with pytest.raises(InputError, match=message):
        run(campaign)
    assert not (tmp_path / "prescreen").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep = { lowest = 1, within_meV = 5 }", "is one of lowest"),
        ("keep = { lowest = 1, temperature = 300 }", "go together"),
        ('calculator = "no colon"', "calculator"),
        ("fmax = 0", "fmax"),
        ("fmaxx = 1", "unknown key 'prescreen.fmaxx'.*did you mean 'fmax'"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make(tmp_path, text)


def test_two_prescreens_of_one_folder_exclude_each_other(tmp_path: Path) -> None:
    from kalloy.errors import LockedError
    from kalloy.workflows.lock import driver_lock

    campaign = make(tmp_path)
    folder = store_of(campaign).folder
    folder.mkdir(parents=True)
    with driver_lock(folder), pytest.raises(LockedError):
        run(campaign)


# -- who goes on ---------------------------------------------------------------------


def _record(energy: float) -> Record:
    return Record("m", energy, [], 1.0, [1.0, 1.0, 1.0], "P1", 0.0, 0.0, 1, True, 0.0, 0.0)


class _Somebody:
    def __init__(self, label: str, degeneracy: int) -> None:
        self.label, self.degeneracy = label, degeneracy


orbits = st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 48)), min_size=1, max_size=7)


@settings(max_examples=60)
@given(orbits, st.floats(0.05, 1.0), st.floats(50, 2000))
def test_the_weight_rule_keeps_the_fewest_that_suffice(
    drawn: list[tuple[float, int]], weight: float, temperature: float
) -> None:
    drawn.sort()
    members: Any = [_Somebody(f"c{i}", g) for i, (_, g) in enumerate(drawn)]
    records = {m.label: _record(e) for m, (e, _) in zip(members, drawn, strict=True)}
    kept = [m.label for m in keep(Keep(weight=weight, temperature=temperature), members, records, 2)]
    boltzmann = np.array([g * np.exp(-(e - drawn[0][0]) / (BOLTZMANN * temperature)) for e, g in drawn])
    shares = dict(zip((m.label for m in members), boltzmann / boltzmann.sum(), strict=True))
    assert sum(shares[label] for label in kept) >= weight - 1e-9
    for size in range(len(kept)):
        for fewer in combinations(shares.values(), size):
            assert sum(fewer) < weight + 1e-9


def test_the_other_rules(emt: Campaign) -> None:
    store = finished_store(emt)
    records = store.records(emt.configurations)
    members = [m for m in emt.configurations if m.content == "Au3"]
    members.sort(key=lambda m: records[m.label].energy_eV)
    assert [m.label for m in keep(Keep(lowest=2), members, records, 2)] == [m.label for m in members[:2]]
    assert keep(Keep(lowest=99), members, records, 2) == members
    second = 1000 * (records[members[1].label].energy_eV - records[members[0].label].energy_eV)
    assert len(keep(Keep(within_meV=second / 2 * 1.001), members, records, 2)) >= 2
    assert len(keep(Keep(within_meV=second / 2 * 0.999), members, records, 2)) == 1
    assert keep(Keep(weight=1.0, temperature=1e5), members, records, 2) == members
    assert keep(Keep(lowest=1), [], records, 2) == []


def _row(content: str, number: int, energy: float) -> Prescreened:
    return Prescreened(f"{content}/c{number}", content, number, "", 1, "P1", "P1", energy, 0.0, 0.0, None, None, False)


def test_rank_correlations() -> None:
    rows = [_row("K1", i, float(i)) for i in range(1, 5)] + [_row("K2", i, float(i)) for i in (1, 2)]
    same = {r.member: -100 + 3 * r.energy_eV for r in rows}
    (found,) = correlations(rows, same)  # two are no order
    assert (found.content, found.number, found.same_lowest) == ("K1", 4, True)
    assert found.spearman == pytest.approx(1)
    assert found.kendall == pytest.approx(1)
    (turned,) = correlations(rows, {m: -e for m, e in same.items()})
    assert turned.spearman == pytest.approx(-1)
    assert not turned.same_lowest
    swapped = same | {"K1/c1": same["K1/c2"], "K1/c2": same["K1/c1"]}
    (one,) = correlations(rows, swapped)
    assert one.kendall == pytest.approx(1 - 2 * 2 / 12)  # one discordant pair of six
    assert one.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_a_selection_names_model_and_rule(tmp_path: Path, emt: Campaign) -> None:
    campaign = make(tmp_path)
    with pytest.raises(CampaignError, match="prescreen is not done"):
        select(campaign, 1)
    assert not (tmp_path / "selections").exists()
    store, _, _ = run(campaign)
    best = [r.member for r in ranked(campaign, store) if r.rank == 1]
    assert select(campaign, 1).members == ("host", *best)
    record = json.loads(selection_file(campaign, 1).read_text())
    assert record["rule"]["prescreen"]["keep"]["lowest"] == 1
    assert record["prescreen"]["model"] == store.model.to_json()
    assert record["prescreen"]["keep"] == {"lowest": 1}
    assert record["prescreen"]["folder"] == f"prescreen/{store.folder.name}"
    assert len(record["prescreen"]["energies"]) == len(prescreened_members(campaign))
    changed = make(tmp_path, f"{EMT}\nkeep = {{ lowest = 2 }}")
    with pytest.raises(CampaignError, match="selected by another rule"):
        select(changed, 1)


# -- DFT from there --------------------------------------------------------------------


def test_dft_starts_from_the_models_strain_on_the_given_host(tmp_path: Path) -> None:
    from pymatgen.io.vasp.inputs import Poscar

    campaign = make(tmp_path, start="prescreened")
    store, _, _ = run(campaign)
    host, member = campaign.members["host"], campaign.configurations[0]
    written = {
        m.label: Poscar.from_file(write_attempt(campaign, m, Stage.STATIC).folder / "POSCAR").structure
        for m in (host, member)
    }
    assert np.allclose(written["host"].lattice.matrix, host.crystal.lattice)
    assert np.allclose(written["host"].frac_coords, host.crystal.positions)
    model_host, model = store.crystal(host), store.crystal(member)
    # The deformation from host to alloy is the model's, on vectors of the given host.
    strain = np.linalg.inv(model_host.lattice) @ model.lattice
    assert np.allclose(written[member.label].lattice.matrix, host.crystal.lattice @ strain)
    assert written[member.label].volume / host.crystal.volume == pytest.approx(model.volume / model_host.volume)
    assert np.allclose(written[member.label].frac_coords, model.positions)
    origin = attempts(campaign.calculation(member.label, Stage.STATIC))[0].written["start"]
    assert origin["prescreened"] == f"prescreen/{store.folder.name}/{member.label}.vasp"
    assert origin["model"] == store.model.words
    assert "restored: atoms moved by at most" in origin["symmetry"]
    exactly = space_group(Crystal.from_pymatgen(written[member.label]), tolerance=1e-6)
    assert exactly == space_group(member.crystal)
    assert "start" not in attempts(campaign.calculation("host", Stage.STATIC))[0].written
    store.path(member.label, ".vasp").write_text("changed")
    with pytest.raises(CampaignError, match="not the structure that the model left"):
        write_attempt(campaign, member, Stage.STATIC)


def test_run_carries_the_prescreened_through(tmp_path: Path, kalloy: str, standin: str) -> None:
    campaign = make(tmp_path, start="prescreened", engine=standin)
    words = [sys.executable, "-m", "kalloy", "run", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    store = finished_store(campaign)
    best = [r.member for r in ranked(campaign, store) if r.kept]
    assert len(best) == 2
    for member in campaign.members:
        assert (tmp_path / member / "static").is_dir() == (member in ["host", *best])
    assert "prescreen: emt" in done.stdout


def test_what_the_command_prints(emt: Campaign) -> None:
    def shown(*words: str) -> str:
        result = CliRunner().invoke(cli, ["prescreen", str(emt.root), *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    table = shown()
    assert "kept: the lowest of each content" in table
    assert f"by emt (ase {__import__('ase').__version__}), to 0.01 eV/Å and 0.01 GPa" in table
    read = json.loads(shown("--json"))
    assert [m["member"] for m in read["members"]] == [r.member for r in ranked(emt, finished_store(emt))]
    assert read["model"]["fmax_eV_A"] == 0.01
    assert read["against_dft"] == []
    assert "would relax 0 of" in shown("--dry-run")


# -- CHGNet -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.chgnet
def test_chgnet_prefers_k_on_6a(tmp_path: Path) -> None:
    """One K on the eight Cs of the primitive cell: 6a below 18e by what was measured with CHGNet before (0.19 eV)."""
    text = '[host]\nstructure = "Cs4PbBr6"\ncell = "primitive"\n'
    text += '[[substitution]]\nreplace = "Cs"\nwith = "K"\ncount = [1]\n'
    text += '[calculation]\npreset = "laptop"\n[[step]]\nstages = ["static"]\non = { prescreened = true }\n'
    (tmp_path / "kalloy.toml").write_text(text)
    campaign = Campaign(tmp_path)
    store, _, done = run(campaign)
    assert done
    _, first, second = ranked(campaign, store)
    assert (first.positions, second.positions) == ("K 1×6a", "K 1×18e")
    assert second.relative_meV == pytest.approx(190, abs=10)
    assert first.volume_change_percent == pytest.approx(-2.6, abs=0.3)
    assert store.model.version.startswith("0.3.0 (chgnet ")
    assert [digest[:12] for digest in store.model.files.values()] == ["d14ab7c0f093"]
