"""The index: a SQLite file of what the attempts' files say. Deleting it loses nothing; compute nodes never open it."""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import ItemsView, Iterator, Mapping, Sequence, ValuesView
from contextlib import closing, contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from kalloy import __version__
from kalloy.errors import CampaignError
from kalloy.parsers.many import available_processors, by_processes
from kalloy.workflows.attempt import END, Attempt, attempts
from kalloy.workflows.campaign import Campaign
from kalloy.workflows.files import hash_of
from kalloy.workflows.inputs.stage import Stage
from kalloy.workflows.members import Member
from kalloy.workflows.results import CampaignResult, parse_attempt, require_identity
from kalloy.workflows.screening.columns import FIGURES, StageColumns, assemble, row_of

WORTH_A_POOL = 16
"""Results below which starting processes costs more than it saves."""
_FORM = 3
"""Of the tables below: an index of another form is made anew."""
_SCHEMA = (
    "DROP TABLE IF EXISTS results",
    "DROP TABLE IF EXISTS settings",
    f"""CREATE TABLE results (
    member TEXT NOT NULL, stage TEXT NOT NULL, attempt TEXT NOT NULL, source TEXT NOT NULL, usable INTEGER NOT NULL,
    {", ".join(f"{name} REAL" for name in FIGURES)}, lattice BLOB, settings TEXT NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (member, stage))""",
    "CREATE TABLE settings (hash TEXT PRIMARY KEY, effective TEXT NOT NULL)",
    f"PRAGMA user_version = {_FORM}",
)
_COLUMNS = ("member", "attempt", "usable", *FIGURES, "lattice", "settings")


MOST_TRIES = 20
"""Times that an index may be taken away while it is being filled."""


class Index:
    """Results by member and stage, parsed once and kept.

    One connection serves it from beginning to end, so that whoever reads goes on reading what was collected, although
    somebody else deletes the file or makes it anew meanwhile. Where the file cannot be written (a folder
    that may only be read, a full disk), the index is kept in memory.
    """

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        """Of the file that is open; None for one in memory."""

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """The connection, in one transaction."""
        try:
            if self._connection is None:
                self._connect()
            assert self._connection is not None
            with self._connection:
                yield self._connection
        except sqlite3.DatabaseError as error:
            mend = "it is only an index: make it anew with `kalloy status --rebuild`"
            raise CampaignError(f"cannot be used: {error}", where=str(self.campaign.index_file), mend=mend) from None

    def _connect(self) -> None:
        try:
            self._use(opened(self.campaign.index_file))
            self._inode = self.campaign.index_file.stat().st_ino
        except (sqlite3.OperationalError, FileNotFoundError) as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_unwritable(error):
                raise
            self._to_memory()

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection, self._inode = connection, None
        weakref.finalize(self, connection.close)

    def _to_memory(self) -> None:
        """Go on in memory, with what the file holds."""
        memory = sqlite3.connect(":memory:")
        with suppress(sqlite3.Error), closing(_readable(self.campaign.index_file)) as file:
            file.backup(memory)
        prepare(memory)
        self._use(memory)

    def _is_gone(self) -> bool:
        """Whether the file that is open is no longer the campaign's."""
        if self._connection is None or self._inode is None:
            return False
        path = self.campaign.index_file
        return not path.is_file() or path.stat().st_ino != self._inode

    def collect(self) -> int:
        """Parse every ended calculation that is not known yet, or has ended anew.

        Returns
        -------
        How many were parsed.
        """
        for _ in range(MOST_TRIES):
            if self._is_gone():
                self._connection = None
            try:
                return self._collect()
            except CampaignError:
                if not self._is_gone():
                    raise
        raise CampaignError("is deleted again and again", where=str(self.campaign.index_file))

    def _collect(self) -> int:
        with self.open() as connection:
            known = {(m, s): h for m, s, h in connection.execute("SELECT member, stage, source FROM results")}
        pairs = [(m, s) for m in self.campaign.members.values() for s in self.campaign.spec.stages]
        new = [found for m, s in pairs if (found := self._new(m, s, known.get((m.label, s))))]
        for (_, source), result in zip(new, self._parsed([last for last, _ in new]), strict=True):
            self._store(result, source)
        return len(new)

    def _store(self, result: CampaignResult, source: str) -> None:
        """In a transaction of its own: parsing is slow, and nobody should wait for the lock meanwhile."""
        try:
            with self.open() as connection:
                store(connection, result, source)
        except CampaignError as error:
            cause = error.__context__
            if self._is_gone() or not (isinstance(cause, sqlite3.OperationalError) and _is_unwritable(cause)):
                raise
            self._to_memory()
            self._store(result, source)

    def _new(self, member: Member, stage: Stage, known: str | None) -> tuple[Attempt, str] | None:
        """The calculation's last ended attempt and what says which it is; None where the index has it."""
        ended = [a for a in attempts(self.campaign.calculation(member.label, stage)) if (a.folder / END).is_file()]
        if not ended:
            return None
        last = ended[-1]
        source = f"{last.folder.name} {hash_of(last.folder / END)} kalloy {__version__} {self.campaign.host_version}"
        if source == known:
            return None
        require_identity(last, member)
        return last, source

    def _parsed(self, ended: Sequence[Attempt]) -> Iterator[CampaignResult]:
        """Results in the attempts' order, each as soon as it is there; many of them by one process a processor."""
        processes = available_processors() if len(ended) >= WORTH_A_POOL else 1
        return by_processes(partial(parse_attempt, root=self.campaign.root), ended, processes)

    def results(self) -> IndexedResults:
        """Everything parsed so far of the campaign's members, in their order and that of the stages."""
        stages = list(dict.fromkeys(self.campaign.spec.stages))
        asked = "SELECT member FROM results WHERE stage = ?"
        with self.open() as connection:
            found = [(s, {m for (m,) in connection.execute(asked, (s.value,))}) for s in stages]
        return IndexedResults(self, {(m, s): None for m in self.campaign.members for s, having in found if m in having})

    def rebuild(self) -> int:
        """Throw the index away and make it anew from the files."""
        self.campaign.index_file.unlink(missing_ok=True)
        self._connection = None
        return self.collect()


