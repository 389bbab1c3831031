"""The file of the SQLite store: how it is opened, its tables, and one statement at a time.

The write-ahead log lets other processes read while one writes (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from shared.core.paging import Cursor
from shared.errors import StoreUnavailable
from shared.reasons import Reason
from shared.store import documents
from shared.store.readable import readable

_T = TypeVar("_T")

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for another process's write."""

_CHANGED = "coalesce(json_extract({0}, '$.changed_at'), json_extract({0}, '$.created_at'))"
_USED = f"""INSERT INTO owners VALUES (NEW.owner, {_CHANGED.format("NEW.document")})
    ON CONFLICT (owner) DO UPDATE SET used_at = max(used_at, excluded.used_at);"""  # noqa: S608 - constants

_SCHEMAS = (
    (
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY, version TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
        "CREATE INDEX sessions_by_owner ON sessions (owner, created_at DESC, id DESC)",
        "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
        """CREATE TABLE requests (
            key TEXT PRIMARY KEY, version TEXT NOT NULL, expires_at INTEGER NOT NULL,
            document TEXT NOT NULL) STRICT""",
        "CREATE INDEX requests_by_expiry ON requests (expires_at)",
    ),
    (
        """CREATE TABLE jobs (
            id TEXT PRIMARY KEY, version TEXT NOT NULL, session_id TEXT NOT NULL,
            created_at INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
        "CREATE INDEX jobs_by_session ON jobs (session_id, created_at DESC, id DESC)",
    ),
    (
        "ALTER TABLE sessions ADD COLUMN check_at INTEGER",
        "ALTER TABLE sessions ADD COLUMN purge_at INTEGER",
        "ALTER TABLE sessions ADD COLUMN live INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN on_cluster INTEGER NOT NULL DEFAULT 0",
        # Cleanup looks at what there was and writes it anew; what was deleted it forgets at once.
        "UPDATE sessions SET check_at = created_at WHERE state != 'deleted'",
        "UPDATE sessions SET purge_at = created_at WHERE state = 'deleted'",
        """UPDATE sessions SET live = 1, on_cluster = NOT json_extract(document, '$.virtual')
            WHERE state IN ('pending', 'running')""",
        "DROP INDEX sessions_by_expiry",
        "CREATE INDEX sessions_by_check ON sessions (check_at, id) WHERE check_at IS NOT NULL",
        "CREATE INDEX sessions_by_purge ON sessions (purge_at) WHERE purge_at IS NOT NULL",
        "CREATE INDEX live_sessions ON sessions (owner) WHERE live",
        "CREATE INDEX sessions_on_cluster ON sessions (id) WHERE on_cluster",
    ),
    (
        """CREATE TABLE audit (
            id TEXT PRIMARY KEY, session_id TEXT NOT NULL, at INTEGER NOT NULL,
            document TEXT NOT NULL) STRICT""",
        "CREATE INDEX audit_by_session ON audit (session_id, at DESC, id DESC)",
        "CREATE INDEX sessions_by_time ON sessions (created_at DESC, id DESC)",
    ),
    ("CREATE TABLE audit_key (id INTEGER PRIMARY KEY CHECK (id = 1), key TEXT NOT NULL) STRICT",),
    (
        # When an owner's last session was made or ended, as RFC 3339: it outlives the sessions.
        "CREATE TABLE owners (owner TEXT PRIMARY KEY, used_at TEXT NOT NULL) STRICT",
        f"""INSERT INTO owners SELECT owner, max({_CHANGED.format("document")})
            FROM sessions GROUP BY owner""",  # noqa: S608 - constants
        f"CREATE TRIGGER session_made AFTER INSERT ON sessions BEGIN {_USED} END",
        f"""CREATE TRIGGER session_ended AFTER UPDATE OF live ON sessions WHEN OLD.live != NEW.live
            BEGIN {_USED} END""",
    ),
)
"""What each release added; the file knows in user_version how many it has."""


class SqliteFile:
    """A SQLite file, which is opened by the first statement.

    Args:
        path: The file. It and its folders are made; it is readable by its owner only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opening = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None
        self._closed = False

    async def rows(self, sql: str, parameters: Any) -> Sequence[sqlite3.Row]:
        """Runs one statement.

        Raises:
            StoreUnavailable: The file cannot be used.
        """
        with _translated():
            connection = await self._connected()
            # One job on the connection's thread: no other task's statement comes between.
            return list(await connection.execute_fetchall(sql, parameters))

    async def page(
        self,
        sql: str,
        parameters: Mapping[str, str | int | None],
        read: Callable[[sqlite3.Row], _T],
        limit: int,
        after: Cursor | None,
        unreadable: set[str] | None = None,
    ) -> list[_T]:
        """What a query finds, in the order of a time and the id, as far as it can be read.

        Args:
            sql: Gives document, version, id and time; takes ``at`` and ``id`` of a place, and ``limit``.
            parameters: The others.
            read: What a row means.
            limit: Most of them.
            after: Only those behind this place.
            unreadable: See ``readable``.
        """
        place: dict[str, str | int | None] = {"at": None, "id": None}
        if after is not None:
            documents.require_id(after.id)
            place = {"at": documents.microseconds(after.at), "id": after.id}

        async def page(size: int, last: sqlite3.Row | None) -> Sequence[sqlite3.Row]:
            behind = place if last is None else {"at": last[3], "id": last[2]}
            return await self.rows(sql, {**parameters, "limit": size, **behind})

        return await readable(page, read, id_of, limit=limit, unreadable=unreadable)

    async def close(self) -> None:
        """Closes the file; may be called again."""
        self._closed = True
        async with self._opening:
            connection, self._connection = self._connection, None
            if connection is not None:
                with _translated():
                    await connection.close()

    async def _connected(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._closed:
                raise StoreUnavailable("The session store is closed.")
            if self._connection is None:
                self._connection = await _open(self._path)
            return self._connection


def id_of(row: sqlite3.Row) -> str:
    """The id in a row of a query for documents."""
    return str(row[2])


async def _open(path: Path) -> aiosqlite.Connection:
    await asyncio.to_thread(_make_file, path)
    connection = await _unopened(path)
    try:
        await _use_write_ahead_log(connection)
        await connection.execute_fetchall("PRAGMA synchronous = NORMAL")
        await _make_schema(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


def _unopened(path: Path) -> aiosqlite.Connection:
    """A connection whose thread does not keep a process alive that ends without ``close``.

    A thread is a daemon if the one that makes it is; aiosqlite has no setting for it.
    """
    made: list[aiosqlite.Connection] = []

    def make() -> None:
        made.append(aiosqlite.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    maker.join()
    return made[0]


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # SQLite gives the log files beside it the same mode.
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


async def _use_write_ahead_log(connection: aiosqlite.Connection) -> None:
    """Sets the journal mode, which the busy timeout does not cover: SQLite may refuse at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            await connection.execute_fetchall("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def _make_schema(connection: aiosqlite.Connection) -> None:
    """Makes the tables that are missing; of several processes at once, one makes them."""
    if await _user_version(connection) == len(_SCHEMAS):
        return
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    found = await _user_version(connection)
    if found > len(_SCHEMAS):
        raise StoreUnavailable(
            "The file at SQLITE_PATH was made by a newer release.", reason=Reason.STORE_TOO_NEW
        )
    for statements in _SCHEMAS[found:]:
        for statement in statements:
            await connection.execute_fetchall(statement)
    await connection.execute_fetchall(f"PRAGMA user_version = {len(_SCHEMAS)}")
    await connection.execute_fetchall("COMMIT")


async def _user_version(connection: aiosqlite.Connection) -> int:
    (row,) = await connection.execute_fetchall("PRAGMA user_version")
    return int(row[0])


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        # SQLite's messages name no path: "database is locked", "file is not a database".
        raise StoreUnavailable(f"The session store at SQLITE_PATH cannot be used: {error}.") from error
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else "it cannot be opened"
        raise StoreUnavailable(f"The session store at SQLITE_PATH cannot be used: {problem}.") from error
