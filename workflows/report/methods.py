"""The methods paragraph and the table of datasets, ready to be pasted into a paper: from what was effective."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kalloy.workflows.campaign import Campaign
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.results import CampaignResult

Results = Mapping[tuple[str, Stage], CampaignResult]

REFERENCES = {
    "PBE": "Perdew, Burke, Ernzerhof, Phys. Rev. Lett. 77, 3865 (1996)",
    "PAW": "Blöchl, Phys. Rev. B 50, 17953 (1994); Kresse, Joubert, Phys. Rev. B 59, 1758 (1999)",
    "VASP": "Kresse, Furthmüller, Phys. Rev. B 54, 11169 (1996)",
    "GPAW": "Mortensen et al., J. Chem. Phys. 160, 092503 (2024)",
    "HSE06": "Krukau, Vydrov, Izmaylov, Scuseria, J. Chem. Phys. 125, 224106 (2006)",
    "k-path": "Hinuma, Pizzi, Kumagai, Oba, Tanaka, Comput. Mater. Sci. 128, 140 (2017)",
    "symmetry": "Togo, Shinohara, Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822 (2024)",
    "ensemble": "Grau-Crespo, Hamad, Catlow, de Leeuw, J. Phys.: Condens. Matter 19, 256201 (2007)",
}
"""What a paper that used them cites."""


def methods(campaign: Campaign, results: Results) -> str:
    """One paragraph from the settings that were effective, as the engine's own files tell them.

    Returns
    -------
    Empty where nothing has been read yet.
    """
    said = [r for r in results.values() if r.is_usable and r.settings]
    if not said:
        return ""
    return " ".join([_configurations(campaign), *_electrons(said), *_ions(said), *_stages(said), *_path(campaign)])


def _configurations(campaign: Campaign) -> str:
    substituted = " and ".join(f"{t.with_} on {t.replace}" for t in campaign.spec.substitution)
    ranked = [m for m in campaign.members.values() if m.is_ranked]
    arrangements = sum(m.degeneracy for m in ranked)
    return (
        f"The {arrangements:,} arrangements of {substituted} in the {campaign.host.cell} cell of {campaign.host.name} "
        f"({campaign.formula}, {campaign.host.space_group.symbol}) were reduced to {len(ranked):,} symmetry-distinct "
        f"configurations with kalloy {_version()} (spglib)."
    )


def _version() -> str:
    from kalloy import __version__

    return __version__


def _electrons(said: Iterable[CampaignResult]) -> list[str]:
    settings = [r.settings for r in said]
    program = _one(settings, "program")
    version = _one(settings, "version")
    engine = {"gpaw": "GPAW"}.get(str(program), "VASP" if str(program).startswith("vasp") else str(program))
    # Hybrid runs among them are told by their own stage.
    functional = "PBE" if str(_one(settings, "GGA")) == "PE" else f"GGA={_one(settings, 'GGA')}"
    return [
        f"Density-functional calculations used {engine} {version} with projector-augmented waves, the {functional} "
        f"functional and a plane-wave cut-off of {_one(settings, 'ENCUT (eV)')} eV; the electronic energy was "
        f"converged to {_one(settings, 'EDIFF (eV)')} eV a cell."
    ]


def _ions(said: Iterable[CampaignResult]) -> list[str]:
    relaxed = [r for r in said if r.stage.is_relaxation]
    if not relaxed:
        return ["Structures were not relaxed."]
    criterion = _one([r.settings for r in relaxed], "EDIFFG")
    forces = [r.largest_force_eV_A for r in relaxed if r.largest_force_eV_A is not None]
    until = f"until every force was below {-criterion:g} eV/Å" if isinstance(criterion, float) and criterion < 0 else ""
    until = until or f"by EDIFFG = {criterion}"
    reached = f" (largest force left: {max(forces):.3f} eV/Å)" if forces else ""
    return [f"Structures were relaxed on a {_meshes(relaxed)} k-mesh {until}{reached}."]


def _stages(said: Iterable[CampaignResult]) -> list[str]:
    words = {
        Stage.STATIC: "Energies are those of static calculations ({mesh} k-mesh), extrapolated to zero smearing",
        Stage.DOS: "densities of states were computed on a {mesh} mesh in the static charge density",
    }
    found = []
    for stage, sentence in words.items():
        mine = [r for r in said if r.stage is stage]
        if mine:
            found.append(sentence.format(mesh=_meshes(mine)))
    if any(r.settings.get("LSORBIT") for r in said):
        found.append("spin–orbit coupling was included where stated")
    if any(r.settings.get("LHFCALC") for r in said):
        found.append("hybrid-functional results are those of the stages named so")
    return ["; ".join(found) + "."] if found else []


def _path(campaign: Campaign) -> list[str]:
    if Stage.BANDS not in campaign.spec.stages:
        return []
    return [
        "Bands of all structures were computed along one path, that of the structure named in the figure (seekpath)."
    ]


def _meshes(results: Iterable[CampaignResult]) -> str:
    meshes = dict.fromkeys(str(r.settings.get("k-mesh")).replace("Monkhorst-Pack", "Monkhorst–Pack") for r in results)
    return " or ".join(meshes)


def _one(settings: Iterable[Mapping[str, Any]], name: str) -> Any:
    """The value that all share, else all values in words: a paragraph must not hide a difference."""
    values = list(dict.fromkeys(_plain(s.get(name)) for s in settings))
    return values[0] if len(values) == 1 else " or ".join(str(v) for v in values)


def _plain(value: Any) -> Any:
    return value if not isinstance(value, float) or value < 0 else f"{value:g}"


def citations(campaign: Campaign, results: Results) -> list[str]:
    """References of what was used, alphabetically by what they are for."""
    programs = {str(r.settings.get("program")) for r in results.values() if r.settings}
    used = {"PBE", "PAW", "symmetry", "ensemble"}
    used |= {"GPAW"} if "gpaw" in programs else set()
    used |= {"VASP"} if any(p.startswith("vasp") for p in programs) else set()
    used |= {"k-path"} if Stage.BANDS in campaign.spec.stages else set()
    used |= {"HSE06"} if any(r.settings.get("LHFCALC") for r in results.values()) else set()
    return [f"{name}: {REFERENCES[name]}" for name in sorted(used, key=str.lower)]


def datasets(campaign: Campaign, results: Results) -> list[tuple[str, str, str]]:
    """Element, dataset and hash of every PAW dataset in use.

    Titles are those of the engine's own output; hashes are in the attempts' records for VASP, and part of the title
    for the free engine.
    """
    from kalloy.workflows.files import read_record

    titles: dict[str, str] = {}
    hashes: dict[str, str] = {}
    for result in results.values():
        titles |= result.settings.get("datasets", {})
        if set(titles) - set(hashes):
            record = campaign.root / result.folder / "attempt.json"
            written = read_record(record).get("datasets", []) if record.is_file() else []
            hashes |= {d["element"]: str(d["sha256"]) for d in written if d.get("sha256")}
    return [(element, title, hashes.get(element, "")) for element, title in titles.items()]


def software(results: Results) -> list[tuple[str, str]]:
    """Programs and libraries with their versions, as they are now; the engine's as its files say."""
    from importlib.metadata import PackageNotFoundError, version

    engines = {f"{r.settings['program']} {r.settings['version']}" for r in results.values() if r.settings}
    found = [("engine", ", ".join(sorted(engines)))]
    for name in ("kalloy", "pymatgen", "ase", "spglib", "seekpath", "custodian", "numpy"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # not every engine's user has all of them
            continue
    return found
