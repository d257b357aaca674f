"""INCAR tags that only a parent's result can give as numbers: EMIN and EMAX around its gap, NBANDS from its bands."""

from __future__ import annotations

from hashlib import sha256
from math import ceil
from typing import Any

from kalloy.errors import CampaignError
from kalloy.parsers.filling import count_filling
from kalloy.parsers.result import Result, read_result
from kalloy.workflows.attempt import Attempt
from kalloy.workflows.files import hash_of, write_text
from kalloy.workflows.inputs.incar import format_tag
from kalloy.workflows.inputs.preset import Tag


def take_window(attempt: Attempt, parent: Attempt) -> dict[str, Any]:
    """EMIN and EMAX around the parent's valence band maximum; a metal keeps the engine's full range."""
    vbm = read_result(parent.folder).to_json()["vbm_eV"]
    if vbm is None:
        return {"skipped": "the parent has no gap"}
    low, high = attempt.written["dos_window_eV"]
    return _add(attempt, {"EMIN": round(vbm + low, 3), "EMAX": round(vbm + high, 3)}, {"vbm_eV": vbm})


def take_bands(attempt: Attempt, parent: Attempt) -> dict[str, Any]:
    """NBANDS as a multiple of the parent's occupied bands, or of all its bands.

    Raises
    ------
    CampaignError
        Where the parent's files do not say how many those are.
    """
    [(measure, factor)] = attempt.written["nbands"].items()
    result = read_result(parent.folder)
    found = occupied_bands(result) if measure == "times_occupied" else _bands(result)
    if found is None:
        raise CampaignError("does not say how many bands it filled", where=str(parent.folder), mend="run it again")
    name = measure.replace("times_occupied", "occupied_bands").replace("times_bands", "bands")
    return _add(attempt, {"NBANDS": ceil(round(factor * found, 6))}, {name: found, measure: factor})


def occupied_bands(result: Result) -> int | None:
    """Bands with electrons in the fuller spin channel; a band that is partly filled counts."""
    if result.mesh is None:
        return None
    nelect = result.parameters.get("NELECT")
    filled = count_filling([result.mesh], float(nelect) if isinstance(nelect, int | float) else None).bands
    # Smearing and printed digits leave a counted number a little beside its integer.
    return None if filled is None else max(ceil(round(n, 2)) for n in filled)


def _bands(result: Result) -> int | None:
    return int(result.mesh.eigenvalues.shape[2]) if result.mesh is not None else None


def _add(attempt: Attempt, tags: dict[str, Tag], source: dict[str, Any]) -> dict[str, Any]:
    """Write tags at INCAR's end, and say so; where any of them is there, none is touched, and that is said."""
    path = attempt.folder / "INCAR"
    lines = path.read_text(encoding="utf-8").splitlines()
    added = [f"{name} = {format_tag(value)}" for name, value in tags.items()]
    if there := {_name(line) for line in lines} & set(tags):
        kept = "".join(f"{line}\n" for line in lines if _name(line) not in tags)
        # What a killed completion added are these very lines, without which the file is as it was written.
        as_written = sha256(kept.encode()).hexdigest() == attempt.written["inputs"]["INCAR"]
        if not as_written or lines[-len(added) :] != added:
            return {"skipped": f"{' and '.join(sorted(there))} {'is' if len(there) == 1 else 'are'} in INCAR", **source}
        lines = kept.splitlines()
    write_text(path, "\n".join(lines + added) + "\n")
    return {"file": "INCAR", "sha256": hash_of(path), **tags, **source}


def _name(line: str) -> str:
    return line.split("=")[0].strip().upper()
