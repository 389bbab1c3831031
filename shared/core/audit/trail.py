"""The way of an audit record: its secrets are masked, then the log gets it, then the store."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets

from shared.core.audit.log import log_record
from shared.core.audit.masking import MASK, MAX_CHARACTERS, Masked, look
from shared.core.audit.model import NO_SESSION, AuditRecord
from shared.core.audit.ports import AuditStore

log = logging.getLogger("gamgui.audit")

KEY_BYTES = 32

_LONG_CHARACTERS = 1024
"""To look at a longer text takes so long that others' requests must go on meanwhile."""

_OURS = frozenset(("job", "command_digest", "stdin_digest", "stdin_end"))
"""What is no text of a caller's."""

STORE_SECONDS = 5.0
"""Longest that an act waits for its record: whoever did it waits for his answer."""


class AuditTrail:
    """An ``AuditLog`` that writes to the log, and keeps what concerns a session in the store.

    The log has every record; it comes first, as it cannot fail. A record that cannot be stored is
    logged once more, with severity ERROR.

    Args:
        store: Keeps the records of sessions.
        seconds: Longest that it may take.
    """

    def __init__(self, store: AuditStore, seconds: float = STORE_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._looked: dict[str, Masked] = {}
        self._key: bytes | None = None

    async def announce(self, record: AuditRecord) -> None:
        """See ``AuditLog``. The log gets one entry an act, at its end."""
        await self._stored(await self._masked(record))

    async def record(self, record: AuditRecord) -> None:
        """See ``AuditLog``."""
        try:
            shown = await self._masked(record)
        finally:
            self._looked.pop(record.id, None)
        log_record(shown)
        await self._stored(shown)

    async def digest_key(self) -> bytes | None:
        """See ``AuditLog``. It is read once. A failure is logged, and the next act tries again."""
        if self._key is None:
            try:
                async with asyncio.timeout(self._seconds):
                    self._key = await self._store.digest_key(secrets.token_bytes(KEY_BYTES))
            except Exception:
                log.exception("the key for digests in audit records cannot be read")
        return self._key

    async def _stored(self, record: AuditRecord) -> None:
        if record.session_id == NO_SESSION:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._store.put(record)
        except Exception:
            # No error stops the act: it is done, or being done, and the log has its record.
            words = (record.id, record.action, record.session_id)
            log.exception("audit record %s (%s on %s) is not stored", *words)

    async def _masked(self, record: AuditRecord) -> AuditRecord:
        """The record without secrets, and with what it lacks: ``masked``, ``truncated``."""
        detail = dict(record.detail)
        looked = {
            key: await self._look(record.id, key, value)
            for key, value in detail.items()
            if isinstance(value, str) and key not in _OURS
        }
        detail |= {key: found.text for key, found in looked.items()}
        flags = {
            "masked": any(found.masked for found in looked.values()),
            "truncated": any(found.truncated for found in looked.values()),
        }
        detail |= flags if "command" in detail else {name: True for name, flag in flags.items() if flag}
        return dataclasses.replace(record, detail=detail)

    async def _look(self, record_id: str, key: str, value: str) -> Masked:
        if key == "env":  # names that tell of a secret, and no secret behind them
            return Masked(value[:MAX_CHARACTERS], masked=False, truncated=len(value) > MAX_CHARACTERS)
        if key != "command":
            return await _looked_at(value)
        if record_id not in self._looked:
            self._looked[record_id] = await _looked_at(value)  # once for both of an act's records
        return self._looked[record_id]


async def _looked_at(text: str) -> Masked:
    """The text as it may be shown, or none of it if that cannot be found out."""
    try:
        return await asyncio.to_thread(look, text) if len(text) > _LONG_CHARACTERS else look(text)
    except Exception:
        log.exception("a text of an audit record cannot be masked, and is left out")
        return Masked(MASK, masked=True, truncated=True)
