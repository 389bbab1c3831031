"""Documents in Firestore: conditional writes, reads and queries, each one call.

A version is the document's ``update_time``. Every change is one ``Commit`` of one write
with a precondition (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#precondition),
no transaction: it locks nothing and takes one round trip.

An answer may be lost after the write was applied. So every write carries a fresh
``write_id``; whoever is told that the precondition failed reads the document, and if it
holds his own ``write_id``, his earlier attempt was the change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from google.api_core import exceptions as google_errors
from google.cloud.firestore_v1 import types

from shared.errors import StoreUnavailable
from shared.sessions.ports import Cursor
from shared.store import documents
from shared.store.documents import Document
from shared.store.firestore_connection import Connection, attempts, connect
from shared.store.firestore_values import from_document, timestamp_of, to_fields, to_value, version_of

ABSENT = types.Precondition(exists=False)

_WRITE_ID = "write_id"
_Filter = types.StructuredQuery.FieldFilter
_EQUAL = _Filter.Operator.EQUAL
_DESCENDING = types.StructuredQuery.Direction.DESCENDING

Found: TypeAlias = tuple[Document, str]
"""A stored document and its version."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What became of a conditional write.

    Attributes:
        version: The document's new version; None when the precondition failed.
        found: In that case the document that is there instead, None when there is none.
    """

    version: str | None = None
    found: Found | None = None


def unchanged(version: str) -> types.Precondition | None:
    """That the document still has this version; None if no document can have it."""
    try:
        return types.Precondition(update_time=timestamp_of(version))
    except ValueError:
        return None


class FirestoreDocuments:
    """The documents of one database; the first call connects, on its loop.

    Args:
        project: Google Cloud project; empty: the credentials' own.
        database: Name of the database in it.
        emulator_host: host:port of an emulator, in place of the service; needs no credentials.
    """

    def __init__(self, project: str, database: str, emulator_host: str) -> None:
        self._target = (project, database, emulator_host)
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._closed = False

    async def write(
        self, collection: str, document_id: str, document: Document, precondition: types.Precondition
    ) -> Answer:
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
            return Answer(version=version)
        # If it is the database that is missing, not the document, this read says so.
        found = await self.read(collection, document_id)
        if found is not None and found[0].get(_WRITE_ID) == write_id:
            return Answer(version=found[1])
        return Answer(found=found)

    async def delete(self, collection: str, document_id: str, version: str) -> None:
        """Removes a document if it still has this version."""
        precondition = unchanged(version)
        if precondition is None:
            return
        connection = await self._connected()
        name = connection.document(collection, document_id)
        write = types.Write(delete=name, current_document=precondition)
        request = types.CommitRequest(database=connection.database, writes=[write])

        async def commit(timeout: float) -> None:
            try:
                await connection.client.commit(
                    request, retry=None, timeout=timeout, metadata=connection.metadata
                )
            except (google_errors.FailedPrecondition, google_errors.NotFound):
                return

        await attempts(commit)

    async def read(self, collection: str, document_id: str) -> Found | None:
        """The document, or None."""
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

    async def newest(
        self, collection: str, equal: Mapping[str, str], *, limit: int, after: Cursor | None
    ) -> Sequence[Found]:
        """Documents whose fields have these values, by (created_at, id) descending.

        Args:
            collection: Where to look.
            equal: Values by field.
            limit: Most of them.
            after: Only those behind this place.
        """
        connection = await self._connected()
        query = types.StructuredQuery(
            from_=[types.StructuredQuery.CollectionSelector(collection_id=collection)],
            where=types.StructuredQuery.Filter(
                composite_filter=types.StructuredQuery.CompositeFilter(
                    op=types.StructuredQuery.CompositeFilter.Operator.AND,
                    filters=[_equals(field, value) for field, value in equal.items()],
                )
            ),
            order_by=[_descending("created_at"), _descending("__name__")],
            limit=limit,
        )
        if after is not None:
            documents.require_id(after.id)
            name = types.Value(reference_value=connection.document(collection, after.id))
            query.start_at = types.Cursor(values=[to_value(after.created_at), name], before=False)
        request = types.RunQueryRequest(parent=f"{connection.database}/documents", structured_query=query)

        async def run(timeout: float) -> list[Found]:
            responses = await connection.client.run_query(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            return [from_document(response.document) async for response in responses if response.document]

        return await attempts(run)

    async def close(self) -> None:
        """Disconnects; may be called again."""
        self._closed = True
        async with self._connecting:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._closed:
                raise StoreUnavailable("The session store is closed.")
            if self._connection is None:
                self._connection = await connect(*self._target)
            return self._connection


def _equals(field: str, value: Any) -> types.StructuredQuery.Filter:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Filter(
        field_filter=_Filter(field=reference, op=_EQUAL, value=to_value(value))
    )


def _descending(field: str) -> types.StructuredQuery.Order:
    reference = types.StructuredQuery.FieldReference(field_path=field)
    return types.StructuredQuery.Order(field=reference, direction=_DESCENDING)
