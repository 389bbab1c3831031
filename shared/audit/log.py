"""Audit records as log entries, with secrets in arguments masked."""

from __future__ import annotations

import dataclasses
import logging
import re

from shared.sessions.ports import AuditRecord

log = logging.getLogger("gamgui.audit")

_MASK = "***"
_MAX_ARGUMENTS = 2000
_MASKED_WORDS = (
    r"password|passwd|passphrase|secret|clientsecret|token|accesstoken|refreshtoken|apikey|privatekey|"
    r"credential|credentials|authorization|recoveryemail|recoveryphone|hashfunction"
)
# GAM gives names and values as two words; others as name=value, or a header as name: value.
_SECRET = re.compile(
    rf"(?i)((?:^|[\s\"'_-])[\w-]*(?:{_MASKED_WORDS})[\w-]*[\"']?\s*[=:\s]\s*)(\"[^\"]*\"|'[^']*'|\S+)"
)


def masked(text: str) -> str:
    """A command's text with what looks like a secret replaced, at most 2,000 characters."""
    return _SECRET.sub(rf"\1{_MASK}", text)[:_MAX_ARGUMENTS]


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
