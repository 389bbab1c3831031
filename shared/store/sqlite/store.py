"""Sessions, jobs and idempotency records in one SQLite file: the laptop edition's store.

Every change is one statement, so it is atomic without a transaction of ours, whatever
other tasks of this process or other processes do to the file meanwhile.
"""

from __future__ import annotations

import dataclasses
import secrets
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from shared.core.cleanup.ports import OwnerUse
from shared.core.clock import Clock
from shared.core.jobs.model import Job
from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState, too_many_sessions
from shared.core.sessions.names import owner_hash
from shared.core.sessions.ports import RequestRecord
from shared.errors import Conflict, VersionConflict
from shared.reasons import Reason
from shared.store import documents
from shared.store.readable import readable
from shared.store.sqlite.audit import SqliteAudit
from shared.store.sqlite.file import SqliteFile, id_of

_INSERT_SESSION = """INSERT INTO sessions
    (id, version, owner, state, created_at, expires_at, check_at, purge_at, live, on_cluster, document)
    SELECT :id, :new, :owner, :state, :created_at, :expires_at, :check_at, :purge_at, :live, :on_cluster,
    :document
    WHERE :limit IS NULL OR (SELECT count(*) FROM sessions WHERE owner = :owner AND live) < :limit
    ON CONFLICT (id) DO NOTHING RETURNING 1"""
_UPDATE_SESSION = """UPDATE sessions SET version = :new, owner = :owner, state = :state,
    created_at = :created_at, expires_at = :expires_at, check_at = :check_at, purge_at = :purge_at,
    live = :live, on_cluster = :on_cluster, document = :document
    WHERE id = :id AND version = :version RETURNING 1"""
_DUE_SESSIONS = """SELECT document, version, id, check_at FROM sessions WHERE check_at <= :now
    AND (:at IS NULL OR (check_at, id) > (:at, :id)) ORDER BY check_at, id LIMIT :limit"""
_FORGETTABLE_SESSIONS = _DUE_SESSIONS.replace("check_at", "purge_at")
_EXPIRED_REQUESTS = """SELECT document, version, key, expires_at FROM requests WHERE expires_at <= :now
    AND (:at IS NULL OR (expires_at, key) > (:at, :id)) ORDER BY expires_at, key LIMIT :limit"""
_ON_CLUSTER = "SELECT document, version, id FROM sessions WHERE on_cluster AND id >= ? AND (? = '' OR id < ?)"
_OWNERS = """SELECT owner, used_at, EXISTS (
    SELECT 1 FROM sessions WHERE sessions.owner = owners.owner AND live) FROM owners"""
_LIST_SESSIONS = """SELECT document, version, id, created_at FROM sessions
    WHERE {whose} AND (:state IS NULL OR state = :state)
    AND (:at IS NULL OR (created_at, id) < (:at, :id))
    ORDER BY created_at DESC, id DESC LIMIT :limit"""
_INSERT_JOB = """INSERT INTO jobs (id, version, session_id, created_at, document)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING 1"""
_UPDATE_JOB = "UPDATE jobs SET version = ?, document = ? WHERE id = ? AND version = ? RETURNING 1"
_LIST_JOBS = """SELECT document, version, id, created_at FROM jobs WHERE session_id = :session
    AND (:at IS NULL OR (created_at, id) < (:at, :id))
    ORDER BY created_at DESC, id DESC LIMIT :limit"""
_BEGIN_REQUEST = """INSERT INTO requests (key, version, expires_at, document) VALUES (?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at,
    document = excluded.document WHERE requests.expires_at <= ? RETURNING 1"""
_UPDATE_REQUEST = """UPDATE requests SET version = ?, expires_at = ?, document = ?
    WHERE key = ? AND version = ? RETURNING 1"""


