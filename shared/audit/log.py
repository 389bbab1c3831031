"""Audit records as log entries, with secrets in arguments masked."""

from __future__ import annotations

import dataclasses
import logging
import re

from shared.sessions.ports import AuditRecord

log = logging.getLogger("gamgui.audit")

_MASK = "***"
_MAX_CHARACTERS = 2000
_MAX_SEARCHED = 16_000
_NAMES = (
    r"password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|credentials?|authorization|"
    r"recoveryemail|recoveryphone|hashfunction"
)
# One word of a shell's or of JSON: pieces in quotes, escaped or bare; without a closing quote, the rest.
_WORD = r"""(?:\\"(?:(?!\\").)*(?:\\"|$)|"(?:\\.|[^"\\])*(?:"|\\?$)|'[^']*(?:'|$)|\\.|[^\s"'\\])+"""
# GAM gives names and values as two words; others as name=value, name: value or --name value. Each
# name is tried once, from its beginning, so that the time is linear in the length of the text.
_NAMED = re.compile(
    rf"""(?isx)
    (?P<name>(?<![\w-]) (?!changepassword\b) [\w-]* (?:{_NAMES}) [0-9_-]* (?![\w-]))
    (?P<between>[\\"']*\s*[=:\s]\s*)
    (?P<value>(?:(?:bearer|basic|digest|negotiate)\s+)? {_WORD})"""
)
# What is secret whatever stands before it: a bearer token, a JWT, Google's tokens and client secrets,
# a private key, the password in a URL.
_SHAPED = re.compile(
    r"""(?isx)
    (?P<kept>\bbearer\s+ | :// [^/\s:@"']* : (?=[^/\s@"']+@))
    (?P<value>(?<=/|:)[^/\s@"']+ | (?<!:)[^\s"'\\,]+)
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*
    | \bya29\.[\w.-]+ | \b1//[\w-]{20,} | \bGOCSPX-[\w-]+ | \bAIza[\w-]{30,}
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|$)"""
)


def masked(text: str) -> str:
    """A command's text with what looks like a secret replaced, at most 2,000 characters."""
    text = _SHAPED.sub(lambda found: (found["kept"] or "") + _MASK, text[:_MAX_SEARCHED])
    return _NAMED.sub(rf"\g<name>\g<between>{_MASK}", text)[:_MAX_CHARACTERS]


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
