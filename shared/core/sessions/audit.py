"""The use case of reading a session's audit records."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.audit.auditor import Auditor
from shared.core.audit.model import AuditRecord
from shared.core.audit.ports import AuditStore
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.access import AS_ADMINISTRATOR, SessionAccess


class SessionAudit:
    """Audit records for those who may read them: a session's owner, and administrators.

    Args:
        access: Says which sessions a caller may look at.
        store: Keeps the records.
        audit: Records that an administrator read another person's records.
    """

    def __init__(self, *, access: SessionAccess, store: AuditStore, audit: Auditor) -> None:
        self._access = access
        self._store = store
        self._audit = audit

    async def records(
        self, caller: Person, session_id: str, *, limit: int, after: Cursor | None
    ) -> tuple[Sequence[AuditRecord], Cursor | None]:
        """A page of the session's records, newest first, and where the next page begins.

        Args:
            caller: The caller.
            session_id: The session.
            limit: Maximum number of records.
            after: Where the previous page ended; None: the first page.

        Returns:
            The records, and the cursor for the next page; None when there are no more records.

        Raises:
            NotFound: The session is absent, or another owner's.
        """
        session = await self._access.visible(caller, session_id)
        if not session.of(caller):
            await self._audit.record(session, caller, "session.audit", "read", **AS_ADMINISTRATOR)
        found = await self._store.list_records(session.id, limit=limit + 1, after=after)
        page = found[:limit]
        return page, Cursor(page[-1].at, page[-1].id) if len(found) > limit else None