class SqliteStore:
    """A ``CleanupStore`` in one file, which is opened by the first call.

    Attributes:
        audit: An ``AuditStore`` in the same file.

    Args:
        path: The file. It and its folders are made; it is readable by its owner only.
        clock: Says which idempotency records are expired.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._file = SqliteFile(path)
        self.audit = SqliteAudit(self._file)
        self._clock = clock

    async def create(self, session: Session, *, limit: int | None = None) -> Session:
        """See ``SessionStore.create``."""
        version = _new_version()
        values = _session_columns(session, version)
        if not await self._file.rows(_INSERT_SESSION, {**values, "limit": limit}):
            if limit is not None and await self.get(session.id) is None:
                raise too_many_sessions(limit)
            raise Conflict(f"Session {session.id} exists.", reason=Reason.SESSION_EXISTS, session=session.id)
        return dataclasses.replace(session, version=version)

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        if not documents.is_document_id(session_id):
            return None
        rows = await self._file.rows("SELECT document, version FROM sessions WHERE id = ?", (session_id,))
        return _session(rows[0]) if rows else None

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        version = _new_version()
        values = _session_columns(session, version)
        if not await self._file.rows(_UPDATE_SESSION, {**values, "version": session.version}):
            raise VersionConflict(f"Session {session.id} was changed meanwhile.", session=session.id)
        return dataclasses.replace(session, version=version)

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        parameters = {"owner": owner, "state": None if state is None else state.value}
        # Not one condition for both: SQLite would use no index then.
        whose = "true" if owner is None else "owner = :owner"
        return await self._file.page(_LIST_SESSIONS.format(whose=whose), parameters, _listed, limit, after)

    async def create_job(self, job: Job) -> Job:
        """See ``JobStore.create_job``."""
        version = _new_version()
        created_at = documents.microseconds(job.created_at)
        values = (job.id, version, job.session_id, created_at, _job_document(job))
        if not await self._file.rows(_INSERT_JOB, values):
            raise Conflict(f"Job {job.id} exists.", reason=Reason.JOB_EXISTS, job=job.id)
        return dataclasses.replace(job, version=version)

    async def get_job(self, job_id: str) -> Job | None:
        """See ``JobStore.get_job``."""
        if not documents.is_document_id(job_id):
            return None
        rows = await self._file.rows("SELECT document, version FROM jobs WHERE id = ?", (job_id,))
        return _job(rows[0]) if rows else None

    async def update_job(self, job: Job) -> Job:
        """See ``JobStore.update_job``."""
        version = _new_version()
        if not await self._file.rows(_UPDATE_JOB, (version, _job_document(job), job.id, job.version)):
            raise VersionConflict(f"Job {job.id} was changed meanwhile.", job=job.id)
        return dataclasses.replace(job, version=version)

    async def remove_job(self, job: Job) -> None:
        """See ``JobStore.remove_job``."""
        await self._file.rows("DELETE FROM jobs WHERE id = ? AND version = ?", (job.id, job.version))

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """See ``JobStore.list_jobs``."""
        return await self._file.page(_LIST_JOBS, {"session": session_id}, _job, limit, after)

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.begin_request``."""
        version = _new_version()
        values = (record.key, version, *_request_columns(record))
        select = "SELECT document, version FROM requests WHERE key = ?"
        while True:
            now = documents.microseconds(self._clock.now())
            if await self._file.rows(_BEGIN_REQUEST, (*values, now)):
                return dataclasses.replace(record, version=version)
            if rows := await self._file.rows(select, (record.key,)):
                return _record(rows[0])
            # Somebody removed it between the two statements: it is ours to store.

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.update_request``."""
        version = _new_version()
        condition = (record.key, record.version)
        if not await self._file.rows(_UPDATE_REQUEST, (version, *_request_columns(record), *condition)):
            raise VersionConflict("The idempotency record was changed meanwhile.")
        return dataclasses.replace(record, version=version)

    async def due_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None, unreadable: set[str] | None = None
    ) -> Sequence[Session]:
        """See ``CleanupStore.due_sessions``."""
        return await self._file.page(
            _DUE_SESSIONS, {"now": documents.microseconds(now)}, _listed, limit, after, unreadable
        )

    async def forgettable_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[Session]:
        """See ``CleanupStore.forgettable_sessions``."""
        return await self._file.page(
            _FORGETTABLE_SESSIONS, {"now": documents.microseconds(now)}, _listed, limit, after
        )

    async def count_on_cluster(self, first: str, end: str) -> int:
        """See ``CleanupStore.count_on_cluster``."""
        count = f"SELECT count(*) FROM ({_ON_CLUSTER})"  # noqa: S608 - a constant
        (row,) = await self._file.rows(count, (first, end, end))
        return int(row[0])

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """See ``CleanupStore.sessions_on_cluster``."""

        async def page(size: int, last: sqlite3.Row | None) -> Sequence[sqlite3.Row]:
            begin = first if last is None else last[2] + "!"  # right behind it
            return await self._file.rows(f"{_ON_CLUSTER} ORDER BY id LIMIT ?", (begin, end, end, size))

        return await readable(page, _listed, id_of, limit=limit)

    async def owner_use(self, owner: str) -> OwnerUse:
        """See ``CleanupStore.owner_use``. A laptop has few owners."""
        rows = await self._file.rows(_OWNERS, ())
        for email, used_at, live in rows:
            if owner_hash(email) == owner:
                return OwnerUse(bool(live), documents.required_time(used_at))
        return OwnerUse(live=False, at=None)

    async def remove_session(self, session: Session) -> None:
        """See ``CleanupStore.remove_session``."""
        await self._file.rows(
            "DELETE FROM sessions WHERE id = ? AND version = ?", (session.id, session.version)
        )

    async def expired_requests(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[RequestRecord]:
        """See ``CleanupStore.expired_requests``."""
        return await self._file.page(
            _EXPIRED_REQUESTS, {"now": documents.microseconds(now)}, _record, limit, after
        )

    async def remove_request(self, record: RequestRecord) -> None:
        """See ``CleanupStore.remove_request``."""
        await self._file.rows(
            "DELETE FROM requests WHERE key = ? AND version = ?", (record.key, record.version)
        )

    async def ping(self) -> None:
        """See ``SessionStore.ping``."""
        await self._file.rows("SELECT 1 FROM sessions LIMIT 1", ())

    async def close(self) -> None:
        """See ``SessionStore.close``; may be called again."""
        await self._file.close()


def _session_columns(session: Session, version: str) -> dict[str, str | int | None]:
    return {
        "id": session.id,
        "new": version,
        "owner": session.owner,
        "state": session.state.value,
        "created_at": documents.microseconds(session.created_at),
        "expires_at": documents.microseconds(session.expires_at),
        "check_at": None if session.check_at is None else documents.microseconds(session.check_at),
        "purge_at": None if session.purge_at is None else documents.microseconds(session.purge_at),
        "live": session.live,
        "on_cluster": session.on_cluster,
        "document": documents.to_json(documents.session_document(session)),
    }


def _request_columns(record: RequestRecord) -> tuple[int, str]:
    return documents.microseconds(record.expires_at), documents.to_json(documents.request_document(record))


def _session(row: sqlite3.Row) -> Session:
    document, version, *_ = row
    return documents.session_from(documents.from_json(document), version)


def _listed(row: sqlite3.Row) -> Session:
    return dataclasses.replace(_session(row), env={})


def _job_document(job: Job) -> str:
    return documents.to_json(documents.job_document(job))


def _job(row: sqlite3.Row) -> Job:
    document, version, *_ = row
    return documents.job_from(documents.from_json(document), version)


def _record(row: sqlite3.Row) -> RequestRecord:
    document, version, *_ = row
    return documents.request_from(documents.from_json(document), version)


def _new_version() -> str:
    """Never used before, so that a document removed and made again does not match an old one."""
    return secrets.token_hex(8)
