"""The engine for Firestore, which is production's store, and for its emulator.

Each of our collections is a Firestore collection, and documents have our ids. The document of a group holds
the ids of its members as marks. It changes in the same commit as the document that is counted, so it is true
at every moment. To add a member, the group's document must still have the version in which the members were
counted.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import stamina
from google.cloud.firestore_v1 import types

from shared.core.paging import Cursor
from shared.core.telemetry import SILENT, Telemetry
from shared.errors import GamguiError, StoreUnavailable
from shared.store import documents, engine
from shared.store.documents import Document
from shared.store.engine import Admit, Collection, Group, Member, Query
from shared.store.firestore.connection import OPERATION_SECONDS
from shared.store.firestore.documents import ABSENT, MARKS, FirestoreDocuments, Found, Mark, unchanged
from shared.store.firestore.queries import structured
from shared.store.firestore.values import timestamp_of

_CREATES = 8
"""Attempts to create a document, each refused by a document that is gone a moment later. Then it gives up."""

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class _Contended(StoreUnavailable):
    """Another writer changed the document that was read; it is read again."""


class FirestoreEngine:
    """An ``Engine`` in a Firestore database. The first call connects, on the loop that it runs on.

    Args:
        project: Google Cloud project; empty: the project of the credentials.
        database: Name of the database in the project.
        emulator_host: host:port of an emulator, which is used instead of the service and needs no
            credentials.
        telemetry: Gets a report of every call.
    """

    def __init__(
        self,
        *,
        project: str,
        database: str = "(default)",
        emulator_host: str = "",
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._documents = FirestoreDocuments(project, database, emulator_host)
        self._telemetry = telemetry
        self._creating: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    async def get(self, collection: Collection, document_id: str) -> engine.Found | None:
        """See ``Engine.get``."""
        if not documents.is_document_id(document_id):
            return None
        with self._telemetry.store("get", collection.name):
            found = await self._documents.read(collection.name, document_id)
        return None if found is None else engine.Found(document_id, *found)

    async def create(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        *,
        member: Member | None = None,
        limit: int | None = None,
        admit: Admit | None = None,
    ) -> engine.Answer:
        """See ``Engine.create``."""
        documents.require_id(document_id)
        with self._telemetry.store("create", collection.name):
            if member is None:
                return await self._create(collection, document_id, document)
            # Creates of one instance in the same group wait here for each other, so that they do not contend
            # there.
            async with self._creating.setdefault((collection.groups, member.group), asyncio.Lock()):
                async for attempt in stamina.retry_context(
                    on=_Contended, attempts=None, timeout=OPERATION_SECONDS, wait_initial=0.02, wait_max=0.5
                ):
                    with attempt:
                        return await self._counted(
                            collection, document_id, document, member.group, limit, admit
                        )
        raise AssertionError("retry_context returns or raises")

    async def _create(
        self, collection: Collection, document_id: str, document: Document, *also: Mark
    ) -> engine.Answer:
        for _ in range(_CREATES):
            answer = await self._documents.write(collection.name, document_id, document, ABSENT, *also)
            if answer.version is not None:
                return engine.Answer(version=answer.version)
            if answer.found is not None:
                return engine.Answer(found=engine.Found(document_id, *answer.found))
            if also:
                raise _Contended(f"Too many requests contend in {collection.groups}.")
        raise StoreUnavailable(f"Too many requests contend in {collection.name}.")

    async def _counted(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        group: str,
        limit: int | None,
        admit: Admit | None,
    ) -> engine.Answer:
        counted = await self._documents.read(collection.groups, group)
        others = set(counted[0].get(MARKS, {})) - {document_id} if counted else set()
        if limit is not None and len(others) >= limit:
            found = await self._documents.read(collection.name, document_id)
            return engine.Answer(found=engine.Found(document_id, *found) if found else None)
        if admit is not None:
            members = await self._documents.read_all(collection.name, sorted(others), collection.listed)
            try:
                admit([engine.Found(one, *member) for one, member in members])
            except GamguiError:
                found = await self._documents.read(collection.name, document_id)
                if found is None:
                    raise
                return engine.Answer(found=engine.Found(document_id, *found))
        precondition = types.Precondition(update_time=timestamp_of(counted[1])) if counted else ABSENT
        mark = Mark(collection.groups, group, document_id, set=True, precondition=precondition)
        return await self._create(collection, document_id, document, mark)

    async def update(
        self,
        collection: Collection,
        document_id: str,
        document: Document,
        version: str,
        *,
        left: Member | None = None,
    ) -> str | None:
        """See ``Engine.update``."""
        documents.require_id(document_id)
        precondition = unchanged(version)
        if precondition is None:
            return None
        with self._telemetry.store("update", collection.name):
            answer = await self._documents.write(
                collection.name, document_id, document, precondition, *_leaving(collection, document_id, left)
            )
        return answer.version

    async def put(self, collection: Collection, document_id: str, document: Document) -> None:
        """See ``Engine.put``."""
        documents.require_id(document_id)
        with self._telemetry.store("put", collection.name):
            await self._documents.write(collection.name, document_id, document)

    async def delete(
        self, collection: Collection, document_id: str, version: str, *, left: Member | None = None
    ) -> None:
        """See ``Engine.delete``."""
        with self._telemetry.store("delete", collection.name):
            await self._documents.delete(
                collection.name, document_id, version, *_leaving(collection, document_id, left)
            )

    async def delete_all(self, collection: Collection, ids: Sequence[str]) -> None:
        """See ``Engine.delete_all``."""
        with self._telemetry.store("delete_all", collection.name):
            await self._documents.delete_all(collection.name, ids)

    async def find(self, query: Query) -> Sequence[engine.Found]:
        """See ``Engine.find``."""
        with self._telemetry.store("find", query.collection.name):
            found = await self._documents.find(partial(structured, query=query))
        return [_placed(query, document_id, one) for document_id, one in found]

    async def count(self, query: Query) -> int:
        """See ``Engine.count``."""
        with self._telemetry.store("count", query.collection.name):
            return await self._documents.count(partial(structured, query=query))

    async def group(self, collection: Collection, group_id: str) -> Group:
        """See ``Engine.group``. The group's document is updated whenever a member comes or goes."""
        with self._telemetry.store("group", collection.name):
            found = await self._documents.read(collection.groups, group_id)
        if found is None:
            return Group(0, None)
        document, version = found
        return Group(len(document.get(MARKS, {})), timestamp_of(version).ToDatetime(tzinfo=UTC))

    async def close(self) -> None:
        """See ``Engine.close``."""
        await self._documents.close()


def _leaving(collection: Collection, document_id: str, left: Member | None) -> list[Mark]:
    return [] if left is None else [Mark(collection.groups, left.group, document_id, set=False)]


def _placed(query: Query, document_id: str, found: Found) -> engine.Found:
    document, version = found
    at = document[query.index.by] if query.index.by else _NO_TIME
    return engine.Found(document_id, document, version, Cursor(at, document_id))
