"""Tables beside the page: the ranking as CSV and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kalloy.workflows.files import write_text
from kalloy.workflows.screening.tables import as_csv

if TYPE_CHECKING:
    from kalloy.workflows.screening.ranking import Ranking


def write_tables(ranking: Ranking, folder: Path) -> list[str]:
    """Write the ranking; returns the names of the files."""
    rows = [{"schema": 1, **r.to_json()} for r in ranking.rows]
    write_text(folder / "ranking.csv", as_csv(ranking))
    write_text(folder / "ranking.json", json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return ["ranking.csv", "ranking.json"]
