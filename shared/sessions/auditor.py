"""Who did what to which session: the records of all use cases."""

from __future__ import annotations

from shared.sessions.model import Session
from shared.sessions.ports import AuditLog, AuditRecord, Clock

CLEANUP = "cleanup"
"""The actor of what nobody asked for."""


class Auditor:
    """Writes audit records.

    Args:
        log: Where to.
        clock: The time of day.
    """

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def record(
        self, session: Session | None, actor: str, action: str, outcome: str, **detail: str | int | None
    ) -> None:
        """Writes one.

        Args:
            session: What was acted on; None when it is what an owner has beside sessions.
            actor: The verified identity that did it.
            action: Such as ``session.exec``.
            outcome: How it ended.
            detail: What else there is to say; never stdin, credentials or tokens.
        """
        await self._log.record(
            AuditRecord(
                at=self._clock.now(),
                actor=actor,
                action=action,
                session_id=session.id if session else "-",
                outcome=outcome,
                detail=detail,
            )
        )
