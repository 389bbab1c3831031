"""Audit records as documents, the key of their digests, and the repository that keeps both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor
from shared.store import documents
from shared.store.documents import Document
from shared.store.engine import Collection, Engine, Index, Query
from shared.store.repository import readable_page
from shared.store.retention import kept_until

OF_SESSION = Index(equal=("session_id",), by="at", newest_first=True)
AUDIT = Collection(name="audit", indexes=(OF_SESSION,), unindexed=("detail",), expires_by="purge_at")

KEYS = Collection(name="keys")
"""Keys of the installation; the document ``audit`` holds the key for digests."""

_KEY = "audit"


class AuditRecords:
    """An ``AuditStore``. Ids are random, as Firestore recommends; records are ordered by their time.

    Args:
        engine: Keeps the documents.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, record: AuditRecord) -> None:
        """See ``AuditStore.put``."""
        await self._engine.put(AUDIT, record.id, audit_document(record))

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        """See ``AuditStore.list_records``."""
        query = _of_session(session_id, limit, after)
        return await readable_page(self._engine, query, lambda found: audit_from(found.document))

    async def digest_key(self, new: bytes) -> bytes:
        """See ``AuditStore.digest_key``."""
        found = await self._engine.get(KEYS, _KEY)
        if found is None:
            answer = await self._engine.create(KEYS, _KEY, {"key": new.hex()})
            if answer.found is None:
                return new
            found = answer.found
        return bytes.fromhex(found.document["key"])

    async def forget(self, session_id: str, *, limit: int) -> int:
        """See ``AuditStore.forget``."""
        found = await self._engine.find(_of_session(session_id, limit, None))
        await self._engine.delete_all(AUDIT, [one.id for one in found])
        return len(found)


def _of_session(session_id: str, limit: int, after: Cursor | None) -> Query:
    return Query(collection=AUDIT, index=OF_SESSION, values=(session_id,), limit=limit, after=after)


def audit_document(record: AuditRecord) -> Document:
    """The record as a document.

    Text that is not valid Unicode, such as the name of a file, is stored escaped, because no store accepts
    it.

    Raises:
        ValueError: The time has no zone, or the id cannot be the id of a document.
    """
    documents.require_id(record.id)
    at = documents.utc(record.at)
    return {
        "id": record.id,
        "session_id": record.session_id,
        "at": at,
        "actor": _unicode(record.actor),
        "actor_subject": _unicode(record.actor_subject),
        "action": record.action,
        "outcome": _unicode(record.outcome),
        "detail": {
            key: _unicode(value) if isinstance(value, str) else value for key, value in record.detail.items()
        },
        "purge_at": kept_until(at),
    }


def audit_from(document: Mapping[str, Any]) -> AuditRecord:
    """The record that a document holds.

    Raises:
        InternalError: The document holds no audit record (reason ``DOCUMENT_INVALID``).
    """
    with documents.reading("audit record"):
        return AuditRecord(
            id=document["id"],
            session_id=document["session_id"],
            at=documents.required_time(document["at"]),
            actor=document["actor"],
            actor_subject=str(document.get("actor_subject", "")),
            action=document["action"],
            outcome=document["outcome"],
            detail=dict(document["detail"]),
        )


def _unicode(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
