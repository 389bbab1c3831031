"""Documents in Firestore: conditional writes, reads and queries, each of them one call.

A version is the ``update_time`` of a document. Every change is one ``Commit`` with one conditional write, and
sometimes with marks in other documents
(https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#precondition). It is no
transaction: it locks nothing and takes one round trip.

The answer to a write may be lost after the write was applied. So every write carries a fresh ``write_id``. A
writer whose precondition failed reads the document; if it holds the same ``write_id``, an earlier attempt of
this writer made the change.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
from collections.abc import Callable, Sequence
from typing import TypeAlias

from google.api_core import exceptions as google_errors
from google.cloud.firestore_v1 import types

from shared.errors import StoreUnavailable
from shared.store.documents import Document
from shared.store.firestore.connection import Connection, attempts, connect
from shared.store.firestore.queries import NameOf
from shared.store.firestore.values import from_document, timestamp_of, to_fields, version_of

ABSENT = types.Precondition(exists=False)

MARKS = "marks"
"""The field of a document that holds its marks."""

_WRITE_ID = "write_id"
_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_COUNT = "count"

Found: TypeAlias = tuple[Document, str]
"""A stored document and its version."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The result of a conditional write.

    Attributes:
        version: The new version of the document; None when the precondition failed.
        found: When the precondition failed: the document that is there, or None when there is none.
    """

    version: str | None = None
    found: Found | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A name that is set or removed in a document that is nothing but a set of names.

    Attributes:
        name: The name, which is the id of another document.
        precondition: What must be true of the document that holds the set; None: nothing.
    """

    collection: str
    id: str
    name: str
    set: bool
    precondition: types.Precondition | None = None


def unchanged(version: str) -> types.Precondition | None:
    """The precondition that a document still has this version; None if no document can have this version."""
    try:
        return types.Precondition(update_time=timestamp_of(version))
    except ValueError:
        return None


