"""Sessions, jobs and idempotency records in Firestore: production's store, and its emulator.

Collections ``sessions``, ``jobs``, ``requests`` and ``owners``; document ids are ours (session
id, job id, record key, hash of the owner).

Indexes: sessions by (owner, created_at desc), by (owner, state, created_at desc) and, for
administrators, by (state, created_at desc), jobs by (session_id, created_at desc), audit by
(session_id, at desc); ``check_at``, ``purge_at`` and ``on_cluster`` of sessions and ``expires_at``
of requests by themselves. TTL policies, which nothing here depends on, are on ``purge_at`` of
sessions, jobs and audit and on ``expires_at`` of requests.

An owner's document holds the ids of his live sessions as marks. It changes in one commit with
the session that becomes live or something else, so it is true at every moment, and whoever
creates a session changes the very version in which he counted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import stamina
from google.cloud.firestore_v1 import types

from shared.core.cleanup.ports import OwnerUse
from shared.core.clock import Clock
from shared.core.jobs.model import Job
from shared.core.paging import Cursor
from shared.core.sessions.model import Session, SessionState, too_many_sessions
from shared.core.sessions.names import owner_hash
from shared.core.sessions.ports import RequestRecord
from shared.errors import Conflict, StoreUnavailable, VersionConflict
from shared.reasons import Reason
from shared.store import documents
from shared.store.documents import Document
from shared.store.firestore import queries
from shared.store.firestore.audit import KEPT, FirestoreAudit
from shared.store.firestore.connection import OPERATION_SECONDS
from shared.store.firestore.documents import ABSENT, MARKS, FirestoreDocuments, Found, Mark, id_of, unchanged
from shared.store.firestore.values import timestamp_of
from shared.store.readable import readable

SESSIONS = "sessions"
OWNERS = "owners"
JOBS = "jobs"
REQUESTS = "requests"
MAX_TAKEOVER_ROUNDS = 8


class _Contended(StoreUnavailable):
    """Somebody else changed what was read; it is read again."""


class FirestoreStore:
    """A ``CleanupStore`` in a Firestore database; the first call connects, on its loop.

    Attributes:
        audit: An ``AuditStore`` in the same database.

    Args:
        project: Google Cloud project; empty: the credentials' own.
        database: Name of the database in it.
        emulator_host: host:port of an emulator, in place of the service; needs no credentials.
        clock: Says which idempotency records are expired.
    """

    def __init__(
        self, *, project: str, clock: Clock, database: str = "(default)", emulator_host: str = ""
    ) -> None:
        self._documents = FirestoreDocuments(project, database, emulator_host)
        self.audit = FirestoreAudit(self._documents)
        self._clock = clock
        self._creating: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def create(self, session: Session, *, limit: int | None = None) -> Session:
        """See ``SessionStore.create``."""
        document = documents.session_document(session)
        owner = owner_hash(session.owner)
        # Within an instance one after the other: who waits here does not contend there.
        async with self._creating.setdefault(owner, asyncio.Lock()):
            async for attempt in stamina.retry_context(
                on=_Contended, attempts=None, timeout=OPERATION_SECONDS, wait_initial=0.02, wait_max=0.5
            ):
                with attempt:
                    version = await self._create(session, document, owner, limit)
        return dataclasses.replace(session, version=version)

    async def _create(self, session: Session, document: Document, owner: str, limit: int | None) -> str:
        counted = await self._documents.read(OWNERS, owner)
        others = set(counted[0].get(MARKS, {})) - {session.id} if counted else set()
        precondition = types.Precondition(update_time=timestamp_of(counted[1])) if counted else ABSENT
        charge = Mark(OWNERS, owner, session.id, set=True, precondition=precondition)
        if limit is None or len(others) < limit:
            answer = await self._documents.write(SESSIONS, session.id, document, ABSENT, charge)
            if answer.version is not None:
                return answer.version
            if answer.found is None:
                raise _Contended("Too many requests contend for one owner's sessions.")
        elif await self.get(session.id) is None:
            raise too_many_sessions(limit)
        raise Conflict(f"Session {session.id} exists.", reason=Reason.SESSION_EXISTS, session=session.id)

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        if not documents.is_document_id(session_id):
            return None
        found = await self._documents.read(SESSIONS, session_id)
        return None if found is None else documents.session_from(*found)

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        document = documents.session_document(session)
        over = session.state in (SessionState.FAILED, SessionState.DELETING)
        release = [Mark(OWNERS, owner_hash(session.owner), session.id, set=False)] if over else []
        version = await self._replace(SESSIONS, session.id, document, session.version, *release)
        if version is None:
            raise VersionConflict(f"Session {session.id} was changed meanwhile.", session=session.id)
        return dataclasses.replace(session, version=version)

    async def list_sessions(
        self, owner: str | None, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        asked = {"owner": owner, "state": None if state is None else state.value}
        equal = {field: value for field, value in asked.items() if value is not None}
        query = partial(queries.newest, collection=SESSIONS, equal=equal, fields=documents.LISTED)
        return await self._documents.page(query, documents.session_from, "created_at", limit, after)

    async def create_job(self, job: Job) -> Job:
        """See ``JobStore.create_job``."""
        answer = await self._documents.write(JOBS, job.id, _job_document(job), ABSENT)
        if answer.version is None:
            raise Conflict(f"Job {job.id} exists.", reason=Reason.JOB_EXISTS, job=job.id)
        return dataclasses.replace(job, version=answer.version)

    async def get_job(self, job_id: str) -> Job | None:
        """See ``JobStore.get_job``."""
        if not documents.is_document_id(job_id):
            return None
        found = await self._documents.read(JOBS, job_id)
        return None if found is None else documents.job_from(*found)

    async def update_job(self, job: Job) -> Job:
        """See ``JobStore.update_job``."""
        version = await self._replace(JOBS, job.id, _job_document(job), job.version)
        if version is None:
            raise VersionConflict(f"Job {job.id} was changed meanwhile.", job=job.id)
        return dataclasses.replace(job, version=version)

    async def remove_job(self, job: Job) -> None:
        """See ``JobStore.remove_job``."""
        await self._documents.delete(JOBS, job.id, job.version)

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """See ``JobStore.list_jobs``."""
        equal = {"session_id": session_id}
        query = partial(queries.newest, collection=JOBS, equal=equal)
        return await self._documents.page(query, documents.job_from, "created_at", limit, after)

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.begin_request``."""
        document = documents.request_document(record)
        precondition = ABSENT
        for _ in range(MAX_TAKEOVER_ROUNDS):
            answer = await self._documents.write(REQUESTS, record.key, document, precondition)
            if answer.version is not None:
                return dataclasses.replace(record, version=answer.version)
            if answer.found is None:
                precondition = ABSENT
                continue
            present = documents.request_from(*answer.found)
            if present.expires_at > self._clock.now():
                return present
            precondition = types.Precondition(update_time=timestamp_of(present.version))
        raise StoreUnavailable("Too many requests contend for one idempotency key.")

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.update_request``."""
        document = documents.request_document(record)
        version = await self._replace(REQUESTS, record.key, document, record.version)
        if version is None:
            raise VersionConflict("The idempotency record was changed meanwhile.")
        return dataclasses.replace(record, version=version)

    async def due_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None, unreadable: set[str] | None = None
    ) -> Sequence[Session]:
        """See ``CleanupStore.due_sessions``."""
        query = partial(queries.due, collection=SESSIONS, field="check_at", now=now, fields=documents.LISTED)
        read = documents.session_from
        return await self._documents.page(query, read, "check_at", limit, after, unreadable)

    async def forgettable_sessions(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[Session]:
        """See ``CleanupStore.forgettable_sessions``."""
        query = partial(queries.due, collection=SESSIONS, field="purge_at", now=now, fields=documents.LISTED)
        return await self._documents.page(query, documents.session_from, "purge_at", limit, after)

    async def count_on_cluster(self, first: str, end: str) -> int:
        """See ``CleanupStore.count_on_cluster``."""
        return await self._documents.count(
            lambda name_of: queries.between(name_of, SESSIONS, "on_cluster", first, end)
        )

    async def sessions_on_cluster(self, first: str, end: str, *, limit: int) -> Sequence[Session]:
        """See ``CleanupStore.sessions_on_cluster``."""

        async def page(size: int, last: Found | None) -> Sequence[Found]:
            begin = first if last is None else id_of(last) + "!"  # right behind it
            return await self._documents.find(
                lambda name_of: queries.between(
                    name_of, SESSIONS, "on_cluster", begin, end, limit=size, fields=documents.LISTED
                )
            )

        return await readable(page, lambda one: documents.session_from(*one), id_of, limit=limit)

    async def owner_use(self, owner: str) -> OwnerUse:
        """See ``CleanupStore.owner_use``: the owner's document changes with each begin and end."""
        found = await self._documents.read(OWNERS, owner)
        if found is None:
            return OwnerUse(live=False, at=None)
        document, version = found
        return OwnerUse(bool(document.get(MARKS)), timestamp_of(version).ToDatetime(tzinfo=UTC))

    async def remove_session(self, session: Session) -> None:
        """See ``CleanupStore.remove_session``."""
        await self._documents.delete(SESSIONS, session.id, session.version)

    async def expired_requests(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[RequestRecord]:
        """See ``CleanupStore.expired_requests``."""
        query = partial(queries.due, collection=REQUESTS, field="expires_at", now=now)
        return await self._documents.page(query, documents.request_from, "expires_at", limit, after)

    async def remove_request(self, record: RequestRecord) -> None:
        """See ``CleanupStore.remove_request``."""
        await self._documents.delete(REQUESTS, record.key, record.version)

    async def ping(self) -> None:
        """See ``SessionStore.ping``: reads a document that need not be there."""
        await self._documents.read(SESSIONS, "ping")

    async def close(self) -> None:
        """See ``SessionStore.close``; may be called again."""
        await self._documents.close()

    async def _replace(
        self, collection: str, document_id: str, document: Document, version: str, *also: Mark
    ) -> str | None:
        """Replaces a document that still has this version.

        Returns:
            Its new version; None when it has another one, or is gone.
        """
        precondition = unchanged(version)
        if precondition is None:
            return None
        return (await self._documents.write(collection, document_id, document, precondition, *also)).version


def _job_document(job: Job) -> Document:
    """With when the TTL policy may remove it. Cleanup does before, with the session."""
    return {**documents.job_document(job), "purge_at": job.created_at + KEPT}
