"""Sessions in one SQLite file: the laptop edition's store.

Every change is one statement, so it is atomic without a transaction of ours, whatever
other tasks of this process or other processes do to the file meanwhile. The write-ahead
log lets them read while one writes (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from shared.errors import Conflict, StoreUnavailable, VersionConflict
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import Clock, Cursor, RequestRecord
from shared.store import documents

BUSY_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for another process's write."""

_SCHEMA_VERSION = 1
_SCHEMA = (
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, version TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL,
        created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, document TEXT NOT NULL) STRICT""",
    "CREATE INDEX sessions_by_owner ON sessions (owner, created_at DESC, id DESC)",
    "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
    """CREATE TABLE requests (
        key TEXT PRIMARY KEY, version TEXT NOT NULL, expires_at INTEGER NOT NULL,
        document TEXT NOT NULL) STRICT""",
    "CREATE INDEX requests_by_expiry ON requests (expires_at)",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)

_INSERT_SESSION = """INSERT INTO sessions (id, version, owner, state, created_at, expires_at, document)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING 1"""
_UPDATE_SESSION = """UPDATE sessions SET version = ?, owner = ?, state = ?, created_at = ?, expires_at = ?,
    document = ? WHERE id = ? AND version = ? RETURNING 1"""
_LIST_SESSIONS = """SELECT document, version FROM sessions
    WHERE owner = :owner AND (:state IS NULL OR state = :state)
    AND (:at IS NULL OR (created_at, id) < (:at, :id))
    ORDER BY created_at DESC, id DESC LIMIT :limit"""
_BEGIN_REQUEST = """INSERT INTO requests (key, version, expires_at, document) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at,
    document = excluded.document WHERE requests.expires_at <= ? RETURNING 1"""
_UPDATE_REQUEST = """UPDATE requests SET version = ?, expires_at = ?, document = ?
    WHERE key = ? AND version = ? RETURNING 1"""


class SqliteStore:
    """A ``SessionStore`` in one file, which is opened by the first call.

    Args:
        path: The file. It and its folders are made; it is readable by its owner only.
        clock: Says which idempotency records are expired.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._opening = asyncio.Lock()
        self._connection: aiosqlite.Connection | None = None
        self._closed = False

    async def create(self, session: Session) -> Session:
        """See ``SessionStore.create``."""
        version = _new_version()
        if not await self._rows(_INSERT_SESSION, (session.id, version, *_session_columns(session))):
            raise Conflict(f"Session {session.id} exists.", reason="SESSION_EXISTS", session=session.id)
        return dataclasses.replace(session, version=version)

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        if not documents.is_document_id(session_id):
            return None
        rows = await self._rows("SELECT document, version FROM sessions WHERE id = ?", (session_id,))
        return _session(rows[0]) if rows else None

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        version = _new_version()
        columns = _session_columns(session)
        if not await self._rows(_UPDATE_SESSION, (version, *columns, session.id, session.version)):
            raise VersionConflict(f"Session {session.id} was changed meanwhile.", session=session.id)
        return dataclasses.replace(session, version=version)

    async def list_sessions(
        self, owner: str, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        if after is not None:
            documents.require_id(after.id)
        parameters = {
            "owner": owner,
            "state": None if state is None else state.value,
            "at": None if after is None else documents.microseconds(after.created_at),
            "id": None if after is None else after.id,
            "limit": limit,
        }
        rows = await self._rows(_LIST_SESSIONS, parameters)
        return [_session(row) for row in rows]

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.begin_request``."""
        version = _new_version()
        values = (record.key, version, *_request_columns(record))
        select = "SELECT document, version FROM requests WHERE key = ?"
        while True:
            now = documents.microseconds(self._clock.now())
            if await self._rows(_BEGIN_REQUEST, (*values, now)):
                return dataclasses.replace(record, version=version)
            if rows := await self._rows(select, (record.key,)):
                return _record(rows[0])
            # Somebody removed it between the two statements: it is ours to store.

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.update_request``."""
        version = _new_version()
        condition = (record.key, record.version)
        if not await self._rows(_UPDATE_REQUEST, (version, *_request_columns(record), *condition)):
            raise VersionConflict("The idempotency record was changed meanwhile.")
        return dataclasses.replace(record, version=version)

    async def ping(self) -> None:
        """See ``SessionStore.ping``."""
        await self._rows("SELECT 1 FROM sessions LIMIT 1", ())

    async def close(self) -> None:
        """See ``SessionStore.close``; may be called again."""
        self._closed = True
        async with self._opening:
            connection, self._connection = self._connection, None
            if connection is not None:
                with _translated():
                    await connection.close()

    async def _rows(self, sql: str, parameters: Any) -> Sequence[sqlite3.Row]:
        with _translated():
            connection = await self._connected()
            # One job on the connection's thread: no other task's statement comes between.
            return list(await connection.execute_fetchall(sql, parameters))

    async def _connected(self) -> aiosqlite.Connection:
        async with self._opening:
            if self._closed:
                raise StoreUnavailable("The session store is closed.")
            if self._connection is None:
                self._connection = await _open(self._path)
            return self._connection


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
    """Makes the tables unless they are there; of several processes at once, one makes them."""
    if await _user_version(connection) == _SCHEMA_VERSION:
        return
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    found = await _user_version(connection)
    if found > _SCHEMA_VERSION:
        raise StoreUnavailable("The file at SQLITE_PATH was made by a newer release.", reason="STORE_TOO_NEW")
    if found == 0:
        for statement in _SCHEMA:
            await connection.execute_fetchall(statement)
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


def _session_columns(session: Session) -> tuple[str, str, int, int, str]:
    return (
        session.owner,
        session.state.value,
        documents.microseconds(session.created_at),
        documents.microseconds(session.expires_at),
        documents.to_json(documents.session_document(session)),
    )


def _request_columns(record: RequestRecord) -> tuple[int, str]:
    return documents.microseconds(record.expires_at), documents.to_json(documents.request_document(record))


def _session(row: sqlite3.Row) -> Session:
    document, version = row
    return documents.session_from(documents.from_json(document), version)


def _record(row: sqlite3.Row) -> RequestRecord:
    document, version = row
    return documents.request_from(documents.from_json(document), version)


def _new_version() -> str:
    """Never used before, so that a document removed and made again does not match an old one."""
    return secrets.token_hex(8)
