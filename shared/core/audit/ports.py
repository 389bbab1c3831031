"""Protocols of the objects that are audited and of the stores of records. Adapters implement them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.core.audit.model import AuditRecord
from shared.core.paging import Cursor


class Audited(Protocol):
    """The object of an act: a session. A record needs only its id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class AuditLog(Protocol):
    """Takes audit records. A record that cannot be kept is logged; the act does not fail."""

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
    """Keeps the records of sessions, so that they can be listed.

    Every method raises ``StoreUnavailable`` when the store does not answer.
    """

    async def put(self, record: AuditRecord) -> None:
        """Keeps a record. It replaces the one with the same id, if there is one."""
        ...

    async def list_records(
        self, session_id: str, *, limit: int, after: Cursor | None
    ) -> Sequence[AuditRecord]:
        """At most ``limit`` records of the session, newest first by (at, id), beginning behind ``after``."""
        ...

    async def digest_key(self, new: bytes) -> bytes:
        """The installation's key for digests.

        Args:
            new: The key to keep if there is none yet.
        """
        ...

    async def forget(self, session_id: str, *, limit: int) -> int:
        """Removes records of a session.

        Args:
            session_id: Id of the session, which is removed too.
            limit: Most records to remove at once, 1 to 500.

        Returns:
            The number of removed records; fewer than ``limit`` only when none is left.
        """
        ...
