"""Audit records as log entries, with secrets in arguments masked."""

from __future__ import annotations

import dataclasses
import logging

from shared.audit.masking import masked
from shared.sessions.ports import AuditRecord

log = logging.getLogger("gamgui.audit")


class LogAudit:
    """An ``AuditLog`` that writes to the log, where Cloud Logging keeps and routes it."""

    async def record(self, record: AuditRecord) -> None:
        """See ``AuditLog``."""
        detail = {
            key: masked(value) if isinstance(value, str) else value for key, value in record.detail.items()
        }
        fields = {"audit": {**dataclasses.asdict(record), "detail": detail, "at": record.at.isoformat()}}
        message = "%s by %s on %s: %s"
        log.info(
            message, record.action, record.actor, record.session_id, record.outcome, extra={"fields": fields}
        )
