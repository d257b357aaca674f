"""Tables beside the page: the ranking as CSV and JSON, and the JSON's schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kalloy.workflows.files import write_text
from kalloy.workflows.screening.tables import as_csv

if TYPE_CHECKING:
    from kalloy.workflows.screening.ranking import Ranking

NUMBER, INTEGER, TEXT = ["number", "null"], ["integer", "null"], ["string", "null"]
FIELDS: dict[str, tuple[list[str], str]] = {
    "rank": (INTEGER, "1 is the lowest of its content; null for the host and for what is not ranked"),
    "place": (INTEGER, "the rank that all share whom the noise cannot tell apart"),
    "tied": (["boolean"], "whether anybody shares it"),
    "member": (["string"], "label and folder"),
    "formula": (["string"], "of the cell"),
    "degeneracy": (["integer"], "arrangements that are equivalent to this one"),
    "space_group": (["string"], "of the unrelaxed structure, Hermann–Mauguin"),
    "relaxed_space_group": (TEXT, "of the last structure, within 0.01 Å"),
    "sites": (["string"], "the host's Wyckoff positions that are substituted"),
    "energy_eV": (NUMBER, "E(σ→0) of the cell, static stage"),
    "relative_meV_per_cell": (NUMBER, "above the lowest of the same content"),
    "relative_meV_per_formula_unit": (NUMBER, "the same per formula unit of the host"),
    "relative_meV_per_substituted_atom": (NUMBER, "the same per substituted atom"),
    "volume_A3": (NUMBER, "of the cell"),
    "volume_change_percent": (NUMBER, "against the host's, computed alike"),
    **{f"{axis}_A": (NUMBER, f"{axis} in the host's conventional axes") for axis in "abc"},
    **{f"{angle}_deg": (NUMBER, f"{angle} in the host's conventional axes") for angle in ("alpha", "beta", "gamma")},
    **{
        f"strain_{axes}_percent": (NUMBER, "strain against the relaxed host, Cartesian axes of its cell")
        for axes in ("xx", "yy", "zz", "yz", "xz", "xy")
    },
    "gap_eV": (NUMBER, "fundamental gap over all k-points of gap_source; 0 for a metal"),
    "character": (TEXT, "direct, indirect, quasi-direct or metal, in the computed cell"),
    "direct_gap_eV": (NUMBER, "smallest vertical gap"),
    "indirect_margin_meV": (NUMBER, "direct gap less fundamental gap"),
    "gap_shift_eV": (NUMBER, "against the host's gap, both from the stages that both have"),
    "gap_source": (TEXT, "which calculations the gap was read from"),
    "note": (["string"], "why it is not ranked, or what to doubt"),
}
"""Keys of a row of ranking.json with JSON types and meaning; units are in the names."""


def ranking_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ranking.json, which `kalloy rank --json` prints too."""
    properties = {name: {"type": kinds, "description": what} for name, (kinds, what) in FIELDS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A ranking by kalloy: the host, then the configurations of each content, lowest first",
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"schema": {"const": 1}, **properties},
            "patternProperties": {
                "^nearest_.+_A$": {"type": "number", "description": "shortest distance between substituted atoms, Å"}
            },
            "required": ["schema", *FIELDS],
            "additionalProperties": False,
        },
    }


def write_tables(ranking: Ranking, folder: Path) -> list[str]:
    """Write the ranking; returns the names of the files."""
    rows = [{"schema": 1, **r.to_json()} for r in ranking.rows]
    write_text(folder / "ranking.csv", as_csv(ranking))
    for name, content in (("ranking.json", rows), ("ranking.schema.json", ranking_schema())):
        write_text(folder / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return ["ranking.csv", "ranking.json", "ranking.schema.json"]
