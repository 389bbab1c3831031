"""Writes audit records as log entries."""

from __future__ import annotations

import dataclasses
import logging

from shared.core.audit.model import AuditRecord

log = logging.getLogger("gamgui.audit")


def log_record(record: AuditRecord) -> None:
    """Writes a record, whose secrets are masked, to the log, where Cloud Logging keeps and routes it."""
    fields = {"audit": {**dataclasses.asdict(record), "at": record.at.isoformat()}}
    words = (record.action, record.actor, record.session_id, record.outcome)
    log.info("%s by %s on %s: %s", *words, extra={"fields": fields})
