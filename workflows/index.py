"""The index: a SQLite file of what the attempts' files say. Deleting it loses nothing; compute nodes never open it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from kalloy import __version__
from kalloy.errors import CampaignError
from kalloy.workflows.attempt import END, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult, parse_attempt, require_identity

_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    member TEXT NOT NULL, stage TEXT NOT NULL, attempt TEXT NOT NULL, source TEXT NOT NULL, result TEXT NOT NULL,
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
        except sqlite3.DatabaseError as error:
            mend = "it is only an index: make it anew with `kalloy status --rebuild`"
            raise CampaignError(f"cannot be used: {error}", where=str(self.campaign.index_file), mend=mend) from None
        finally:
            connection.close()

    def collect(self) -> int:
        """Parse every ended calculation that is not known yet, or has ended anew.

        Returns
        -------
        How many were parsed.
        """
        with self._open() as connection:
            known = {(m, s): h for m, s, h in connection.execute("SELECT member, stage, source FROM results")}
        new = 0
        for member in self.campaign.members.values():
            for stage in self.campaign.spec.stages:
                new += self._collect_one(member, stage, known.get((member.label, stage)))
        return new

    def _collect_one(self, member: Member, stage: Stage, known: str | None) -> bool:
        """Each result in a transaction of its own: parsing is slow, and nobody should wait for the lock meanwhile."""
        ended = [a for a in attempts(self.campaign.calculation(member.label, stage)) if (a.folder / END).is_file()]
        if not ended:
            return False
        last = ended[-1]
        source = f"{last.folder.name} {hash_of(last.folder / END)} kalloy {__version__}"
        if source == known:
            return False
        require_identity(last, member)
        result = parse_attempt(last, self.campaign.root)
        row = (member.label, stage.value, last.folder.name, source, json.dumps(result.to_json()))
        with self._open() as connection:
            connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", row)
        return True

    def results(self) -> dict[tuple[str, Stage], CampaignResult]:
        """Everything parsed so far of the campaign's members, in their order and that of the stages."""
        with self._open() as connection:
            rows = connection.execute("SELECT member, stage, result FROM results").fetchall()
        found = {(m, s): text for m, s, text in rows}
        wanted = [(m, s) for m in self.campaign.members for s in self.campaign.spec.stages]
        return {(m, s): CampaignResult.from_json(json.loads(found[m, s])) for m, s in wanted if (m, s) in found}

    def rebuild(self) -> int:
        """Throw the index away and make it anew from the files."""
        self.campaign.index_file.unlink(missing_ok=True)
        return self.collect()
