"""One connection per instance: looked up on first use, and again after it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.resolver import resolve
from shared.settings.cluster import ClusterSettings

_FAILURE_SECONDS = 1.0


class ClusterConnector:
    """Keeps the connection that the settings lead to. Belongs to one event loop.

    However many callers need it, there is one look-up at a time. A failed one is shared
    by all who waited for it and by those who come within a second; then the next caller
    tries again.

    Args:
        settings: Where the operator says that the cluster is.
        lookup: Turns settings into a connection.
        failure_seconds: How long a failure is shared before the next caller tries again.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        *,
        lookup: Callable[[ClusterSettings], Awaitable[Connection]] = resolve,
        failure_seconds: float = _FAILURE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lookup = lookup
        self._failure_seconds = failure_seconds
        self._clock = clock
        self._connection: Connection | None = None
        self._failure: ConnectionFailed | None = None
        self._failed_at = 0.0
        self._running: asyncio.Task[Connection] | None = None

    async def connection(self) -> Connection:
        """The connection; looks it up if there is none.

        Raises:
            ConnectionFailed: No source serves, see ``shared.kube.connect.resolver.resolve``.
        """
        if self._connection is not None:
            return self._connection
        if self._failure is not None and self._clock() < self._failed_at + self._failure_seconds:
            raise self._failure
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._ended)
        # The caller that started the look-up may go away; the others still wait for it.
        return await asyncio.shield(self._running)

    def invalidate(self, connection: Connection) -> None:
        """Drops a connection that does not work (any more): it is looked up again when next needed.

        Args:
            connection: The connection that failed. If it has been replaced meanwhile, nothing happens.
        """
        if self._connection is connection:
            self._connection = None

    async def _run(self) -> Connection:
        try:
            self._connection = await self._lookup(self._settings)
        except ConnectionFailed as failure:
            self._failure, self._failed_at = failure, self._clock()
            raise
        self._failure = None
        return self._connection

    def _ended(self, task: asyncio.Task[Connection]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # marks the exception as seen, in case every waiter is gone
