"""The index: a SQLite file of what the attempts' files say. Deleting it loses nothing; compute nodes never open it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kalloy.workflows.attempt import END, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.results import CampaignResult, parse_attempt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    member TEXT NOT NULL, stage TEXT NOT NULL, attempt TEXT NOT NULL, end_sha256 TEXT NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (member, stage)
)
"""


class Index:
    """Results by member and stage, parsed once and kept."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # A rollback journal: the write-ahead log needs memory shared between hosts, which network folders have not.
        connection = sqlite3.connect(self.campaign.index_file, timeout=30)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute(_SCHEMA)
            with connection:
                yield connection
        finally:
            connection.close()

    def collect(self) -> int:
        """Parse every ended calculation that is not known yet, or has ended anew.

        Returns
        -------
        How many were parsed.
        """
        new = 0
        with self._open() as connection:
            known = {(m, s): h for m, s, h in connection.execute("SELECT member, stage, end_sha256 FROM results")}
            for member in self.campaign.members:
                for stage in self.campaign.spec.stages:
                    new += self._collect_one(connection, member, stage, known.get((member, stage)))
        return new

    def _collect_one(self, connection: sqlite3.Connection, member: str, stage: Stage, known: str | None) -> bool:
        ended = [a for a in attempts(self.campaign.calculation(member, stage)) if (a.folder / END).is_file()]
        if not ended:
            return False
        digest = hash_of(ended[-1].folder / END)
        if digest == known:
            return False
        result = parse_attempt(ended[-1], self.campaign.root)
        row = (member, stage.value, ended[-1].folder.name, digest, json.dumps(result.to_json()))
        connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", row)
        return True

    def results(self) -> dict[tuple[str, Stage], CampaignResult]:
        """Everything parsed so far."""
        with self._open() as connection:
            rows = connection.execute("SELECT member, stage, result FROM results").fetchall()
        return {(m, Stage(s)): CampaignResult.from_json(json.loads(text)) for m, s, text in rows}

    def rebuild(self) -> int:
        """Throw the index away and make it anew from the files."""
        Path(self.campaign.index_file).unlink(missing_ok=True)
        return self.collect()
