"""Sessions, jobs and idempotency records in Firestore: production's store, and its emulator.

Collections ``sessions``, ``jobs`` and ``requests``; document ids are ours (session id, job
id, record key).

Indexes: sessions by (owner, created_at desc) and by (owner, state, created_at desc), jobs by
(session_id, created_at desc), ``expires_at`` of sessions and requests by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from google.cloud.firestore_v1 import types

from shared.errors import Conflict, StoreUnavailable, VersionConflict
from shared.sessions.job import Job
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import Clock, Cursor, RequestRecord
from shared.store import documents
from shared.store.documents import Document
from shared.store.firestore_documents import ABSENT, FirestoreDocuments, unchanged
from shared.store.firestore_values import timestamp_of

SESSIONS = "sessions"
JOBS = "jobs"
REQUESTS = "requests"
MAX_TAKEOVER_ROUNDS = 8


class FirestoreStore:
    """A ``SessionStore`` and ``JobStore`` in a Firestore database; the first call connects, on its loop.

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
        self._clock = clock

    async def create(self, session: Session) -> Session:
        """See ``SessionStore.create``."""
        document = documents.session_document(session)
        answer = await self._documents.write(SESSIONS, session.id, document, ABSENT)
        if answer.version is None:
            raise Conflict(f"Session {session.id} exists.", reason="SESSION_EXISTS", session=session.id)
        return dataclasses.replace(session, version=answer.version)

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        if not documents.is_document_id(session_id):
            return None
        found = await self._documents.read(SESSIONS, session_id)
        return None if found is None else documents.session_from(*found)

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        document = documents.session_document(session)
        version = await self._replace(SESSIONS, session.id, document, session.version)
        if version is None:
            raise VersionConflict(f"Session {session.id} was changed meanwhile.", session=session.id)
        return dataclasses.replace(session, version=version)

    async def list_sessions(
        self, owner: str, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        equal = {"owner": owner} if state is None else {"owner": owner, "state": state.value}
        found = await self._documents.newest(SESSIONS, equal, limit=limit, after=after)
        return [documents.session_from(*one) for one in found]

    async def create_job(self, job: Job) -> Job:
        """See ``JobStore.create_job``."""
        answer = await self._documents.write(JOBS, job.id, documents.job_document(job), ABSENT)
        if answer.version is None:
            raise Conflict(f"Job {job.id} exists.", reason="JOB_EXISTS", job=job.id)
        return dataclasses.replace(job, version=answer.version)

    async def get_job(self, job_id: str) -> Job | None:
        """See ``JobStore.get_job``."""
        if not documents.is_document_id(job_id):
            return None
        found = await self._documents.read(JOBS, job_id)
        return None if found is None else documents.job_from(*found)

    async def update_job(self, job: Job) -> Job:
        """See ``JobStore.update_job``."""
        version = await self._replace(JOBS, job.id, documents.job_document(job), job.version)
        if version is None:
            raise VersionConflict(f"Job {job.id} was changed meanwhile.", job=job.id)
        return dataclasses.replace(job, version=version)

    async def remove_job(self, job: Job) -> None:
        """See ``JobStore.remove_job``."""
        await self._documents.delete(JOBS, job.id, job.version)

    async def list_jobs(self, session_id: str, *, limit: int, after: Cursor | None) -> Sequence[Job]:
        """See ``JobStore.list_jobs``."""
        equal = {"session_id": session_id}
        found = await self._documents.newest(JOBS, equal, limit=limit, after=after)
        return [documents.job_from(*one) for one in found]

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

    async def ping(self) -> None:
        """See ``SessionStore.ping``: reads a document that need not be there."""
        await self._documents.read(SESSIONS, "ping")

    async def close(self) -> None:
        """See ``SessionStore.close``; may be called again."""
        await self._documents.close()

    async def _replace(
        self, collection: str, document_id: str, document: Document, version: str
    ) -> str | None:
        """Replaces a document that still has this version.

        Returns:
            Its new version; None when it has another one, or is gone.
        """
        precondition = unchanged(version)
        if precondition is None:
            return None
        return (await self._documents.write(collection, document_id, document, precondition)).version
