"""Passes an audit record on: its secrets are masked, then it goes to the log, then to the store."""

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
"""Masking a longer text takes so long that it must not keep other requests waiting."""

_OURS = frozenset(("job", "command_digest", "stdin_digest", "stdin_end"))
"""Fields whose text does not come from a caller."""

STORE_SECONDS = 5.0
"""Longest time in seconds that an act waits for its record, because the caller waits for the answer."""


class AuditTrail:
    """An ``AuditLog`` that writes to the log, and keeps records of sessions in the store.

    The log gets every record. It comes first, because it cannot fail. A record that cannot be stored is
    logged once more, with severity ERROR.

    Args:
        store: Keeps the records of sessions.
        seconds: Longest time that storing a record may take.
    """

    def __init__(self, store: AuditStore, seconds: float = STORE_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._looked: dict[str, Masked] = {}
        self._key: bytes | None = None

    async def announce(self, record: AuditRecord) -> None:
        """See ``AuditLog``. The log gets only one entry for each act, at its end."""
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
        """See ``AuditLog``. The key is read once. A failure is logged, and the next act tries again."""
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
            # The error must not stop the act, which is done or being done; the log has its record.
            words = (record.id, record.action, record.session_id)
            log.exception("audit record %s (%s on %s) is not stored", *words)

    async def _masked(self, record: AuditRecord) -> AuditRecord:
        """The record without secrets, with the flags ``masked`` and ``truncated`` for what it lacks."""
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
        if key == "env":  # only names of variables, without their values
            return Masked(value[:MAX_CHARACTERS], masked=False, truncated=len(value) > MAX_CHARACTERS)
        if key != "command":
            return await _looked_at(value)
        if record_id not in self._looked:
            self._looked[record_id] = await _looked_at(value)  # once for both records of an act
        return self._looked[record_id]


async def _looked_at(text: str) -> Masked:
    """The text as it may be shown; none of it if masking fails."""
    try:
        return await asyncio.to_thread(look, text) if len(text) > _LONG_CHARACTERS else look(text)
    except Exception:
        log.exception("a text of an audit record cannot be masked, and is left out")
        return Masked(MASK, masked=True, truncated=True)
