"""Audit records on their way: secrets masked, then to the log and to the store."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

from shared.audit.log import log_record
from shared.audit.masking import masked
from shared.sessions.audit_ports import NO_SESSION, AuditRecord, AuditStore

log = logging.getLogger("gamgui.audit")

STORE_SECONDS = 5.0
"""Longest that an act waits for its record: whoever did it waits for his answer."""


class AuditTrail:
    """An ``AuditLog`` that writes to the log, and keeps what concerns a session in the store.

    The log has every record; it comes first, as it cannot fail. What cannot be stored is
    logged once more, with severity ERROR.

    Args:
        store: Keeps the records of sessions.
        seconds: Longest that it may take.
    """

    def __init__(self, store: AuditStore, seconds: float = STORE_SECONDS) -> None:
        self._store = store
        self._seconds = seconds

    async def announce(self, record: AuditRecord) -> None:
        """See ``AuditLog``. The log gets one entry an act, at its end."""
        await self._stored(_masked(record))

    async def record(self, record: AuditRecord) -> None:
        """See ``AuditLog``."""
        shown = _masked(record)
        log_record(shown)
        await self._stored(shown)

    async def _stored(self, record: AuditRecord) -> None:
        if record.session_id == NO_SESSION:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._store.put(record)
        except Exception:
            # Whatever it is: the act is done, or being done, and the log has its record.
            words = (record.id, record.action, record.session_id)
            log.exception("audit record %s (%s on %s) is not stored", *words)


def _masked(record: AuditRecord) -> AuditRecord:
    detail = {key: masked(value) if isinstance(value, str) else value for key, value in record.detail.items()}
    return dataclasses.replace(record, detail=detail)
