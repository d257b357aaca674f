"""A folder of somebody's: what was computed in it, and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kalloy.errors import InputError, ParseError
from kalloy.parsers.result import Result, read_result
from kalloy.structures.crystal import Crystal
from kalloy.workflows.inputs.stage import Stage

_NEEDED = "put the calculation's vasprun.xml there: it alone says which settings were effective"


class Refusal(InputError):
    """A folder that cannot be taken in."""


@dataclass(frozen=True)
class Found:
    """A whole, converged calculation."""

    folder: Path
    result: Result
    start: Crystal
    """Structure at the start: nearest to the unrelaxed one."""
    end: Crystal
    """The last structure, atoms in the same order."""


def read(folder: Path) -> Found:
    """Read a folder.

    Raises
    ------
    Refusal
        Where there is no vasprun.xml, or it says that the calculation is not whole or not converged.
    """
    if not folder.is_dir():
        raise Refusal("no such folder", where=str(folder))
    try:
        result = read_result(folder)
    except ParseError as error:
        raise Refusal(
            error.what, where=str(folder), mend="adopt needs a vasprun.xml: it says what was effective"
        ) from None
    run = result.vasprun
    start, end = run.initial or run.crystal, run.crystal
    if not any(name.startswith("vasprun") for name in run.files) or start is None or end is None:
        raise Refusal(
            "holds no vasprun.xml with a structure",
            where=str(folder),
            mend="only that says which settings were effective",
        )
    _require_whole(folder, result)
    return Found(folder, result, start, end)


def _require_whole(folder: Path, result: Result) -> None:
    plain = result.to_json()
    if not plain["complete"]:
        raise Refusal("the calculation is not whole: its vasprun.xml breaks off", where=str(folder))
    if plain["electronic_converged"] is not True:
        raise Refusal("its electronic steps did not converge, or do not say so", where=str(folder))
    if plain["ionic_converged"] is False:
        raise Refusal("its relaxation did not converge", where=str(folder), mend="let `kalloy run` go on from there")


def guess_stage(result: Result) -> str:
    """Which stage a calculation is, from its effective settings; a name, for not every version knows every stage."""
    tags = result.vasprun.parameters
    if _number(tags, "NSW") > 0 and _number(tags, "IBRION", -1) in (0, 1, 2, 3):
        return "relax"
    if tags.get("LOPTICS") is True:
        return "optics"
    if tags.get("LHFCALC") is True:
        return "hse"
    if tags.get("LSORBIT") is True:
        return "soc"
    if _number(tags, "ICHARG") >= 10:
        return "bands" if result.path is not None else "dos"
    return "static"


def _number(tags: Mapping[str, Any], name: str, default: float = 0) -> float:
    value = tags.get(name, default)
    return value if isinstance(value, int | float) else default


def stage_of(found: Found, asked: str | None, known: list[Stage]) -> Stage:
    """The stage that is named, else the one guessed.

    Parameters
    ----------
    known : the campaign's stages.

    Raises
    ------
    Refusal
        Where the campaign has no such stage.
    """
    name = asked or guess_stage(found.result)
    stage = next((s for s in known if s.value == name), None)
    if stage is None:
        raise Refusal(
            f"is a '{name}' calculation, which no step of kalloy.toml asks for",
            where=str(found.folder),
            mend=f"add the stage to a step, or say which it is: --stage {known[0]}",
        )
    return stage
