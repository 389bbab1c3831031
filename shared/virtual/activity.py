"""The activity of virtual sessions: there is none."""

from __future__ import annotations

from shared.core.sessions.model import Session


class NoActivity:
    """An ``Activity`` without pods."""

    async def processes(self, session: Session) -> int:
        """See ``Activity``: nothing was executed."""
        return 0
