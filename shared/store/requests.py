"""Idempotency records as documents, and the repository that keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.core.clock import Clock
from shared.core.paging import Cursor
from shared.core.sessions.ports import RequestRecord
from shared.errors import StoreUnavailable, VersionConflict
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Engine, Index
from shared.store.repository import Present, Repository

EXPIRED = Index(by="expires_at")
REQUESTS = Collection(
    name="requests", indexes=(EXPIRED,), unindexed=("fingerprint", "response"), expires_by="expires_at"
)

_TAKEOVERS = 8
"""After losing the race for an expired record this many times, a request contends with very many others."""


class Requests:
    """A ``RequestStore`` that also finds the expired records for cleanup (``ExpiredRequestStore``).

    Args:
        engine: Keeps the documents.
        clock: The time of day, by which records expire.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._records = Repository(
            engine,
            REQUESTS,
            "request",
            id_of=lambda record: record.key,
            document=request_document,
            read=request_from,
        )
        self._clock = clock

    async def begin_request(self, record: RequestRecord) -> RequestRecord:
        """See ``RequestStore.begin_request``."""
        for _ in range(_TAKEOVERS):
            try:
                return await self._records.create(record)
            except Present as there:
                present = self._records.value(there.found)
            if present.expires_at > self._clock.now():
                return present
            try:
                return await self._records.update(dataclasses.replace(record, version=present.version))
            except VersionConflict:
                continue  # another request took the record over, or cleanup removed it
        raise StoreUnavailable("Too many requests contend for one idempotency key.")

    async def update_request(self, record: RequestRecord) -> RequestRecord:
        """See ``RequestStore.update_request``."""
        return await self._records.update(record)

    async def expired_requests(
        self, now: datetime, *, limit: int, after: Cursor | None = None
    ) -> Sequence[RequestRecord]:
        """See ``ExpiredRequestStore.expired_requests``."""
        return await self._records.page(EXPIRED, until=now, limit=limit, after=after)

    async def remove_request(self, record: RequestRecord) -> None:
        """See ``ExpiredRequestStore.remove_request``."""
        await self._records.remove(record)


def request_document(record: RequestRecord) -> Document:
    """The idempotency record as a document; see ``documents.document_of``."""
    return documents.document_of(record, record.key)


def request_from(document: Mapping[str, Any], version: str) -> RequestRecord:
    """The idempotency record that a document of this version holds.

    Raises:
        InternalError: The document holds no idempotency record (reason ``DOCUMENT_INVALID``).
    """
    with documents.reading("request record"):
        return RequestRecord(**documents.values_of(RequestRecord, document, version))
