"""Audit records as log entries."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from shared.core.audit.log import log_record
from shared.core.audit.model import AuditRecord
from shared.web.http.logs import CloudFormatter


class _Lines(logging.Handler):
    """Keeps what would be written on Cloud Run."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(CloudFormatter(""))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def test_a_record_is_one_entry_with_who_when_session_what_and_outcome() -> None:
    lines, logger = _Lines(), logging.getLogger("gamgui.audit")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        log_record(
            AuditRecord(
                id="aaaaaaaaaaaaaaaaa",
                at=datetime(2026, 3, 1, 12, tzinfo=UTC),
                actor="alice@example.com",
                action="session.exec",
                session_id="saaaaaaaaaaaaaaaa",
                outcome="exited",
                detail={"command": "gam update user bob@example.com password ***", "bytes": 7},
            )
        )
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
    (line,) = lines.lines
    assert json.loads(line)["audit"] == {
        "id": "aaaaaaaaaaaaaaaaa",
        "at": "2026-03-01T12:00:00+00:00",
        "actor": "alice@example.com",
        "actor_subject": "",
        "action": "session.exec",
        "session_id": "saaaaaaaaaaaaaaaa",
        "outcome": "exited",
        "detail": {"command": "gam update user bob@example.com password ***", "bytes": 7},
    }