class FirestoreDocuments:
    """The documents of one database. The first call connects, on the loop that it runs on.

    Args:
        project: Google Cloud project; empty: the project of the credentials.
        database: Name of the database in the project.
        emulator_host: host:port of an emulator, which is used instead of the service and needs no
            credentials.
    """

    def __init__(self, project: str, database: str, emulator_host: str) -> None:
        self._target = (project, database, emulator_host)
        self._connecting = asyncio.Lock()
        self._connection: Connection | None = None
        self._closed = False

    async def write(
        self,
        collection: str,
        document_id: str,
        document: Document,
        precondition: types.Precondition | None = None,
        *also: Mark,
    ) -> Answer:
        """Writes one document if the precondition holds; the module's docstring explains lost answers.

        Fields of an existing document that are not ours stay, because a newer release may have written them.

        Args:
            collection: Collection of the document.
            document_id: Id of the document.
            document: Its new fields.
            precondition: What must be true of the document; None: nothing.
            also: Marks that are set or removed in the same commit.
        """
        connection = await self._connected()
        write_id = secrets.token_hex(8)
        fields = to_fields({**document, _WRITE_ID: write_id})
        there = precondition is not None and "update_time" in precondition
        write = types.Write(
            update=types.Document(name=connection.document(collection, document_id), fields=fields),
            update_mask=types.DocumentMask(field_paths=list(fields)) if there else None,
            current_document=precondition,
        )
        marks = [_mark(connection, mark) for mark in also]
        request = types.CommitRequest(database=connection.database, writes=[write, *marks])

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
        # If the whole database is missing, and not only the document, this read raises an error that says so.
        found = await self.read(collection, document_id)
        if found is not None and found[0].get(_WRITE_ID) == write_id:
            return Answer(version=found[1])
        return Answer(found=found)

    async def delete(self, collection: str, document_id: str, version: str, *also: Mark) -> None:
        """Removes a document if it still has this version; ``also`` as in ``write``."""
        precondition = unchanged(version)
        if precondition is None:
            return
        connection = await self._connected()
        name = connection.document(collection, document_id)
        write = types.Write(delete=name, current_document=precondition)
        marks = [_mark(connection, mark) for mark in also]
        request = types.CommitRequest(database=connection.database, writes=[write, *marks])

        async def commit(timeout: float) -> None:
            try:
                await connection.client.commit(
                    request, retry=None, timeout=timeout, metadata=connection.metadata
                )
            except (google_errors.FailedPrecondition, google_errors.NotFound):
                return

        await attempts(commit)

    async def delete_all(self, collection: str, ids: Sequence[str]) -> None:
        """Removes documents in one commit, whatever their versions are. Ids without a document are ignored.

        Args:
            collection: Collection of the documents.
            ids: Their ids, at most 500 (https://cloud.google.com/firestore/quotas#writes_and_transactions).
        """
        if not ids:
            return
        connection = await self._connected()
        writes = [types.Write(delete=connection.document(collection, one)) for one in ids]
        request = types.CommitRequest(database=connection.database, writes=writes)

        async def commit(timeout: float) -> None:
            await connection.client.commit(request, retry=None, timeout=timeout, metadata=connection.metadata)

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

    async def read_all(
        self, collection: str, ids: Sequence[str], fields: Sequence[str]
    ) -> Sequence[tuple[str, Found]]:
        """The existing documents among these ids, each with its id; no ``fields`` means all fields."""
        if not ids:
            return []
        connection = await self._connected()
        request = types.BatchGetDocumentsRequest(
            database=connection.database,
            documents=[connection.document(collection, one) for one in ids],
            mask=types.DocumentMask(field_paths=list(fields)) if fields else None,
        )

        async def read(timeout: float) -> list[tuple[str, Found]]:
            responses = await connection.client.batch_get_documents(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            return [
                (response.found.name.rpartition("/")[2], from_document(response.found))
                async for response in responses
                if response.found
            ]

        return await attempts(read)

    async def find(self, query: Callable[[NameOf], types.StructuredQuery]) -> Sequence[tuple[str, Found]]:
        """The documents that a query (of module ``queries``) finds, each with its id."""
        connection = await self._connected()
        request = types.RunQueryRequest(
            parent=f"{connection.database}/documents", structured_query=query(connection.document)
        )

        async def run(timeout: float) -> list[tuple[str, Found]]:
            responses = await connection.client.run_query(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            return [
                (response.document.name.rpartition("/")[2], from_document(response.document))
                async for response in responses
                if response.document
            ]

        return await attempts(run)

    async def count(self, query: Callable[[NameOf], types.StructuredQuery]) -> int:
        """The number of documents that a query finds. Counting costs one read for each 1,000 documents."""
        connection = await self._connected()
        count = types.StructuredAggregationQuery.Aggregation(
            alias=_COUNT, count=types.StructuredAggregationQuery.Aggregation.Count()
        )
        request = types.RunAggregationQueryRequest(
            parent=f"{connection.database}/documents",
            structured_aggregation_query=types.StructuredAggregationQuery(
                structured_query=query(connection.document), aggregations=[count]
            ),
        )

        async def run(timeout: float) -> int:
            responses = await connection.client.run_aggregation_query(
                request, retry=None, timeout=timeout, metadata=connection.metadata
            )
            found = [response.result async for response in responses if response.result]
            return int(found[0].aggregate_fields[_COUNT].integer_value)

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


def _mark(connection: Connection, mark: Mark) -> types.Write:
    fields = {mark.name: types.Value(boolean_value=True)} if mark.set else {}
    marks = types.Value(map_value=types.MapValue(fields=fields))
    return types.Write(
        update=types.Document(name=connection.document(mark.collection, mark.id), fields={MARKS: marks}),
        update_mask=types.DocumentMask(field_paths=[f"{MARKS}.{_quoted(mark.name)}"]),
        current_document=mark.precondition,
    )


def _quoted(name: str) -> str:
    """A field's name as a part of a path (https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1#document)."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
