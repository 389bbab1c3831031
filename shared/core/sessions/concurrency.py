"""The limit on the commands that run at once in one session."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator

from shared.errors import TooManyRequests
from shared.reasons import Reason

_RETRY_SECONDS = 1.0


class ExecSlots:
    """Counts the commands that this instance runs in each session.

    The counts are in memory: a count that all instances share would cost two writes of the session's
    document for each command, and would stay too high when an instance dies.

    Args:
        limit: Maximum number of commands at once in one session.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()

    @contextlib.contextmanager
    def taken(self, session_id: str) -> Generator[None]:
        """A context that takes one slot of the session until it ends.

        Raises:
            TooManyRequests: No slot is free (reason ``TOO_MANY_EXECS``).
        """
        if self._running[session_id] >= self._limit:
            raise TooManyRequests(
                f"{self._limit} commands run in this session already",
                reason=Reason.TOO_MANY_EXECS,
                retry_after_seconds=_RETRY_SECONDS,
                session=session_id,
                limit=self._limit,
            )
        self._running[session_id] += 1
        try:
            yield
        finally:
            self._running[session_id] -= 1
            if not self._running[session_id]:
                del self._running[session_id]
