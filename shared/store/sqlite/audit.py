"""Audit records in the file of the SQLite store."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor
from shared.store import documents
from shared.store.audit_documents import audit_document, audit_from
from shared.store.sqlite.file import SqliteFile

_PUT = """INSERT INTO audit (id, session_id, at, document) VALUES (?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET document = excluded.document"""
_LIST = """SELECT document FROM audit WHERE session_id = :session
    AND (:at IS NULL OR (at, id) < (:at, :id)) ORDER BY at DESC, id DESC LIMIT :limit"""
_NEW_KEY = "INSERT INTO audit_key (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING"
_KEY = "SELECT key FROM audit_key"
_FORGET = """DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE session_id = ? LIMIT ?)
    RETURNING 1"""


class SqliteAudit:
    """An ``AuditStore``.

    Args:
        file: The store's.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def put(self, record: AuditRecord) -> None:
        """See ``AuditStore.put``."""
        document = documents.to_json(audit_document(record))
        at = documents.microseconds(record.at)
        await self._file.rows(_PUT, (record.id, record.session_id, at, document))

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        """See ``AuditStore.list_records``."""
        place = (None, None) if after is None else (documents.microseconds(after.at), after.id)
        parameters = {"session": session_id, "limit": limit, "at": place[0], "id": place[1]}
        return [audit_from(documents.from_json(row[0])) for row in await self._file.rows(_LIST, parameters)]

    async def digest_key(self, new: bytes) -> bytes:
        """See ``AuditStore.digest_key``."""
        await self._file.rows(_NEW_KEY, (new.hex(),))
        ((key,),) = await self._file.rows(_KEY, ())
        return bytes.fromhex(key)

    async def forget(self, session_id: str, *, limit: int) -> int:
        """See ``AuditStore.forget``."""
        return len(await self._file.rows(_FORGET, (session_id, limit)))
