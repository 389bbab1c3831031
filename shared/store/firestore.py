"""Sessions in Firestore: production's store, and its emulator.

Collections ``sessions`` and ``requests``; document ids are ours (session id, record key).
A version is the document's ``update_time``. Every change is one ``Commit`` of one write
with a precondition (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#precondition),
no transaction: it locks nothing and takes one round trip.

An answer may be lost after the write was applied. So every write carries a fresh
``write_id``; whoever is told that the precondition failed reads the document, and if it
holds his own ``write_id``, his earlier attempt was the change.

Indexes: sessions by (owner, created_at desc) and by (owner, state, created_at desc),
``expires_at`` of both collections by itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Sequence
from typing import Any, TypeAlias

from google.api_core import exceptions as google_errors
from google.cloud.firestore_v1 import types

from shared.errors import Conflict, StoreUnavailable, VersionConflict
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import Clock, Cursor, RequestRecord
from shared.store import documents
from shared.store.documents import Document
from shared.store.firestore_connection import Connection, attempts, connect
from shared.store.firestore_values import from_document, timestamp_of, to_fields, to_value, version_of

SESSIONS = "sessions"
REQUESTS = "requests"
MAX_TAKEOVER_ROUNDS = 8

_WRITE_ID = "write_id"
_ABSENT = types.Precondition(exists=False)
_Filter = types.StructuredQuery.FieldFilter
_EQUAL = _Filter.Operator.EQUAL
_DESCENDING = types.StructuredQuery.Direction.DESCENDING

Found: TypeAlias = tuple[Document, str]
"""A stored document and its version."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """What became of a conditional write.

    Attributes:
        version: The document's new version; None when the precondition failed.
        found: In that case the document that is there instead, None when there is none.
    """

    version: str | None = None
    found: Found | None = None


class FirestoreStore:
    """A ``SessionStore`` in a Firestore database; the first call connects, on its loop.

    Args:
        project: Google Cloud project; empty: the credentials' own.
        database: Name of the database in it.
        emulator_host: host:port of an emulator, in place of the service; needs no credentials.
        clock: Says which idempotency records are expired.
    """

    def __init__(
        self, *, project: str, clock: Clock, database: str = "(default)", emulator_host: str = ""
    ) -> None:
        self._target = (project, database, emulator_host)
        self._clock = clock
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._closed = False

    async def create(self, session: Session) -> Session:
        """See ``SessionStore.create``."""
        answer = await self._write(SESSIONS, session.id, documents.session_document(session), _ABSENT)
        if answer.version is None:
            raise Conflict(f"Session {session.id} exists.", reason="SESSION_EXISTS", session=session.id)
        return dataclasses.replace(session, version=answer.version)

    async def get(self, session_id: str) -> Session | None:
        """See ``SessionStore.get``."""
        if not documents.is_document_id(session_id):
            return None
        found = await self._read(SESSIONS, session_id)
        return None if found is None else documents.session_from(*found)

    async def update(self, session: Session) -> Session:
        """See ``SessionStore.update``."""
        document = documents.session_document(session)
        precondition = _unchanged(session.version)
        if precondition is not None:
            answer = await self._write(SESSIONS, session.id, document, precondition)
            if answer.version is not None:
                return dataclasses.replace(session, version=answer.version)
        raise VersionConflict(f"Session {session.id} was changed meanwhile.", session=session.id)

    async def list_sessions(
        self, owner: str, *, state: SessionState | None, limit: int, after: Cursor | None
    ) -> Sequence[Session]:
        """See ``SessionStore.list_sessions``."""
        connection = await self._connected()
        query = _session_query(connection, owner, state, limit, after)
        request = types.RunQueryRequest(parent=f"{connection.database}/documents", structured_query=query)

        async def run(timeout: float) -> list[Session]:
            responses = await connection.client.run_query(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            found = [from_document(response.document) async for response in responses if response.document]
            return [documents.session_from(*one) for one in found]

        return await attempts(run)

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.begin_request``."""
        document = documents.request_document(record)
        precondition = _ABSENT
        for _ in range(MAX_TAKEOVER_ROUNDS):
            answer = await self._write(REQUESTS, record.key, document, precondition)
            if answer.version is not None:
                return dataclasses.replace(record, version=answer.version)
            if answer.found is None:
                precondition = _ABSENT
                continue
            present = documents.request_from(*answer.found)
            if present.expires_at > self._clock.now():
                return present
            precondition = types.Precondition(update_time=timestamp_of(present.version))
        raise StoreUnavailable("Too many requests contend for one idempotency key.")

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """See ``SessionStore.update_request``."""
        document = documents.request_document(record)
        precondition = _unchanged(record.version)
        if precondition is not None:
            answer = await self._write(REQUESTS, record.key, document, precondition)
            if answer.version is not None:
                return dataclasses.replace(record, version=answer.version)
        raise VersionConflict("The idempotency record was changed meanwhile.")

    async def ping(self) -> None:
        """See ``SessionStore.ping``: reads a document that need not be there."""
        await self._read(SESSIONS, "ping")

    async def close(self) -> None:
        """See ``SessionStore.close``; may be called again."""
        self._closed = True
        async with self._connecting:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def _write(
        self, collection: str, document_id: str, document: Document, precondition: types.Precondition
    ) -> _Answer:
        """Replaces one document if the precondition holds; see the module about lost answers."""
        connection = await self._connected()
        write_id = secrets.token_hex(8)
        write = types.Write(
            update=types.Document(
                name=connection.document(collection, document_id),
                fields=to_fields({**document, _WRITE_ID: write_id}),
            ),
            current_document=precondition,
        )
        request = types.CommitRequest(database=connection.database, writes=[write])

        async def commit(timeout: float) -> str | None:
            try:
                response = await connection.client.commit(
                    request, retry=None, timeout=timeout, metadata=connection.metadata
                )
            except (google_errors.AlreadyExists, google_errors.FailedPrecondition, google_errors.NotFound):
                return None
            return version_of(types.CommitResponse.pb(response).write_results[0].update_time)

        version = await attempts(commit)
        if version is not None:
            return _Answer(version=version)
        # If it is the database that is missing, not the document, this read says so.
        found = await self._read(collection, document_id)
        if found is not None and found[0].get(_WRITE_ID) == write_id:
            return _Answer(version=found[1])
        return _Answer(found=found)

    async def _read(self, collection: str, document_id: str) -> Found | None:
        connection = await self._connected()
        request = types.BatchGetDocumentsRequest(
            database=connection.database, documents=[connection.document(collection, document_id)]
        )

        async def read(timeout: float) -> Found | None:
            responses = await connection.client.batch_get_documents(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            found = [from_document(response.found) async for response in responses if response.found]
            return found[0] if found else None

        return await attempts(read)

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._closed:
                raise StoreUnavailable("The session store is closed.")
            if self._connection is None:
                self._connection = await connect(*self._target)
            return self._connection


def _unchanged(version: str) -> types.Precondition | None:
    """That the document still has this version; None if no document can have it."""
    try:
        return types.Precondition(update_time=timestamp_of(version))
    except ValueError:
        return None


def _session_query(
    connection: Connection, owner: str, state: SessionState | None, limit: int, after: Cursor | None
) -> types.StructuredQuery:
    filters = [_equals("owner", owner)]
    if state is not None:
        filters.append(_equals("state", state.value))
    query = types.StructuredQuery(
        from_=[types.StructuredQuery.CollectionSelector(collection_id=SESSIONS)],
        where=types.StructuredQuery.Filter(
            composite_filter=types.StructuredQuery.CompositeFilter(
                op=types.StructuredQuery.CompositeFilter.Operator.AND, filters=filters
            )
        ),
        order_by=[_descending("created_at"), _descending("__name__")],
        limit=limit,
    )
    if after is not None:
        documents.require_id(after.id)
        name = types.Value(reference_value=connection.document(SESSIONS, after.id))
        query.start_at = types.Cursor(values=[to_value(after.created_at), name], before=False)
    return query


def _equals(field: str, value: Any) -> types.StructuredQuery.Filter:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Filter(
        field_filter=_Filter(field=reference, op=_EQUAL, value=to_value(value))
    )


def _descending(field: str) -> types.StructuredQuery.Order:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Order(field=reference, direction=_DESCENDING)