def opened(path: Path) -> sqlite3.Connection:
    """A connection to an index file, which is made where it is not there."""
    # A rollback journal: the write-ahead log needs memory shared between hosts, which network folders have not.
    connection = sqlite3.connect(path, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables anew where they are of another form, once, however many processes open it at this moment."""
    if connection.execute("PRAGMA user_version").fetchone() == (_FORM,):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if connection.execute("PRAGMA user_version").fetchone() != (_FORM,):
            for statement in _SCHEMA:
                connection.execute(statement)


def _readable(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)


def _is_unwritable(error: sqlite3.OperationalError) -> bool:
    codes = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return error.sqlite_errorcode & 0xFF in codes


def store(connection: sqlite3.Connection, result: CampaignResult, source: str) -> None:
    """Put one result into the index.

    Parameters
    ----------
    source : which attempt it was read from, and by which version of kalloy.
    """
    attempt, usable, *figures, lattice, settings = row_of(result)
    named = sha256(settings.encode()).hexdigest()[:16]
    connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (named, settings))
    text = json.dumps(result.to_json())
    row = (result.member, result.stage.value, attempt, source, usable, *figures, lattice, named, text)
    connection.execute(f"INSERT OR REPLACE INTO results VALUES ({', '.join('?' * len(row))})", row)


class IndexedResults(Mapping[tuple[str, Stage], CampaignResult]):
    """What is in the index, by member and stage; each result is read when it is asked for, and kept."""

    def __init__(self, index: Index, known: dict[tuple[str, Stage], CampaignResult | None]) -> None:
        self._index, self._known = index, known
        self._columns: dict[Stage, StageColumns] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[str, Stage]]:
        return iter(self._known)

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __getitem__(self, key: tuple[str, Stage]) -> CampaignResult:
        if (found := self._known[key]) is None:
            with self._index.open() as connection:
                asked = "SELECT result FROM results WHERE member = ? AND stage = ?"
                row = connection.execute(asked, (key[0], key[1].value)).fetchone()
            if row is None:
                raise KeyError(key)
            found = self._known[key] = CampaignResult.from_json(json.loads(row[0]))
        return found

    def values(self) -> ValuesView[CampaignResult]:
        """Every result, read at once."""
        self._read_all()
        return super().values()

    def items(self) -> ItemsView[tuple[str, Stage], CampaignResult]:
        """Every result with its key, read at once."""
        self._read_all()
        return super().items()

    def _read_all(self) -> None:
        if None not in self._known.values():
            return
        with self._index.open() as connection:
            for member, stage, text in connection.execute("SELECT member, stage, result FROM results"):
                key = (member, Stage(stage))
                if key in self._known and self._known[key] is None:
                    self._known[key] = CampaignResult.from_json(json.loads(text))

    def columns(self, stage: Stage) -> StageColumns:
        """One stage's figures, read once and without reading the results themselves."""
        if stage not in self._columns:
            self._columns[stage] = self._read_columns(stage)
        return self._columns[stage]

    def _read_columns(self, stage: Stage) -> StageColumns:
        with self._index.open() as connection:
            texts = dict(connection.execute("SELECT hash, effective FROM settings"))
            asked = f"SELECT {', '.join(_COLUMNS)} FROM results WHERE stage = ?"
            rows = connection.execute(asked, (stage.value,)).fetchall()
        return assemble((row for row in rows if (row[0], stage) in self._known), texts)
