"""Protocols of what is audited and of what keeps the records. Adapters implement them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor


class Audited(Protocol):
    """The object of an act: a session, of which a record needs only the id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class AuditLog(Protocol):
    """Takes audit records. A record that cannot be kept is logged, it does not fail the act."""

    async def announce(self, record: AuditRecord) -> None:
        """Keeps a record whose outcome is not known yet; ``record`` replaces it. Raises nothing."""
        ...

    async def record(self, record: AuditRecord) -> None:
        """Keeps the record. Raises nothing."""
        ...

    async def digest_key(self) -> bytes | None:
        """The key of the digests in records; None when it cannot be read now. Raises nothing."""
        ...


class AuditStore(Protocol):
    """Keeps the records of sessions, to be asked for.

    Every method raises ``StoreUnavailable`` when the store does not answer.
    """

    async def put(self, record: AuditRecord) -> None:
        """Keeps a record. It replaces the one with the same id, if there is one."""
        ...

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        """The session's records, newest first by (at, id), at most ``limit``, those behind ``after``."""
        ...

    async def digest_key(self, new: bytes) -> bytes:
        """The installation's key for digests.

        Args:
            new: Becomes the key if there is none.
        """
        ...

    async def forget(self, session_id: str, *, limit: int) -> int:
        """Removes records of the session.

        Args:
            session_id: The session, which goes too.
            limit: Most of them at once, 1 to 500.

        Returns:
            How many went; fewer than ``limit`` only when none is left.
        """
        ...
