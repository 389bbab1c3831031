"""Audit records in Firestore: collection ``audit``, in ids without an order.

Indexes: (session_id, at desc). A TTL policy on ``purge_at``. ``detail`` needs no index, and
has texts of up to 4,096 characters: an exemption saves what indexing them costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor
from shared.store.audit_documents import audit_document, audit_from
from shared.store.firestore import queries
from shared.store.firestore.documents import ABSENT, FirestoreDocuments

AUDIT = "audit"

KEYS = "keys"
"""The collection of the installation's keys; the document ``audit`` holds the one for digests."""

KEPT = timedelta(days=400)
"""After that the TTL policy removes a record, or a job. Most go before, with their session; this is
for those that come when their session has gone already, or was removed by its own policy."""


class FirestoreAudit:
    """An ``AuditStore``.

    Args:
        documents: Of the store's database.
    """

    def __init__(self, documents: FirestoreDocuments) -> None:
        self._documents = documents

    async def put(self, record: AuditRecord) -> None:
        """See ``AuditStore.put``."""
        document = {**audit_document(record), "purge_at": record.at + KEPT}
        await self._documents.write(AUDIT, record.id, document)

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        """See ``AuditStore.list_records``."""
        equal = {"session_id": session_id}
        found = await self._documents.find(
            lambda name_of: queries.newest(name_of, AUDIT, equal, limit=limit, after=after, time="at")
        )
        return [audit_from(document) for document, _ in found]

    async def digest_key(self, new: bytes) -> bytes:
        """See ``AuditStore.digest_key``."""
        found = await self._documents.read(KEYS, AUDIT)
        if found is None:
            answer = await self._documents.write(KEYS, AUDIT, {"key": new.hex()}, ABSENT)
            found = answer.found
        return new if found is None else bytes.fromhex(found[0]["key"])

    async def forget(self, session_id: str, *, limit: int) -> int:
        """See ``AuditStore.forget``."""
        equal = {"session_id": session_id}
        found = await self._documents.find(
            lambda name_of: queries.newest(name_of, AUDIT, equal, limit=limit, after=None, time="at")
        )
        ids = [document["id"] for document, _ in found]
        await self._documents.delete_all(AUDIT, ids)
        return len(ids)
